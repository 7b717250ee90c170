"""The admin page: people and roles, through the methods and with the caller's own rights."""

import re

import pytest

from tests.pages.browser import PASSWORD, Browser
from tests.pages.browser import administrator as browser_of
from tests.rpc.conftest import Start
from tests.support.administering import Acting, administrator, new_name, signed_in
from tests.support.service import Service, refusal

BETTER = "nine walnuts under a wicker chair"
MARKUP = "<script>alert(1)</script>"


async def deputy_browser(service: Service) -> tuple[Browser, Acting]:
    """Somebody who administers people, below the administrators."""
    admin = await administrator(service)
    role = await admin.role(at_least=50)
    user = await admin.create(roles=[role.name], password=PASSWORD)
    browser = Browser(service)
    await browser.sign_in(user.username, PASSWORD)
    return browser, await signed_in(service, user.username, PASSWORD)


@pytest.mark.row("D6/REST")
async def test_a_person_is_created_shown_changed_and_found(service: Service) -> None:
    root, admin = await browser_of(service), await administrator(service)
    name = new_name()

    made = await root.fill(
        "/admin/people/new",
        username=name,
        display_name="Ada",
        email=f"{name}@example.org",
        password=PASSWORD,
        password_again=PASSWORD,
    )
    assert made.status == 303, made.text
    shown = await root.open(made.location)
    assert (shown.status, f"The account of {name} is made." in shown.text) == (200, True)
    # Said once.
    assert "is made." not in (await root.open(made.location)).text
    user = await admin.get(made.location.rpartition("/")[2])
    assert (user.username, user.display_name, user.must_change_password) == (name, "Ada", True)

    edited = await root.fill(f"{made.location}/edit", display_name="Countess", email_verified="yes")
    assert edited.status == 303, edited.text
    user = await admin.get(user.user_id)
    assert (user.display_name, user.email_verified, user.email) == ("Countess", True, f"{name}@example.org")

    for query in (f"name={name[:9]}", f"email={name}%40", f"name={name}&state=1"):
        assert name in (await root.open(f"/admin/people?{query}")).text, query
    for query in (f"name={name}&state=2", f"name=x{name}"):
        assert "Nobody is like that." in (await root.open(f"/admin/people?{query}")).text, query


@pytest.mark.row("D6/REST")
async def test_roles_are_granted_and_taken_away(service: Service) -> None:
    root, admin = await browser_of(service), await administrator(service)
    person, role = await admin.create(), await admin.role()
    page = f"/admin/people/{person.user_id}"

    offered = (await root.open(page)).form(f"{page}/roles")
    granted = await root.send(offered.action, offered.fields | {"role": role.name})
    assert (granted.status, granted.location) == (303, page)
    assert role.name in (await admin.get(person.user_id)).roles
    assert f"{person.username} has the role {role.name}." in (await root.open(page)).text

    assert (await root.fill(f"{page}/roles/{role.name}/revoke")).status == 303
    assert list((await admin.get(person.user_id)).roles) == ["user"]


@pytest.mark.row("D6/REST")
async def test_a_role_is_taken_away_with_every_session_where_that_is_ticked(service: Service) -> None:
    root, admin = await browser_of(service), await administrator(service)
    role = await admin.role()
    person = await admin.create(roles=[role.name], password=PASSWORD)
    pair = await service.login(person.username, PASSWORD)
    page = f"/admin/people/{person.user_id}/roles/{role.name}/revoke"

    assert "has to sign in again" in (await root.open(page)).text
    assert (await root.fill(page)).status == 303
    assert await service.verify(pair.access_token)
    assert (await root.fill(page, end_sessions="yes")).status == 303

    assert list((await admin.get(person.user_id)).roles) == ["user"]
    assert (await refusal(service.verify(pair.access_token))).reason == "TOKEN_REVOKED"


