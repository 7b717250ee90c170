"""Service accounts and API keys on the admin page: a secret is seen once, and a key is replaced without a gap."""

import re
from uuid import uuid4

import pytest
from auth_api.v1 import auth_pb2

from tests.pages.browser import Answer, Browser, administrator
from tests.support.service import Logs, Service

PATH = "/admin/service-accounts"
SECRET = re.compile(r"ak_[0-9A-Za-z]{8}_[0-9A-Za-z]{49}")


def text_of(page: Answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.text))


async def account(browser: Browser) -> str:
    """The path of one that was never there before."""
    made = await browser.fill(f"{PATH}/new", name=f"service-{uuid4().hex[:8]}", description="For tests")
    assert made.status == 303, made.text
    return made.location


async def new_key(browser: Browser, path: str, **typed: str) -> str:
    """Its secret."""
    answer = await browser.fill(f"{path}/keys/new", {"scopes": "experiments:read"} | typed)
    assert answer.status == 200, text_of(answer)
    (secret,) = set(SECRET.findall(answer.text))
    browser.service.secrets.add(secret)
    return str(secret)


async def is_taken(service: Service, secret: str) -> bool:
    """Whether the service lets the key in."""
    try:
        await service.auth.LoginService(auth_pb2.LoginServiceRequest(api_key=secret))
    except Exception:  # noqa: BLE001 -- whatever the refusal
        return False
    return True


def revoke_links(page: Answer) -> list[str]:
    return re.findall(r'href="([^"]+/revoke)"', page.text)


@pytest.mark.row("D6/REST")
async def test_a_secret_is_shown_once_and_never_again(service: Service, logs: Logs) -> None:
    browser = await administrator(service)
    path = await account(browser)

    answer = await browser.fill(f"{path}/keys/new", {"scopes": "experiments:read", "lifetime": "30"})

    (secret,) = set(SECRET.findall(answer.text))
    assert answer.text.count(secret) == 1
    assert answer.headers["Cache-Control"] == "no-store"
    assert await is_taken(service, secret)
    after = [await browser.open(each) for each in (path, PATH, f"{path}/keys/new", "/admin/audit", "/admin")]
    assert all(secret not in each.text for each in after)
    assert f"{secret[:11]}…" in after[0].text, "what it begins with is shown for ever"
    assert "API key made" in after[3].text
    assert secret not in logs.text
    assert secret not in "".join(browser.cookies.values())


@pytest.mark.row("D6/REST")
async def test_many_accounts_are_turned_by_pages_and_found_by_name(service: Service) -> None:
    browser, beginning = await administrator(service), f"many-{uuid4().hex[:8]}"
    for number in range(51):
        made = await browser.fill(f"{PATH}/new", name=f"{beginning}-{number:02}")
        assert made.status == 303, made.text
    # What the last form did is said once.
    await browser.open(made.location)

    first = await browser.open(f"{PATH}?name={beginning.upper()}")
    onward = re.search(r'href="(\?[^"]*)" rel="next"', first.text)
    assert onward is not None
    second = await browser.open(PATH + onward[1].replace("&amp;", "&"))

    assert (first.text.count(f">{beginning}-"), second.text.count(f">{beginning}-")) == (50, 1)
    assert "First page" in second.text
    assert 'rel="next"' not in second.text
    assert "No service is called so." in (await browser.open(f"{PATH}?name={beginning}x")).text
    wrong = await browser.open(f"{PATH}?name=Not+A+Name")
    assert (wrong.status, 'id="name-problem"' in wrong.text, "Show all" in wrong.text) == (422, True, True)
    assert (await browser.open(f"{PATH}?name={beginning}&page=nonsense")).status == 404
    # Whoever is called as others begin is found as well.
    of_one = await browser.open(f"/admin/audit?subject={beginning.upper()}-00")
    assert f"{beginning}-00" in of_one.text
    assert "Service account made" in of_one.text


async def test_a_form_that_is_sent_twice_makes_one_key(service: Service) -> None:
    browser = await administrator(service)
    path = await account(browser)
    form = (await browser.open(f"{path}/keys/new")).form()
    fields = form.fields | {"scopes": "users:read"}

    first, again = [await browser.send(f"{path}/keys/new", fields) for _ in range(2)]

    assert SECRET.search(first.text)
    assert (again.status, again.location) == (303, path)
    shown = await browser.open(path)
    assert "so none was made" in shown.text
    assert len(revoke_links(shown)) == 1


