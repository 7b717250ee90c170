"""Services that call us, and their API keys. A secret is in one answer, and nowhere again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from auth_service.domain.api_keys import MOST_GOOD_KEYS, SCOPES
from auth_service.domain.policy import STRONGEST_LEVEL
from auth_service.web.methods import Answer
from auth_service.web.pages.admin.sections import endpoint, query_of
from auth_service.web.pages.admin.wire import moment, timestamp
from auth_service.web.pages.site import Section, Site
from auth_service.web.pages.visits import Handler, Visit

PATH = "/admin/service-accounts"
LEVEL = STRONGEST_LEVEL
PAGE_SIZE = 50
ENDLESS = "endless"
LIFETIMES = {"30": "30 days", "90": "90 days", "365": "1 year", ENDLESS: "Without end"}
USED_LATELY = timedelta(hours=1)
SOON = timedelta(days=14)

_SCOPES = {
    "audit:read": "Read the audit log",
    "experiments:read": "List anybody's experiments",
    "roles:read": "Read roles and their levels",
    "users:read": "Find a person's id or user name",
}


def routes(site: Site) -> Sequence[BaseRoute]:
    def route(path: str, handler: Handler, *methods: str) -> Route:
        return Route(PATH + path, endpoint(site, handler, level=LEVEL), methods=["GET", *methods])

    return [
        route("", _list),
        route("/new", _new, "POST"),
        route("/{account}", _account),
        route("/{account}/delete", _delete, "POST"),
        route("/{account}/keys/new", _new_key, "POST"),
        route("/{account}/keys/{key}/revoke", _revoke_key, "POST"),
    ]


@dataclass(frozen=True, slots=True)
class ShownKey:
    """A key as pages show it. `state` is `good`, `revoked` or `expired`."""

    key: Any
    state: str
    ends_soon: bool
    was_used_lately: bool


async def _list(visit: Visit) -> Response:
    asked = visit.query("name").strip()
    answer = await visit.page_of("ServiceAccountService/ListServiceAccounts", page_size=PAGE_SIZE, name_prefix=asked)
    listed = answer.response
    return await visit.page(
        "admin/service_accounts.html",
        refused=answer if answer.code != "ok" else None,
        accounts=listed.service_accounts if listed else [],
        asked=asked,
        is_first=not visit.query("page"),
        first_page=query_of(name=asked),
        next_page=query_of(name=asked, page=listed.next_page_token) if listed and listed.next_page_token else "",
    )


async def _new(visit: Visit) -> Response:
    if not visit.is_post:
        return await visit.page("admin/service_account_new.html", form=visit.form)
    answer = await visit.change(
        "ServiceAccountService/CreateServiceAccount",
        name=visit.form["name"].strip(),
        description=visit.form["description"].strip(),
    )
    if answer.code != "ok":
        return await visit.page("admin/service_account_new.html", refused=answer, form=visit.form)
    account = answer.response.service_account
    return visit.done(f"{PATH}/{account.service_account_id}", f"{account.name} is made. It has no key yet.")


async def _account(visit: Visit) -> Response:
    return await visit.page("admin/service_account.html", **await _told(visit))


async def _delete(visit: Visit) -> Response:
    told = await _told(visit)
    if not visit.is_post:
        return await visit.page("admin/service_account_delete.html", **told)
    answer = await visit.change("ServiceAccountService/DeleteServiceAccount", service_account_id=_id(visit))
    if answer.code != "ok":
        return await visit.page("admin/service_account_delete.html", refused=answer, **told)
    return visit.done(PATH, f"{told['account'].name} is deleted, and its keys are revoked.")


async def _new_key(visit: Visit) -> Response:
    told = await _told(visit)
    if not visit.is_post:
        return await _key_form(visit, told)
    # A page that is sent twice must not make two keys: the second is not made from what its page had shown.
    if visit.form["newest"] != told["newest"]:
        return visit.done(f"{PATH}/{_id(visit)}", "The keys changed after you opened the form, so none was made.")
    lifetime = visit.form["lifetime"]
    if lifetime not in LIFETIMES:
        return await visit.error(400, "Expected one of the lifetimes of the form.")
    ends = {}
    if lifetime != ENDLESS:
        ends["expires_at"] = timestamp(datetime.now(UTC) + timedelta(days=int(lifetime)))
    answer = await visit.change(
        "ServiceAccountService/CreateApiKey", service_account_id=_id(visit), scopes=visit.form.all_of("scopes"), **ends
    )
    if answer.code != "ok":
        return await _key_form(visit, told, refused=answer)
    return await visit.page(
        "admin/api_key_secret.html", account=told["account"], key=answer.response.api_key, secret=answer.response.secret
    )


async def _key_form(visit: Visit, told: dict[str, Any], *, refused: Answer | None = None) -> Response:
    former: Any = next((each.key for each in told["keys"] if each.state == "good"), None)
    return await visit.page(
        "admin/api_key_new.html",
        refused=refused,
        scopes=[(each, _SCOPES.get(each, "")) for each in SCOPES],
        # A successor does what the key did that it is to replace.
        ticked=set(visit.form.all_of("scopes") if visit.is_post else former.scopes if former else ()),
        lifetimes=list(LIFETIMES.items()),
        lifetime=visit.form["lifetime"] if visit.is_post else "90",
        **told,
    )


async def _revoke_key(visit: Visit) -> Response:
    told = await _told(visit)
    shown = next((each for each in told["keys"] if each.key.api_key_id == visit.path("key")), None)
    if shown is None:
        return await visit.error(404, "There is no such key, or it is another account's.")
    others = [each for each in told["keys"] if each.state == "good" and each is not shown]
    if not visit.is_post:
        return await visit.page("admin/api_key_revoke.html", shown=shown, others=others, **told)
    answer = await visit.change("ServiceAccountService/RevokeApiKey", api_key_id=shown.key.api_key_id)
    if answer.code != "ok":
        return await visit.page("admin/api_key_revoke.html", refused=answer, shown=shown, others=others, **told)
    return visit.done(f"{PATH}/{_id(visit)}", f"{shown.key.prefix or 'The key'} is revoked, and its tokens with it.")


async def _told(visit: Visit) -> dict[str, Any]:
    """What the pages of one account show. Raises Refused."""
    found = await visit.read("ServiceAccountService/GetServiceAccount", service_account_id=_id(visit))
    # An account has two good keys at most, and one page of former ones is enough to see what was.
    listed = await visit.read("ServiceAccountService/ListApiKeys", service_account_id=_id(visit))
    now = datetime.now(UTC)
    keys = [_shown(each, now=now) for each in listed.api_keys]
    return {
        "account": found.service_account,
        "keys": keys,
        "newest": listed.api_keys[0].api_key_id if listed.api_keys else "",
        "good": sum(each.state == "good" for each in keys),
        "most": MOST_GOOD_KEYS,
        "are_more": bool(listed.next_page_token),
    }


def _shown(key: Any, *, now: datetime) -> ShownKey:
    ends_at, used_at = moment(key, "expires_at"), moment(key, "last_used_at")
    state = "good"
    if key.HasField("revoked_at"):
        state = "revoked"
    elif ends_at is not None and ends_at <= now:
        state = "expired"
    return ShownKey(
        key,
        state,
        ends_soon=state == "good" and ends_at is not None and ends_at - now < SOON,
        was_used_lately=used_at is not None and now - used_at < USED_LATELY,
    )


def _id(visit: Visit) -> str:
    return visit.path("account")


SECTION = Section(PATH, "Services", LEVEL, routes)