@pytest.mark.row("D6/REST")
async def test_a_person_is_locked_out_let_in_deleted_and_erased(service: Service) -> None:
    root, admin = await browser_of(service), await administrator(service)
    person = await admin.create()
    page = f"/admin/people/{person.user_id}"
    theirs = await signed_in(service, person.username, "a pony eats seven clever plums")

    asked = await root.open(f"{page}/disable")
    assert "Every session" in asked.text
    assert (await admin.get(person.user_id)).state == 1
    assert (await root.fill(f"{page}/disable", reason="Left")).location == page
    assert (await admin.get(person.user_id)).state == 2
    assert (await refusal(service.verify(theirs.token))).reason == "TOKEN_REVOKED"
    assert "Left" in (await root.open(page)).text

    assert (await root.fill(f"{page}/enable")).location == page
    assert (await admin.get(person.user_id)).state == 1
    assert (await root.fill(f"{page}/delete")).location == page
    deleted = await root.open(page)
    assert f'href="{page}/purge"' in deleted.text
    assert f'href="{page}/edit"' not in deleted.text
    assert (await root.fill(f"{page}/purge")).location == "/admin/people"
    assert (await root.open(page)).status == 404


@pytest.mark.row("D6/REST")
async def test_a_password_is_set_and_sessions_end(service: Service) -> None:
    root, admin = await browser_of(service), await administrator(service)
    person = await admin.create(password=PASSWORD)
    page = f"/admin/people/{person.user_id}"

    unlike = await root.fill(f"{page}/password", new_password=BETTER, password_again="another one")
    assert (unlike.status, "same twice" in unlike.text) == (422, True)
    weak = await root.fill(f"{page}/password", new_password="a" * 20, password_again="a" * 20)
    assert (weak.status, "harder to guess" in weak.text, "a" * 20 in weak.text) == (422, True, False)
    assert (await root.fill(f"{page}/password", new_password=BETTER, password_again=BETTER)).status == 303
    assert (await admin.get(person.user_id)).must_change_password

    await admin.set_password(person.user_id, PASSWORD)
    first, second = [await signed_in(service, person.username, PASSWORD) for _ in range(2)]
    session_id = (await service.verify(first.token)).session_id
    assert (await root.fill(f"{page}/sessions/{session_id}/end")).location == page
    assert (await refusal(service.verify(first.token))).reason == "TOKEN_REVOKED"
    assert (await service.verify(second.token)).subject == person.user_id
    assert (await root.fill(f"{page}/sessions")).location == page
    assert (await refusal(service.verify(second.token))).reason == "TOKEN_REVOKED"
    assert "is signed in nowhere" in (await root.open(page)).text


@pytest.mark.row("D6/REST")
async def test_a_form_that_is_refused_says_why_and_keeps_what_was_typed(service: Service) -> None:
    root, admin = await browser_of(service), await administrator(service)
    person, role = await admin.create(), await admin.role()
    form = (await root.open("/admin/people/new")).form()

    answer = await root.send(
        "/admin/people/new",
        [
            *({**form.fields, "username": person.username, "display_name": "Kept", "email": "not an address"}.items()),
            *(("password", PASSWORD), ("password_again", PASSWORD), ("roles", role.name), ("user_number", "17")),
        ],
    )
    assert (answer.status, 'value="Kept"' in answer.text, 'value="not an address"' in answer.text) == (422, True, True)
    assert re.search(rf'value="{role.name}" checked', answer.text)
    assert re.search(r'id="email-problem">[^<]+</p>', answer.text)
    assert PASSWORD not in answer.text
    taken = await root.fill("/admin/people/new", username=person.username, password="", display_name="Kept")
    assert (taken.status, 'id="username-problem"' in taken.text) == (409, True)
    number = await root.fill("/admin/people/new", username=new_name(), user_number="many")
    assert (number.status, 'id="user_number-problem"' in number.text) == (422, True)


@pytest.mark.row("D6/REST")
async def test_what_somebody_else_changed_meanwhile_stays(service: Service) -> None:
    root, admin = await browser_of(service), await administrator(service)
    person = await admin.create(display_name="Before")
    path = f"/admin/people/{person.user_id}/edit"
    form = (await root.open(path)).form()
    await admin.update(person.user_id, display_name="By a colleague")

    assert (await root.send(path, form.fields | {"email": f"{person.username}@example.org"})).status == 303

    now = await admin.get(person.user_id)
    assert (now.display_name, now.email) == ("By a colleague", f"{person.username}@example.org")
    nothing = await root.fill(path)
    assert "Nothing was changed." in (await root.open(nothing.location)).text


