"""Every page there is, with something on it: for whoever looks at them, and for the accessibility check."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from playwright.async_api import Page

from tests.pages.browser import PASSWORD, Browser, administrator
from tests.pages.chromium import Watched, fill
from tests.rpc.test_key_consumers import of_a_while
from tests.support.service import Service

Then = Callable[[Page], Awaitable[None]]

GRACE = "grace.hopper"
LONG = "a-rather-long-user-name-of-somebody@a-department-with-a-long-name.facility.example"


@dataclass(frozen=True)
class Stop:
    """`path` may name what `furnished` made; `then` is done on the page before it is looked at."""

    name: str
    path: str
    then: Then | None = None
    is_signed_in: bool = True


async def furnished(service: Service) -> Mapping[str, str]:
    """People and roles to look at; what their ids are, by words that `Stop.path` may use."""
    root = await administrator(service)
    for name, level, description in (
        ("beamline", "400", "May change what a beamline measures."),
        ("helpdesk", "90", "Looks after people: resets passwords, ends sessions."),
    ):
        await root.fill("/admin/roles/new", name=name, level=level, description=description)
    ids = {}
    for key, name, more in (
        ("ada", "ada.lovelace", {"display_name": "Ada Lovelace", "email": "ada@facility.example", "roles": "beamline"}),
        ("grace", GRACE, {"display_name": "Grace Hopper", "email": "grace@facility.example"}),
        ("off", "charles.babbage", {"display_name": "Charles Babbage", "email": "charles@facility.example"}),
        ("gone", "left.long.ago", {"display_name": "Somebody Who Left"}),
        ("long", LONG, {"display_name": "Someone with a name that goes on and on and on", "email": LONG}),
    ):
        typed = {"username": name, "password": PASSWORD, "password_again": PASSWORD} | more
        made = await root.fill("/admin/people/new", typed)
        assert made.status == 303, made.text
        ids[key] = made.location.rpartition("/")[2]
    await root.fill("/admin/people/new", username="new.person", password=PASSWORD, password_again=PASSWORD)
    await root.fill(f"/admin/people/{ids['off']}/disable", reason="Left the project")
    await root.fill(f"/admin/people/{ids['gone']}/delete")
    await root.fill(f"/admin/people/{ids['grace']}/edit", must_change_password="")
    await root.fill(f"/admin/people/{ids['ada']}/edit", must_change_password="", email_verified="yes")
    ada = Browser(service)
    await ada.sign_in("ada.lovelace", PASSWORD)
    return ids


def _typed(labels: Mapping[str, str], button: str) -> Then:
    async def then(page: Page) -> None:
        await fill(page, labels)
        await page.get_by_role("button", name=button, exact=True).click()
        await page.get_by_role("alert").or_(page.get_by_role("status")).first.wait_for()

    return then


PUBLIC = (
    Stop("sign-in", "/sign-in"),
    Stop("sign-in-refused", "/sign-in", _typed({"User name": "ada.lovelace", "Password": "not it"}, "Sign in")),
    Stop(
        "sign-in-choose-password",
        "/sign-in",
        _typed({"User name": "new.person", "Password": PASSWORD}, "Sign in"),
    ),
    Stop("signed-out", "/sign-in?signed-out=1"),
    Stop("register", "/register"),
    Stop("forgotten-password", "/forgotten-password"),
    Stop("forgotten-password-sent", "/forgotten-password", _typed({"E-mail address": "a@b.example"}, "Send the mail")),
    Stop("reset-password", "/reset-password#token=abc"),
    Stop(
        "reset-password-refused",
        "/reset-password",
        _typed({"Link or token": "x", "New password": "password", "New password again": "password"}, "Save"),
    ),
    Stop("verify-email", "/verify-email"),
    Stop("verify-email-again", "/verify-email/again"),
    Stop("no-such-page", "/no-such-page"),
    Stop("start", "/"),
    Stop("reference", "/reference"),
    Stop("reference-method", "/reference#AuthService.Login"),
)
SIGNED_IN = (
    Stop("account", "/account"),
    Stop("account-name", "/account/name"),
    Stop("account-email", "/account/email"),
    Stop("account-password", "/account/password"),
    Stop("account-end-others", "/account/sessions/end"),
    Stop("account-delete", "/account/delete"),
    Stop("account-delete-refused", "/account/delete", _typed({"Present password": "not it"}, "Delete my account")),
    Stop("sign-in-again", "/sign-in"),
    Stop("sign-out", "/sign-out"),
    Stop("people", "/admin/people"),
    Stop("people-none", "/admin/people?name=nobody-is-called-so"),
    Stop("people-wrong-filter", "/admin/people?role=Not+A+Role"),
    Stop("person", "/admin/people/{ada}"),
    Stop("person-disabled", "/admin/people/{off}"),
    Stop("person-deleted", "/admin/people/{gone}"),
    Stop("person-long", "/admin/people/{long}"),
    Stop("person-new", "/admin/people/new"),
    Stop(
        "person-new-refused",
        "/admin/people/new",
        _typed({"User name": "ada.lovelace", "Password": "password", "Password again": "password"}, "Create"),
    ),
    Stop("person-edit", "/admin/people/{ada}/edit"),
    Stop("person-password", "/admin/people/{ada}/password"),
    Stop("person-disable", "/admin/people/{ada}/disable"),
    Stop("person-enable", "/admin/people/{off}/enable"),
    Stop("person-delete", "/admin/people/{ada}/delete"),
    Stop("person-purge", "/admin/people/{gone}/purge"),
    Stop("person-grant", "/admin/people/{ada}/roles"),
    Stop("person-revoke", "/admin/people/{ada}/roles/beamline/revoke"),
    Stop("saved", "/account/name", _typed({"Name": "Root"}, "Save")),
    Stop("roles", "/admin/roles"),
    Stop("role", "/admin/roles/beamline"),
    Stop("role-new", "/admin/roles/new"),
    Stop("role-new-refused", "/admin/roles/new", _typed({"Name": "Not A Role", "Level": "0"}, "Create")),
    Stop("role-edit", "/admin/roles/beamline/edit"),
    Stop("role-delete", "/admin/roles/beamline/delete"),
)

OF_SOMEBODY_NEW = (
    Stop("new-account", "/account"),
    Stop("new-account-verify", "/account/email/verify"),
    Stop("new-account-delete", "/account/delete"),
    Stop(
        "new-account-password-refused",
        "/account/password",
        _typed({"Present password": PASSWORD, "New password": "password"}, "Save"),
    ),
    Stop("new-account-not-for-you", "/admin/people"),
)
"""For `GRACE`, who has an address that is not verified yet."""
OF_THE_FACILITY = (
    Stop("facility-account", "/account"),
    Stop("facility-account-name", "/account/name"),
    Stop("facility-account-delete", "/account/delete"),
)
"""For `user1001`, whose password the facility keeps."""


async def operated(service: Service) -> Mapping[str, str]:
    """Service accounts, keys, consumers, events and notices to look at; as `furnished`."""
    root = await administrator(service)
    ids = {}
    for key, name in (("runner", "simulation-runner"), ("bare", "a-service-that-has-no-key-yet")):
        made = await root.fill("/admin/service-accounts/new", name=name, description="Nightly runs. Ask Ada Lovelace.")
        ids[key] = made.location.rpartition("/")[2]
    runner = f"/admin/service-accounts/{ids['runner']}"
    for lifetime in ("30", "endless"):
        await root.fill(f"{runner}/keys/new", scopes="experiments:read", lifetime=lifetime)
    ids["key"] = re.findall(r"/keys/([0-9a-f-]{36})/revoke", (await root.open(runner)).text)[0]
    for name in ("envoy-of-the-beamlines", "gateway-3"):
        async with service.http.get("/.well-known/jwks.json", headers={"x-consumer-name": name}) as answer:
            await answer.read()
    await root.open("/admin/signing-keys")
    await service.sql(of_a_while(timedelta(minutes=3)))
    await root.fill("/admin/signing-keys/rotate", anyway="yes")
    kids = re.findall(r"/admin/signing-keys/([\w-]{43})/revoke", (await root.open("/admin/signing-keys")).text)
    ids |= dict(zip(("standby", "active", "retiring"), kids, strict=False))
    forms = (await root.open("/admin/maintenance")).forms
    notice = next(each for each in forms if each.action.endswith("/admin/maintenance/maintenance"))
    said = {"maintenance_message": "The beam is off until Monday.", "show": "yes"}
    await root.send(notice.action, notice.fields | said)
    return ids


async def _opened(page: Page) -> None:
    await page.locator(".events summary").first.click()


def _pressed(button: str) -> Then:
    async def then(page: Page) -> None:
        await page.get_by_role("button", name=button, exact=True).click()
        await page.locator("[role=status], [role=alert]").first.wait_for()

    return then


OPERATING = (
    Stop("overview", "/admin"),
    Stop("services", "/admin/service-accounts"),
    Stop("services-none", "/admin/service-accounts?name=nothing-like-that"),
    Stop("services-wrong-filter", "/admin/service-accounts?name=Not+A+Name"),
    Stop("service-new", "/admin/service-accounts/new"),
    Stop("service-new-refused", "/admin/service-accounts/new", _typed({"Name": "Not A Name"}, "Make it")),
    Stop("service", "/admin/service-accounts/{runner}"),
    Stop("service-bare", "/admin/service-accounts/{bare}"),
    Stop("service-delete", "/admin/service-accounts/{runner}/delete"),
    Stop("api-key-new", "/admin/service-accounts/{bare}/keys/new"),
    Stop("api-key-refused", "/admin/service-accounts/{bare}/keys/new", _pressed("Make the key")),
    Stop("api-key-revoke", "/admin/service-accounts/{runner}/keys/{key}/revoke"),
    Stop("signing-keys", "/admin/signing-keys"),
    Stop("signing-keys-consumers", "/admin/signing-keys/consumers"),
    Stop("signing-key-rotate", "/admin/signing-keys/rotate"),
    Stop("signing-key-rotate-refused", "/admin/signing-keys/rotate", _pressed("Rotate now")),
    Stop("signing-key-roll-back", "/admin/signing-keys/roll-back"),
    Stop("signing-key-canary", "/admin/signing-keys/canary", _pressed("Make a canary")),
    Stop("signing-key-revoke-active", "/admin/signing-keys/{active}/revoke"),
    Stop("signing-key-revoke-standby", "/admin/signing-keys/{standby}/revoke"),
    Stop("signing-key-revoke-retiring", "/admin/signing-keys/{retiring}/revoke"),
    Stop("audit", "/admin/audit", _opened),
    Stop("audit-filtered", "/admin/audit?type=session.&actor=root@facility.example"),
    Stop("audit-wrong-filter", "/admin/audit?subject=nobody-is-called-so"),
    Stop("audit-none", "/admin/audit?until=2020-01-01T00:00"),
    Stop("maintenance", "/admin/maintenance"),
)
"""Services, keys, the log and notices; `operated` has what is on them."""


async def arrive(tab: Watched, stop: Stop, ids: Mapping[str, str]) -> None:
    # From elsewhere: only what stands behind `#` would not load the page.
    await tab.page.goto("about:blank")
    await tab.open(stop.path.format(**ids))
    if stop.then:
        await stop.then(tab.page)
