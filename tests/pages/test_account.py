"""One's own account, and where mailed links lead."""

from collections.abc import AsyncIterator

import pytest

from tests.pages.browser import PASSWORD, Browser
from tests.rpc.conftest import Start
from tests.support.administering import administrator, new_name, signed_in
from tests.support.mail_server import MailServer, running_mail_server
from tests.support.service import Service, refusal

BETTER = "nine walnuts under a wicker chair"


async def somebody(service: Service, **fields: str) -> tuple[Browser, str]:
    """A person of ours, signed in; and their id."""
    person = await (await administrator(service)).create(password=PASSWORD, **fields)
    browser = Browser(service)
    await browser.sign_in(person.username, PASSWORD)
    return browser, person.user_id


async def test_a_person_changes_their_name(service: Service) -> None:
    browser, person_id = await somebody(service)

    done = await browser.fill("/account/name", display_name="Ada Ŝ")
    assert (done.status, done.location) == (303, "/account")
    assert "Your name is changed." in (await browser.open("/account")).text
    refused = await browser.fill("/account/name", display_name="x" * 300)

    assert (await (await administrator(service)).get(person_id)).display_name == "Ada Ŝ"
    assert (refused.status, 'id="display_name-problem"' in refused.text) == (422, True)


async def test_a_person_changes_their_address_with_their_password(service: Service) -> None:
    browser, person_id = await somebody(service)
    address = f"{new_name()}@example.org"

    wrong = await browser.fill("/account/email", email=address, current_password="not it")
    spoilt = await browser.fill("/account/email", email="no address", current_password=PASSWORD)
    done = await browser.fill("/account/email", email=address, current_password=PASSWORD)

    assert (wrong.status, spoilt.status, done.status) == (422, 422, 303)
    assert f'value="{address}"' in wrong.text
    assert 'id="email-problem"' in spoilt.text
    user = await (await administrator(service)).get(person_id)
    assert (user.email, user.email_verified) == (address, False)


async def test_what_is_said_of_an_address_is_what_happened(service: Service) -> None:
    browser, _ = await somebody(service)
    address = f"{new_name()}@example.org"

    for typed, said in (
        ("", "You have no address."),
        (address, "A mail asks you to show that it is yours."),
        (address, "That was your address already."),
        ("", "You have no address any more."),
    ):
        await browser.fill("/account/email", email=typed, current_password=PASSWORD)
        assert said in (await browser.open("/account")).text


async def test_how_long_a_new_password_has_to_be_is_said_where_it_is_typed(start: Start) -> None:
    service = await start(password_min_length="11")
    browser, _ = await somebody(service)

    for path in ("/account/password", "/register"):
        assert "At least 11 characters" in (await browser.open(path)).text


async def test_a_person_changes_their_password_and_other_sessions_end(service: Service) -> None:
    browser, person_id = await somebody(service)
    name = (await (await administrator(service)).get(person_id)).username
    elsewhere = await signed_in(service, name, PASSWORD)

    wrong = await browser.fill("/account/password", current_password="not it", new_password=BETTER)
    weak = await browser.fill("/account/password", current_password=PASSWORD, new_password="short")
    done = await browser.fill("/account/password", current_password=PASSWORD, new_password=BETTER)

    assert (wrong.status, weak.status, done.status) == (422, 422, 303)
    assert "Your present password is wrong." in wrong.text
    assert 'id="new_password-problem"' in weak.text
    assert not any(secret in page.text for page in (wrong, weak) for secret in (PASSWORD, BETTER))
    assert (await refusal(service.verify(elsewhere.token))).reason == "TOKEN_REVOKED"
    assert (await browser.open("/account")).status == 200


async def test_a_person_sees_and_ends_their_sessions(service: Service) -> None:
    browser, person_id = await somebody(service)
    name = (await (await administrator(service)).get(person_id)).username
    one, two = [await signed_in(service, name, PASSWORD) for _ in range(2)]
    session_id = (await service.verify(one.token)).session_id

    page = await browser.open("/account")
    assert page.text.count("this one") == 1
    assert (await browser.fill(f"/account/sessions/{session_id}/end")).location == "/account"
    assert (await refusal(service.verify(one.token))).reason == "TOKEN_REVOKED"
    assert (await browser.fill("/account/sessions/end")).location == "/account"
    assert (await refusal(service.verify(two.token))).reason == "TOKEN_REVOKED"
    assert (await browser.open("/account")).status == 200