async def test_a_key_is_replaced_without_a_gap(service: Service) -> None:
    browser = await administrator(service)
    path = await account(browser)
    old = await new_key(browser, path)
    form = await browser.open(f"{path}/keys/new")
    assert re.search(r'value="experiments:read" checked', form.text), "a successor does what the key did"
    new = await new_key(browser, path)

    both = await browser.open(path)
    assert await is_taken(service, old)
    assert await is_taken(service, new)
    assert f"{path}/keys/new" not in both.text, "two are good, and a third is not offered"
    third = await browser.send(
        f"{path}/keys/new", (await browser.open(f"{path}/keys/new")).form().fields | {"scopes": "users:read"}
    )
    assert (third.status, SECRET.search(third.text)) == (409, None)
    to_old = revoke_links(both)[-1]
    confirmation = text_of(await browser.open(to_old))
    assert f"Revoke {old[:11]}…?" in confirmation
    assert f"The account's other key, {new[:11]}…, stays good" in confirmation
    gone = await browser.fill(to_old)

    assert (gone.status, gone.location) == (303, path)
    assert not await is_taken(service, old)
    assert await is_taken(service, new)


async def test_revoking_the_only_key_says_so(service: Service) -> None:
    browser = await administrator(service)
    path = await account(browser)
    await new_key(browser, path)

    (link,) = revoke_links(await browser.open(path))
    said = text_of(await browser.open(link))

    assert "It was never used." in said
    assert "It is the only good key of this account." in said


async def test_an_account_is_deleted_with_its_keys(service: Service) -> None:
    browser = await administrator(service)
    path = await account(browser)
    secret = await new_key(browser, path, lifetime="endless")

    said = text_of(await browser.open(f"{path}/delete"))
    assert "Its key is revoked" in said
    deleted = await browser.fill(f"{path}/delete")

    assert (deleted.status, deleted.location) == (303, PATH)
    assert not await is_taken(service, secret)
    assert (await browser.open(path)).status == 404


@pytest.mark.parametrize("name", ["Not A Name", "", "x" * 65, "a\x00b", "ünder", "<script>"])
async def test_a_name_that_cannot_be_is_marked_and_kept_for_mending(service: Service, name: str) -> None:
    browser = await administrator(service)

    answer = await browser.fill(f"{PATH}/new", name=name, description="<b>kept</b>")

    assert answer.status == 422
    assert 'id="name-problem"' in answer.text
    assert "&lt;b&gt;kept&lt;/b&gt;" in answer.text
    assert "<script>" not in answer.text


async def test_a_name_that_is_taken_is_said(service: Service) -> None:
    browser = await administrator(service)

    answer = await browser.fill(f"{PATH}/new", name="portal")

    assert (answer.status, 'role="alert"' in answer.text) == (409, True)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({}, "Expected some of"),
        ({"scopes": "everything"}, "Expected some of"),
        ({"scopes": "users:read", "lifetime": "36500"}, "Expected one of the lifetimes"),
        ({"scopes": "users:read", "lifetime": "soon"}, "Expected one of the lifetimes"),
        ({"scopes": "users:read", "lifetime": ""}, "Expected one of the lifetimes"),
    ],
)
async def test_a_key_that_cannot_be_is_not_made(service: Service, typed: dict[str, str], says: str) -> None:
    browser = await administrator(service)
    path = await account(browser)

    answer = await browser.fill(f"{path}/keys/new", typed)

    assert answer.status in (400, 422)
    assert says in answer.text
    assert not revoke_links(await browser.open(path))


@pytest.mark.parametrize("id_", ["6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "not-an-id", "%00", "..%2f..", "<b>"])
async def test_an_account_that_is_none_is_said_so(service: Service, id_: str) -> None:
    browser = await administrator(service)

    for rest in ("", "/delete", "/keys/new", f"/keys/{uuid4()}/revoke"):
        answer = await browser.open(f"{PATH}/{id_}{rest}")
        assert answer.status in (400, 404), rest
        assert "<b>" not in answer.text


async def test_a_key_of_another_account_is_not_revoked_by_this_ones_page(service: Service) -> None:
    browser = await administrator(service)
    path, other = await account(browser), await account(browser)
    secret = await new_key(browser, other)
    (link,) = revoke_links(await browser.open(other))

    answer = await browser.open(link.replace(other, path))

    assert answer.status == 404
    assert await is_taken(service, secret)


async def test_no_key_comes_or_goes_without_the_forms_token(service: Service) -> None:
    browser = await administrator(service)
    path = await account(browser)
    secret = await new_key(browser, path)
    (link,) = revoke_links(await browser.open(path))
    newest = (await browser.open(f"{path}/keys/new")).form().fields["newest"]

    wanted = {"scopes": "users:read", "lifetime": "30", "newest": newest}
    made = await browser.send(f"{path}/keys/new", wanted | {"form_token": "x"})
    revoked = await browser.send(link, {})
    deleted = await browser.send(f"{path}/delete", {"form_token": "x" * 5000})

    assert [each.status for each in (made, revoked, deleted)] == [403, 403, 403]
    assert not SECRET.search(made.text)
    assert await is_taken(service, secret)
    assert revoke_links(await browser.open(path)) == [link]
