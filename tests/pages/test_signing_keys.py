"""The pages about signing keys: what they show, what they say before a change, and that it then is so."""

import re
from datetime import timedelta

import pytest
from auth_api.v1 import keys_pb2

from tests.pages.browser import Answer, Browser, administrator
from tests.rpc.conftest import Start
from tests.rpc.test_key_consumers import of_a_while
from tests.support.conditions import eventually
from tests.support.service import Service

PATH = "/admin/signing-keys"
JWKS = "/.well-known/jwks.json"


def text_of(page: Answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.text))


async def ring(browser: Browser) -> dict[str, str]:
    """The kids by their state; of several in one state, the newest."""
    await browser.open("/account")
    metadata = (("authorization", f"Bearer {browser.cookies['access_token']}"),)
    listed = await browser.service.keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=metadata)
    states = {each.kid: keys_pb2.SigningKeyState.Name(each.state)[18:].lower() for each in listed.signing_keys}
    return {state: kid for kid, state in reversed(states.items())}


async def consumer(service: Service, name: str) -> None:
    """One that has come for long enough to count."""
    async with service.http.get(JWKS, headers={"x-consumer-name": name}) as answer:
        await answer.read()


@pytest.mark.row("D6/REST")
async def test_a_rotation_says_what_will_happen_and_then_does_it(start: Start) -> None:
    browser = await administrator(await start())
    before = await ring(browser)

    said = text_of(await browser.open(f"{PATH}/rotate"))
    assert f"{before['standby']} signs every new token, at once" in said
    assert f"{before['active']} signs no more. It goes on verifying for 18 minutes" in said
    assert "was published only" in said
    assert "Nobody has to sign in again" in said
    held_back = await browser.fill(f"{PATH}/rotate")
    assert (held_back.status, 'role="alert"' in held_back.text) == (409, True)
    assert (await ring(browser))["active"] == before["active"], "not known everywhere, and no tick"
    rotated = await browser.fill(f"{PATH}/rotate", anyway="yes")

    assert (rotated.status, rotated.location) == (303, PATH)
    after = await ring(browser)
    assert (after["active"], after["retiring"]) == (before["standby"], before["active"])
    shown = await browser.open(PATH)
    assert f"{after['active']} signs now, and one more key only verifies" in text_of(shown), "the picture, in words"
    assert f"{PATH}/roll-back" in shown.text


async def test_a_rotation_names_who_does_not_hold_the_next_key(start: Start) -> None:
    service = await start()
    browser = await administrator(service)
    await consumer(service, "gateway-3")
    await browser.open(PATH)
    await service.sql(of_a_while(timedelta(minutes=3)))
    await browser.fill(f"{PATH}/rotate", anyway="yes")

    page = text_of(await browser.open(PATH))
    said = text_of(await browser.open(f"{PATH}/rotate"))

    assert "1 of 1 do not hold the next key yet" in page
    assert "1 of 1 recent consumers does not hold" in said
    assert "gateway-3 (http, 127.0.0.1, comes every 10 minutes" in said


async def test_of_two_who_looked_at_one_ring_one_changes_it(start: Start) -> None:
    browser = await administrator(await start())
    form = (await browser.open(f"{PATH}/rotate")).form()
    fields = form.fields | {"anyway": "yes"}

    first, second = [await browser.send(f"{PATH}/rotate", fields) for _ in range(2)]

    assert (first.status, second.status) == (303, 409)
    assert 'role="alert"' in second.text
    versions = re.findall(r'name="ring_version" value="(\d+)"', second.text)
    assert versions == [str(int(form.fields["ring_version"]) + 1)], "the page now shows the ring as it is"


@pytest.mark.parametrize("version", ["", "x", "-1", "9" * 40, "٣", "1.5"])
async def test_a_ring_version_that_never_was_changes_nothing(service: Service, version: str) -> None:
    browser = await administrator(service)
    before = await ring(browser)

    answer = await browser.fill(f"{PATH}/rotate", anyway="yes", ring_version=version)

    assert answer.status == 409
    assert await ring(browser) == before