async def test_a_person_of_the_facility_is_offered_what_is_theirs_to_do(service: Service) -> None:
    browser = Browser(service)
    await browser.sign_in("user1003")

    page = await browser.open("/account")

    assert "Your name and your password are kept by the facility, and changed there." in page.text
    assert "this one" in page.text
    for part in ("name", "email", "password"):
        assert f'href="/account/{part}"' not in page.text
        refused = await browser.open(f"/account/{part}")
        assert (refused.status, "are not kept here" in refused.text) == (403, True)
    other = await signed_in(service, "user1003", None)
    assert "1 other session has ended." in await said_after(browser, "/account/sessions/end")
    assert (await refusal(service.verify(other.token))).reason == "TOKEN_REVOKED"
    assert "There is no address to verify." in await said_after(browser, "/account/email/verify")


async def said_after(browser: Browser, path: str) -> str:
    """The account's page after the form at `path` was sent, or the page itself had nothing to ask."""
    page = await browser.open(path)
    if page.status == 200:
        page = await browser.send(path, page.form().fields)
    assert (page.status, page.location) == (303, "/account")
    return (await browser.open("/account")).text


@pytest.fixture
async def post() -> AsyncIterator[MailServer]:
    async with running_mail_server() as post:
        yield post


async def mailing(start: Start, post: MailServer) -> Service:
    return await start(
        smtp_address=f"127.0.0.1:{post.port}",
        smtp_tls="none",
        mail_from="auth@facility.example",
        mail_link_base="https://auth.facility.example",
    )


async def test_a_forgotten_password_is_replaced_by_mail(start: Start, post: MailServer) -> None:
    service = await mailing(start, post)
    address = f"{new_name()}@example.org"
    person = await (await administrator(service)).create(password=PASSWORD, email=address)
    browser = Browser(service)

    asked = await browser.fill("/forgotten-password", email=address)
    unknown = await browser.fill("/forgotten-password", email="nobody@example.org")
    mail = await post.mail_to(address)
    service.secrets.add(mail.token)
    assert (asked.status, asked.text.replace(address, "")) == (200, unknown.text.replace("nobody@example.org", ""))
    assert "https://auth.facility.example/reset-password#token=" in mail.text

    assert (await browser.open("/reset-password")).status == 200
    typed = {"token": mail.token, "new_password": BETTER, "password_again": BETTER}
    unlike = await browser.fill("/reset-password", typed | {"password_again": "x"})
    weak = await browser.fill("/reset-password", typed | {"new_password": "a" * 20, "password_again": "a" * 20})
    done = await browser.fill("/reset-password", typed)
    again = await browser.fill("/reset-password", typed)

    assert (unlike.status, weak.status, done.status, again.status) == (422, 422, 200, 422)
    # The token is good still, and so it is kept for the next try.
    assert mail.token in weak.text
    assert "This link is of no use any more" in again.text
    assert "If you used it just now, it has worked" in again.text
    await signed_in(service, person.username, BETTER)


async def test_an_address_is_verified_by_a_click_and_not_by_looking(start: Start, post: MailServer) -> None:
    service = await mailing(start, post)
    address = f"{new_name()}@example.org"
    admin = await administrator(service)
    person = await admin.create(password=PASSWORD, email=address)
    browser = Browser(service)

    assert "a mail is on its way" in (await browser.fill("/verify-email/again", email=address)).text
    mail = await post.mail_to(address)
    service.secrets.add(mail.token)
    await browser.open("/verify-email")
    assert not (await admin.get(person.user_id)).email_verified
    # Where no script puts it there, somebody copies the link as it is.
    done = await browser.fill("/verify-email", token=f"https://auth.facility.example/verify-email#token={mail.token}")

    assert "The address is yours." in done.text
    assert (await admin.get(person.user_id)).email_verified
    assert (await browser.fill("/verify-email", token=mail.token)).status == 422
    assert (await browser.send("/verify-email", {"token": mail.token})).status == 403


