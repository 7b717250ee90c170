"""The sign-in page: who comes in, who does not, and where they go."""

import re

import pytest

from tests.pages.browser import PASSWORD, Browser
from tests.rpc.conftest import Start
from tests.support.administering import administrator, new_name, signed_in
from tests.support.service import Service, bearer

BETTER = "nine walnuts under a wicker chair"
AWAY = "The system that knows your password does not answer."


@pytest.mark.row("D1", "C14/REST")
async def test_who_signs_in_gets_both_cookies_and_goes_where_they_wanted(service: Service) -> None:
    browser = Browser(service)

    answer = await browser.sign_in("user1001", to="/account/name")

    assert {"access_token", "refresh_token"} <= browser.cookies.keys()
    for cookie in answer.headers.getall("Set-Cookie"):
        assert {"HttpOnly", "Secure", "SameSite=lax"} <= set(cookie.split("; "))
    page = await browser.open("/account")
    assert (page.status, "user1001" in page.text) == (200, True)
    # The same token, as a bearer.
    async with service.http.get("/oauth/userinfo", headers=dict(bearer(browser.cookies["access_token"]))) as told:
        assert (await told.json())["sub"]


async def test_who_is_not_signed_in_is_sent_to_sign_in_and_comes_back(service: Service) -> None:
    answer = await Browser(service).open("/admin/people?state=2")

    assert (answer.status, answer.location) == (303, "/sign-in?next=%2Fadmin%2Fpeople%3Fstate%3D2")


async def test_a_wrong_password_says_so_and_keeps_the_name_only(service: Service) -> None:
    answer = await Browser(service).fill("/sign-in", username="user1001", password="guessed-by-nobody")

    assert answer.status == 422
    assert "User name or password is wrong." in answer.text
    assert 'value="user1001"' in answer.text
    assert "guessed-by-nobody" not in answer.text
    unknown = await Browser(service).fill("/sign-in", username="nobody-like-that", password="guessed-by-nobody")
    assert "User name or password is wrong." in unknown.text


async def test_nothing_typed_is_told_beside_its_field(service: Service) -> None:
    answer = await Browser(service).fill("/sign-in", username="", password="")

    assert answer.status == 422
    assert 'aria-invalid="true"' in answer.text


async def test_guessing_is_told_when_to_come_again(start: Start) -> None:
    service = await start(failures_here="2", failures_per_account="4", failures_per_address="30")
    browser = Browser(service)
    for _ in range(2):
        await browser.fill("/sign-in", username="user1001", password="guessed-by-nobody")

    answer = await browser.fill("/sign-in", username="user1001", password="user1001-password")

    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert re.search(
        r"Too many failed attempts; try again later\. Come again in \d+ (second|minute)s?( \d+ seconds?)?\.",
        answer.text,
    )
    assert 'value="user1001"' in answer.text


async def test_a_facility_that_is_away_is_not_a_wrong_password(start: Start) -> None:
    service = await start()
    service.facility.fault = {"/": "status 500"}
    try:
        answer = await Browser(service).fill("/sign-in", username="user1001", password="user1001-password")
    finally:
        service.facility.fault = {}

    assert (answer.status, AWAY in answer.text) == (503, True)
    assert "wrong" not in answer.text


async def test_a_password_that_somebody_else_chose_is_changed_on_the_way_in(service: Service) -> None:
    admin = await administrator(service)
    person = await admin.create(password=PASSWORD, must_change_password=True)
    browser = Browser(service)

    asked = await browser.fill("/sign-in?next=/account/name", username=person.username, password=PASSWORD)
    assert "Please choose one that only you know." in asked.text
    assert 'role="alert"' not in asked.text
    assert "access_token" not in browser.cookies
    form = asked.form()
    weak = await browser.send(form.action, form.fields | {"password": PASSWORD, "new_password": "password"})
    assert (weak.status, "15 to 1024 characters" in weak.text) == (422, True)
    guessable = await browser.send(
        form.action, form.fields | {"password": PASSWORD, "new_password": "aaaaaaaaaaaaaaaa"}
    )
    assert "harder to guess" in guessable.text
    for told in (asked, weak, guessable):
        assert PASSWORD not in told.text
    done = await browser.send(form.action, form.fields | {"password": PASSWORD, "new_password": BETTER})

    assert (done.status, done.location) == (303, "/account/name")
    await signed_in(service, person.username, BETTER)