@pytest.mark.row("D6/REST", "S69")
async def test_nobody_below_administers(service: Service) -> None:
    browser, admin = Browser(service), await administrator(service)
    person = await admin.create()
    await browser.sign_in("user1001")

    for path in ("/admin", "/admin/people", "/admin/people/new", "/admin/roles", f"/admin/people/{person.user_id}"):
        answer = await browser.open(path)
        assert (answer.status, "level 100 or stronger" in answer.text) == (403, True), path
        assert person.username not in answer.text
        assert 'href="/admin/people"' not in answer.text
    account = await browser.open("/account")
    token = account.forms[0].fields["form_token"]
    answer = await browser.send(f"/admin/people/{person.user_id}/delete", {"form_token": token})
    assert answer.status == 403
    assert (await admin.get(person.user_id)).state == 1


@pytest.mark.row("D6/REST")
async def test_a_deputy_is_offered_what_a_deputy_may_do(service: Service) -> None:
    browser, deputy = await deputy_browser(service)
    admin = await administrator(service)
    below, weaker = await admin.create(), await admin.role(at_least=400)

    root_page = await browser.open(f"/admin/people/{admin.person_id}")
    assert "is above you: you may look, and change nothing." in root_page.text
    assert not re.search(r"/people/[^\"]*/(edit|disable|delete|password|roles)\"", root_page.text)
    page = await browser.open(f"/admin/people/{below.user_id}")
    assert all(
        f"/admin/people/{below.user_id}/{deed}" in page.text for deed in ("edit", "password", "disable", "delete")
    )
    assert f'<option value="{weaker.name}"' in page.text
    assert '<option value="admin"' not in page.text
    # The log is for the strongest.
    assert "What happened lately" not in page.text
    own = await browser.open(f"/admin/people/{deputy.person_id}")
    assert not re.search(r"/people/[^\"]*/(disable|delete|password)\"", own.text)

    # And who asks all the same is told no, by the methods.
    token = page.forms[0].fields["form_token"]
    for path, fields in (
        (f"/admin/people/{admin.person_id}/disable", {}),
        (f"/admin/people/{admin.person_id}/password", {"new_password": BETTER, "password_again": BETTER}),
        (f"/admin/people/{below.user_id}/roles", {"role": "admin"}),
        (f"/admin/people/{below.user_id}/purge", {}),
        (f"/admin/people/{deputy.person_id}/password", {"new_password": BETTER, "password_again": BETTER}),
    ):
        answer = await browser.send(path, {"form_token": token} | fields)
        assert answer.status == 403, (path, answer.text)
        assert 'role="alert"' in answer.text
    assert (await browser.open(f"/admin/people/{below.user_id}/purge")).status == 403


@pytest.mark.row("D6/REST")
async def test_the_last_administrator_stays(start: Start) -> None:
    service = await start()
    root, admin = await browser_of(service), await administrator(service)

    answer = await root.fill(f"/admin/people/{admin.person_id}/roles/admin/revoke")

    assert answer.status in (403, 409)
    assert "admin" in (await admin.get(admin.person_id)).roles


@pytest.mark.row("D6/REST")
async def test_many_people_are_turned_by_pages(service: Service) -> None:
    root, admin = await browser_of(service), await administrator(service)
    prefix = new_name()
    for number in range(51):
        await admin.create(f"{prefix}-{number:02}", password="")

    first = await root.open(f"/admin/people?name={prefix}")
    onward = re.search(r'href="(\?[^"]*)" rel="next"', first.text)
    assert onward is not None
    second = await root.open("/admin/people" + onward[1].replace("&amp;", "&"))

    assert (first.text.count(f">{prefix}-"), second.text.count(f">{prefix}-")) == (50, 1)
    assert "First page" in second.text
    assert 'rel="next"' not in second.text
    spoilt = await root.open(f"/admin/people?name={prefix}&page=nonsense")
    assert (spoilt.status, "There is no such page" in spoilt.text) == (404, True)


