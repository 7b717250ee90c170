"""The pages about signing keys: what they show, what they say before a change, and who may see them."""

import re

import pytest
from auth_api.v1 import keys_pb2

from tests.pages.browser import Browser, administrator
from tests.rpc.conftest import Start
from tests.support.service import Service

PATH = "/admin/signing-keys"


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))


async def states(service: Service, browser: Browser) -> dict[str, str]:
    metadata = (("authorization", f"Bearer {browser.cookies['access_token']}"),)
    listed = await service.keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=metadata)
    return {each.kid: keys_pb2.SigningKeyState.Name(each.state)[18:].lower() for each in listed.signing_keys}


@pytest.mark.row("D6/REST")
async def test_a_rotation_says_what_will_happen_and_then_does_it(start: Start) -> None:
    service = await start()
    browser = await administrator(service)
    before = {state: kid for kid, state in (await states(service, browser)).items()}

    page = await browser.open(PATH)
    assert page.status == 200, page.text
    confirmation = await browser.open(f"{PATH}/rotate")
    said = text_of(confirmation.text)
    assert f"{before['standby']} signs every new token, at once" in said
    assert f"{before['active']} signs no more. It goes on verifying for 18 minutes" in said
    assert "was published only" in said
    assert "Nobody has to sign in again" in said
    held_back = await browser.fill(f"{PATH}/rotate")
    assert held_back.status == 409
    assert (await states(service, browser))[before["active"]] == "active", "not known everywhere, and no tick"
    rotated = await browser.fill(f"{PATH}/rotate", anyway="yes")

    assert (rotated.status, rotated.location) == (303, PATH)
    after = await states(service, browser)
    assert (after[before["standby"]], after[before["active"]]) == ("active", "retiring")
    shown = await browser.open(PATH)
    assert f"{before['standby']} signs now" in text_of(shown.text)
    assert "Roll back" in shown.text