async def test_an_address_that_has_to_be_verified_first_is_told_how(start: Start) -> None:
    service = await start(require_verified_email="true")
    person = await (await administrator(service)).create(password=PASSWORD, email=f"{new_name()}@example.org")

    answer = await Browser(service).fill("/sign-in", username=person.username, password=PASSWORD)

    assert "show first that your e-mail address is yours" in answer.text
    assert 'href="/verify-email/again"' in answer.text


@pytest.mark.row("S69")
async def test_each_sign_in_is_a_new_session_and_the_one_before_ends(service: Service) -> None:
    """Nobody plants a session: whatever cookies came along, those of afterwards are new ones."""
    mallory, ada = Browser(service), Browser(service)
    await mallory.sign_in("user1003")
    planted = dict(mallory.cookies)
    ada.cookies |= planted

    await ada.sign_in("user1001")

    assert not set(planted.values()) & {ada.cookies["access_token"], ada.cookies["refresh_token"]}
    assert "user1001" in (await ada.open("/account")).text
    assert (await mallory.open("/account")).location.startswith("/sign-in")


@pytest.mark.row("S69")
@pytest.mark.parametrize("changed", ["form_token", "cookie", "both", "origin", "site"])
async def test_no_other_site_signs_a_person_in(service: Service, changed: str) -> None:
    browser, other = Browser(service), Browser(service)
    form = (await browser.open("/sign-in")).form()
    foreign = (await other.open("/sign-in")).form()
    fields = form.fields | {"username": "user1003", "password": "user1003-password"}
    headers: dict[str, str] = {}
    match changed:
        case "form_token":
            fields["form_token"] = foreign.fields["form_token"]
        case "cookie":
            browser.cookies.clear()
        case "both":
            browser.cookies.clear()
            del fields["form_token"]
        case "origin":
            headers = {"Sec_Fetch_Site": "", "Origin": "https://evil.example"}
        case "site":
            headers = {"Sec_Fetch_Site": "cross-site"}

    answer = await browser.send(form.action, fields, **headers)

    assert answer.status == 403
    assert "access_token" not in browser.cookies
    if changed in ("form_token", "cookie", "both"):
        assert 'value="user1003"' in answer.text
        assert "user1003-password" not in answer.text
        # The page that says so is a good one.
        again = answer.form()
        assert (await browser.send(again.action, fields | {"form_token": again.fields["form_token"]})).status == 303


@pytest.mark.row("S69")
@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https:evil.example", "https://evil.example/", "/x%0d%0aX: y"]
)
async def test_sign_in_leads_to_no_other_site(service: Service, target: str) -> None:
    browser = Browser(service)
    page = await browser.call("GET", "/sign-in", headers={}, params={"next": target})
    form = page.form()

    for action in (form.action, f"/sign-in?next={target}"):
        answer = await browser.send(action, form.fields | {"username": "user1001", "password": "user1001-password"})
        assert (answer.status, answer.location) == (303, "/account"), action
        form = (await browser.open("/sign-in")).form()
    assert "evil.example" not in page.text


async def test_sign_in_leads_to_listed_origins_and_says_so_to_the_browser(start: Start) -> None:
    service = await start(next_origins="https://portal.example")
    browser = Browser(service)

    page = await browser.open("/sign-in?next=https://portal.example/reports")
    form = page.form()
    answer = await browser.send(form.action, form.fields | {"username": "user1001", "password": "user1001-password"})

    assert answer.location == "https://portal.example/reports"
    # Else browsers stop at the redirect.
    assert "form-action 'self' https://portal.example;" in page.headers["Content-Security-Policy"]


async def test_who_is_signed_in_is_told_so_and_not_sent_round(service: Service) -> None:
    browser = Browser(service)
    await browser.sign_in("user1001")

    page = await browser.open("/sign-in?next=/somewhere")

    assert page.status == 200
    assert re.search(r'signed in as <strong>user1001</strong>. <a href="/somewhere">', page.text)


