"""Who may see and do what on the pages about services, keys and the log, and that nothing happens by accident."""

from uuid import uuid4

import pytest

from tests.pages.browser import PASSWORD, Browser, administrator
from tests.support.service import Service, token_of

ID = str(uuid4())
SEEN = (
    "/admin/service-accounts",
    "/admin/service-accounts/new",
    f"/admin/service-accounts/{ID}",
    f"/admin/service-accounts/{ID}/delete",
    f"/admin/service-accounts/{ID}/keys/new",
    f"/admin/service-accounts/{ID}/keys/{ID}/revoke",
    "/admin/signing-keys",
    "/admin/signing-keys/consumers",
    "/admin/signing-keys/rotate",
    "/admin/signing-keys/roll-back",
    "/admin/signing-keys/canary",
    "/admin/signing-keys/some-key/revoke",
    "/admin/audit",
    "/admin/audit/events",
)
"""By administrators alone."""
CHANGES = (
    "/admin/service-accounts/new",
    "/admin/signing-keys/rotate",
    "/admin/signing-keys/roll-back",
    "/admin/signing-keys/canary",
    "/admin/maintenance/maintenance",
)


async def helper(service: Service) -> Browser:
    """Somebody of level 100: they look after people, and no more."""
    root = await administrator(service)
    await root.fill("/admin/roles/new", name="helper-of-pages", level="100", description="")
    return await administrator(service, "helper@facility.example", "helper-of-pages")


@pytest.mark.row("B2")
async def test_what_is_for_administrators_is_neither_offered_to_others_nor_shown(service: Service) -> None:
    browser = await helper(service)

    overview = await browser.open("/admin")
    assert overview.status == 200
    assert 'href="/admin/people"' in overview.text
    assert 'href="/admin/maintenance"' in overview.text
    for path in SEEN:
        assert f'href="{path}"' not in overview.text
        assert (await browser.open(path)).status == 403, path
    for path in CHANGES[:-1]:
        form = (await browser.open("/account")).forms[0]
        assert (await browser.send(path, form.fields)).status == 403, path


async def test_whoever_is_nobody_here_sees_none_of_it(service: Service) -> None:
    await token_of(service, "person@facility.example", PASSWORD)
    person = Browser(service)
    await person.sign_in("person@facility.example", PASSWORD)

    for path in (*SEEN, "/admin", "/admin/maintenance"):
        assert (await person.open(path)).status == 403, path
        assert (await Browser(service).open(path)).status == 303, path


@pytest.mark.parametrize("path", CHANGES)
async def test_nothing_changes_without_the_forms_token_or_from_elsewhere(service: Service, path: str) -> None:
    browser = await administrator(service)
    other = await helper(service)
    fields = {"name": f"made-{uuid4().hex[:8]}", "anyway": "yes", "show": "yes", "maintenance_message": "Down"}
    before = (await browser.open("/admin/audit")).text.count("<li id=")
    theirs = (await other.open("/account")).forms[0].fields["form_token"]
    own = (await browser.open("/account")).forms[0].fields["form_token"]

    without = await browser.send(path, fields)
    anothers = await browser.send(path, fields | {"form_token": theirs})
    elsewhere = await browser.send(path, fields | {"form_token": own}, Sec_Fetch_Site="cross-site")

    assert [each.status for each in (without, anothers, elsewhere)] == [403, 403, 403]
    assert (await browser.open("/admin/audit")).text.count("<li id=") == before