async def test_a_rollback_lets_the_former_key_sign_again(start: Start) -> None:
    browser = await administrator(await start())
    before = await ring(browser)
    assert "No former key can sign again" in text_of(await browser.open(f"{PATH}/roll-back"))
    await browser.fill(f"{PATH}/rotate", anyway="yes")

    said = text_of(await browser.open(f"{PATH}/roll-back"))
    assert f"{before['active']} signs again, at once" in said
    done = await browser.fill(f"{PATH}/roll-back")

    assert (done.status, done.location) == (303, PATH)
    assert f"{before['active']} signs again." in text_of(await browser.open(PATH))
    assert (await ring(browser))["active"] == before["active"]


@pytest.mark.parametrize("state", ["active", "standby", "retiring"])
async def test_a_revocation_says_what_it_will_mean_and_nobody_signs_in_again(start: Start, state: str) -> None:
    browser = await administrator(await start())
    await browser.fill(f"{PATH}/rotate", anyway="yes")
    before = await ring(browser)
    kid = before[state]

    said = text_of(await browser.open(f"{PATH}/{kid}/revoke"))
    assert f"{kid} leaves the key set" in said
    done = await browser.fill(f"{PATH}/{kid}/revoke")

    assert done.status == 200, text_of(done)
    assert f"{kid} is good for nothing any more" in text_of(done)
    # Whoever did it goes on, though the token with which they did it may be one that is refused now.
    assert (await browser.open(PATH)).status == 200
    after = await ring(browser)
    assert after["revoked"] == kid
    assert after["active"] == (before["standby"] if state == "active" else before["active"])
    assert kid not in {each["kid"] for each in await browser.service.jwks()}
    assert (await browser.open(f"{PATH}/{kid}/revoke")).status == 404


async def test_a_canary_is_shown_once_and_signed_by_the_standby(start: Start) -> None:
    service = await start()
    browser = await administrator(service)

    page = await browser.fill(f"{PATH}/canary")

    (token,) = re.findall(r'value="(eyJ[^"]+)"', page.text)
    verified = await service.verify(token)
    assert verified.key_id == (await ring(browser))["standby"]
    assert token not in (await browser.open(f"{PATH}/canary")).text
    assert token not in (await browser.open("/admin/audit")).text


@pytest.mark.parametrize("kid", ["no-such-key", "a" * 300, "%00", "<b>x</b>"])
async def test_a_key_that_is_none_is_not_revoked(service: Service, kid: str) -> None:
    browser = await administrator(service)

    answer = await browser.open(f"{PATH}/{kid}/revoke")

    assert answer.status == 404
    assert "<b>x" not in answer.text


async def test_who_takes_the_key_set_is_listed(start: Start) -> None:
    service = await start()
    browser = await administrator(service)
    assert "Nobody has taken the key set yet" in text_of(await browser.open(PATH))
    for number in range(25):
        await consumer(service, f"<gateway-{number}>")

    async def all_are_listed() -> bool:
        return "All 25" in text_of(await browser.open(PATH))

    await eventually(all_are_listed)
    page = await browser.open(f"{PATH}/consumers")
    assert page.text.count("&lt;gateway-") == 25


async def test_the_picture_needs_no_style_of_its_own(service: Service) -> None:
    browser = await administrator(service)

    page = await browser.open(PATH)

    assert page.text.count("<svg") == 2
    assert "style=" not in page.text
    assert "<style" not in page.text
    (sheet,) = re.findall(r'href="(/assets/[^"]+/key-picture.css)"', page.text)
    assert ".key-picture" in (await browser.open(sheet)).text


async def test_no_key_is_revoked_without_the_forms_token(service: Service) -> None:
    browser = await administrator(service)
    before = await ring(browser)
    version = (await browser.open(f"{PATH}/rotate")).form().fields["ring_version"]

    for state in ("active", "standby"):
        answer = await browser.send(f"{PATH}/{before[state]}/revoke", {"ring_version": version})
        assert answer.status == 403

    assert await ring(browser) == before