@pytest.mark.row("D6/REST")
async def test_roles_are_made_changed_and_deleted(service: Service) -> None:
    root, admin = await browser_of(service), await administrator(service)
    taken = {each.level for each in await admin.all_roles()}
    name, level = new_name(), next(each for each in range(700, 999) if each not in taken)

    made = await root.fill("/admin/roles/new", name=name, level=str(level), description="Turns\nthe knobs")
    assert (made.status, made.location) == (303, f"/admin/roles/{name}"), made.text
    person = await admin.create(roles=[name])
    shown = await root.open(f"/admin/roles/{name}")
    assert all(text in shown.text for text in ("Turns\nthe knobs", str(level), person.username))

    again = await root.fill("/admin/roles/new", name=name, level=str(level), description="Kept")
    assert (again.status, ">Kept</textarea>" in again.text) == (409, True)
    for field, typed in (("name", {"name": "Not A Role", "level": "9"}), ("level", {"name": name, "level": "x"})):
        assert f'id="{field}-problem"' in (await root.fill("/admin/roles/new", typed)).text
    assert (await root.fill("/admin/roles/new", name=new_name(), level="0")).status == 403
    assert (await root.fill(f"/admin/roles/{name}/edit", description="Less")).status == 303
    assert next(each for each in await admin.all_roles() if each.name == name).description == "Less"

    held = await root.fill(f"/admin/roles/{name}/delete")
    assert (held.status, "nobody has" in held.text) == (409, True)
    await admin.revoke(person.user_id, name)
    assert (await root.fill(f"/admin/roles/{name}/delete")).location == "/admin/roles"
    assert (await root.open(f"/admin/roles/{name}")).status == 404
    for built_in in ("admin", "staff", "user"):
        assert (await root.open(f"/admin/roles/{built_in}")).status == 200
        assert (await root.open(f"/admin/roles/{built_in}/edit")).status == 403


@pytest.mark.row("S69")
async def test_markup_in_names_is_text(service: Service) -> None:
    root, admin = await browser_of(service), await administrator(service)
    person = await admin.create(display_name=MARKUP, password=PASSWORD)
    role = await admin.role()
    await root.fill(f"/admin/roles/{role.name}/edit", description=MARKUP)
    await root.fill(f"/admin/people/{person.user_id}/disable", reason=MARKUP)
    await admin.enable(person.user_id)
    theirs = Browser(service)
    await theirs.sign_in(person.username, PASSWORD)

    pages = [
        await root.open(f"/admin/people?name={person.username}"),
        await root.open(f"/admin/people?name={MARKUP}&email={MARKUP}&role={MARKUP}&state={MARKUP}&page={MARKUP}"),
        await root.open(f"/admin/people/{person.user_id}"),
        await root.open(f"/admin/people/{person.user_id}/edit"),
        await root.open("/admin/people/new"),
        await root.open("/admin/roles"),
        await root.open(f"/admin/roles/{role.name}"),
        await root.open(f"/admin/roles/{MARKUP}"),
        await root.open(f"/{MARKUP}", Accept="text/html"),
        await root.fill("/admin/people/new", username=MARKUP + "\x00", display_name=MARKUP, email=MARKUP),
        await root.fill("/admin/roles/new", name=MARKUP, level=MARKUP, description=MARKUP),
        await Browser(service).fill(f"/sign-in?next={MARKUP}", username=MARKUP, password=MARKUP),
        await theirs.open("/account"),
    ]

    assert all(MARKUP not in page.text for page in pages)
    assert sum("&lt;script&gt;" in page.text for page in pages) >= 8


async def test_what_is_not_there_is_a_page_that_says_so(service: Service) -> None:
    root = await browser_of(service)

    for path in (
        "/admin/people/nobody",
        "/admin/people/00000000-0000-4000-8000-000000000000",
        "/admin/people/00000000-0000-4000-8000-000000000000/edit",
        "/admin/roles/no-such-role",
        "/admin/roles/No%20Role",
    ):
        answer = await root.open(path)
        assert (answer.status, "There is no such page" in answer.text) == (404, True), path