@pytest.mark.row("C14/REST")
async def test_sign_out_ends_the_session_and_takes_the_cookies(service: Service) -> None:
    browser = Browser(service)
    await browser.sign_in("user1001")
    held = dict(browser.cookies)
    form = next(each for each in (await browser.open("/account")).forms if each.action == "/sign-out")

    answer = await browser.send(form.action, form.fields)

    assert (answer.status, answer.location) == (303, "/sign-in?signed-out=1")
    assert not browser.cookies.keys() & {"access_token", "refresh_token"}
    assert "You are signed out." in (await browser.open(answer.location)).text
    browser.cookies |= held
    assert (await browser.open("/account")).location.startswith("/sign-in")


@pytest.mark.row("S69")
async def test_no_other_site_signs_a_person_out(service: Service) -> None:
    browser = Browser(service)
    await browser.sign_in("user1001")

    assert (await browser.send("/sign-out", {})).status == 403
    assert (await browser.send("/sign-out", {"form_token": "x"}, Sec_Fetch_Site="cross-site")).status == 403

    assert (await browser.open("/account")).status == 200
    assert (await browser.open("/sign-out")).status == 200


@pytest.mark.row("D1")
async def test_the_next_tokens_come_on_the_way_for_looking_and_for_changing(service: Service) -> None:
    """A browser whose access token is over has the refresh token still."""
    browser = Browser(service)
    await browser.sign_in("user1003")
    page = await browser.open("/account/sessions/end")
    del browser.cookies["access_token"]
    spent = browser.cookies["refresh_token"]

    changed = await browser.send("/account/sessions/end", page.form().fields)

    assert (changed.status, "access_token" in browser.cookies) == (303, True)
    assert browser.cookies["refresh_token"] != spent
    del browser.cookies["access_token"]
    assert (await browser.open("/account")).status == 200
    assert "access_token" in browser.cookies


async def test_a_session_that_is_over_leads_to_sign_in_and_takes_the_cookies(service: Service) -> None:
    browser = Browser(service)
    await browser.sign_in("user1001")
    await service.logout(browser.cookies["refresh_token"])

    answer = await browser.open("/account")

    assert answer.location == "/sign-in?next=%2Faccount"
    assert not browser.cookies.keys() & {"access_token", "refresh_token"}


async def test_behind_a_path_prefix_every_address_has_it(start: Start) -> None:
    service = await start(path_prefix="/auth")
    browser = Browser(service)

    page = await browser.open("/auth/sign-in")
    addresses = re.findall(r'(?:href|src|action)="([^"]*)"', page.text)
    answer = await browser.fill("/auth/sign-in", username="user1001", password="user1001-password")

    assert addresses
    assert all(each.startswith(("/auth/", "#")) for each in addresses)
    assert answer.location == "/auth/account"
    assert (await browser.open("/auth/admin")).status == 403
    assert (await Browser(service).open("/auth/account")).location == "/auth/sign-in?next=%2Fauth%2Faccount"


async def test_cookies_may_be_bound_to_the_host_by_their_names(start: Start) -> None:
    service = await start(cookie_name="__Host-refresh", access_cookie_name="__Host-access")
    browser = Browser(service)

    await browser.sign_in("user1001")

    assert browser.cookies.keys() == {"__Host-refresh", "__Host-access", "__Host-browser"}
    assert (await browser.open("/account")).status == 200


@pytest.mark.row("S69")
async def test_a_link_elsewhere_signs_nobody_out(service: Service) -> None:
    browser = Browser(service)
    await browser.sign_in("user1001")
    session = {name: value for name, value in browser.cookies.items() if name.endswith("_token")}
    others = {name: value for name, value in browser.cookies.items() if name not in session}

    # As browsers send it where the session's cookies are `SameSite=Strict`: with the others only.
    linked = Browser(service, dict(others))
    sent_on = await linked.open("/account")
    over = await Browser(service, others | {"refresh_token": "x"}).open("/account")

    assert (sent_on.status, sent_on.headers.getall("Set-Cookie", [])) == (303, [])
    assert {each.partition("=")[0] for each in over.headers.getall("Set-Cookie")} == session.keys()
    assert (await browser.open("/account")).status == 200