async def test_an_address_is_verified_from_the_account_page(start: Start, post: MailServer) -> None:
    service = await mailing(start, post)
    address = f"{new_name()}@example.org"
    browser, person_id = await somebody(service, email=address)

    assert 'href="/account/email/verify"' in (await browser.open("/account")).text
    assert f"A mail to {address} is on its way." in await said_after(browser, "/account/email/verify")
    mail = await post.mail_to(address)
    service.secrets.add(mail.token)
    done = await browser.fill("/verify-email", token=mail.token)

    assert 'href="/account"' in done.text
    assert (await (await administrator(service)).get(person_id)).email_verified
    assert "/account/email/verify" not in (await browser.open("/account")).text


async def test_where_no_mail_is_sent_none_is_promised(start: Start) -> None:
    service = await start(
        profile="production",
        allow_plaintext="true",
        providers="local",
        uows_url="",
        allocations_url="",
        registration="true",
    )
    browser, _ = await somebody(service, email=f"{new_name()}@example.org")

    for path in ("/forgotten-password", "/verify-email/again"):
        for page in (await browser.open(path), await browser.send(path, {"email": "a@b.example"})):
            assert "This service sends no mail" in page.text
            assert "on its way" not in page.text
    assert "/account/email/verify" not in (await browser.open("/account")).text
    assert (await browser.open("/account/email/verify")).status == 404
    await browser.fill("/account/email", email=f"{new_name()}@example.org", current_password=PASSWORD)
    said = (await browser.open("/account")).text
    assert ("Your address is changed." in said, "A mail" in said) == (True, False)
    assert "forgotten password stays forgotten" not in (await browser.open("/register")).text


async def test_where_only_the_facility_keeps_passwords_no_form_promises_another(start: Start) -> None:
    service = await start(providers="uows")

    page = await Browser(service).open("/forgotten-password")

    assert "The facility keeps your password." in page.text
    assert "E-mail address" not in page.text


async def test_people_make_accounts_where_they_may(start: Start) -> None:
    service = await start(registration="true")
    browser, name = Browser(service), new_name()
    typed = {"username": name, "email": f"{name}@example.org", "password": PASSWORD, "password_again": PASSWORD}

    assert 'href="/register"' in (await browser.open("/sign-in")).text
    unlike = await browser.fill("/register", typed | {"password_again": "x"})
    weak = await browser.fill("/register", typed | {"password": "a" * 20, "password_again": "a" * 20})
    made = await browser.fill("/register", typed)
    taken = await browser.fill("/register", typed)

    assert (unlike.status, weak.status, made.status, taken.status) == (422, 422, 200, 409)
    assert f"You sign in as <strong>{name}</strong>." in made.text
    assert f'value="{name}"' in weak.text
    assert not any(PASSWORD in page.text for page in (unlike, weak, made, taken))
    await browser.sign_in(name, PASSWORD)


async def test_where_people_may_not_make_accounts_nothing_offers_it(start: Start) -> None:
    service = await start(registration="false")
    browser = Browser(service)

    assert "/register" not in (await browser.open("/sign-in")).text
    assert (await browser.open("/register")).status == 404
    assert (await browser.send("/register", {"username": new_name()})).status == 404


@pytest.mark.parametrize(
    ("user_agent", "program"),
    [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 "
            "Safari/537.36 Edg/130.0.0.0",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.0 Mobile/15E148 Safari/604.1",
            "Safari on iPhone",
        ),
        ("Mozilla/5.0 (something new)", "Mozilla/5.0 (something new)"),
        ("simulation-runner/3", "simulation-runner/3"),
    ],
)
async def test_programs_are_called_as_people_call_them(service: Service, user_agent: str, program: str) -> None:
    person = await (await administrator(service)).create(password=PASSWORD)
    browser = Browser(service)
    form = (await browser.open("/sign-in")).form()
    signing_in = form.fields | {"username": person.username, "password": PASSWORD}

    assert (await browser.send(form.action, signing_in, **{"User-Agent": user_agent})).status == 303

    assert f">{program}<" in (await browser.open("/account")).text
