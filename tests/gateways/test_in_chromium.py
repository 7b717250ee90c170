"""A real Chromium and real gateways: who is not signed in signs in, comes back, and stays signed in."""

import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import BrowserContext

from auth_service.demo import Facility
from tests.gateways.stage import PERSON, stage
from tests.gateways.test_parallel import ASKING
from tests.pages.chromium import chromium, executable, fill, watched
from tests.support.gateways import RECIPES, why_not
from tests.support.service import Databases

TOKENS = ("access_token", "refresh_token")


async def held(context: BrowserContext) -> dict[str, str]:
    told = {each.get("name", ""): each.get("value", "") for each in await context.cookies()}
    return {name: told[name] for name in TOKENS if name in told}


@pytest.mark.skipif(not executable(), reason="there is no Chromium here")
@pytest.mark.row("D1", "D2", "D4")
@pytest.mark.parametrize("name", ASKING)
async def test_a_browser_is_sent_to_sign_in_comes_back_and_is_renewed_on_the_way(
    name: str, databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    if reason := why_not(RECIPES[name]):
        pytest.skip(reason)
    url = await databases.make("sqlite")
    async with (
        stage(RECIPES[name], url, facility=facility, data_dir=tmp_path) as staged,
        chromium() as browser,
        watched(browser, f"http://{staged.gateway.address}") as tab,
    ):
        page, wanted = tab.page, "/me/things?a=1&b=%C3%A5%2F2"

        await tab.open(wanted)
        assert tab.path == "/auth/sign-in"
        await fill(page, {"User name": PERSON, "Password": f"{PERSON}-password"})
        await page.get_by_role("button", name="Sign in").click()
        await tab.came_to("/me/things")
        assert page.url.removeprefix(tab.origin) == wanted
        assert staged.application.requests[-1]["target"] == wanted
        assert "x-auth-username" in dict(staged.application.requests[-1]["headers"])

        signed_in = await held(page.context)
        expired = await staged.signed(exp=int(time.time()) - 600)
        await page.context.add_cookies([{"name": "access_token", "value": expired, "url": tab.origin, "secure": True}])
        await page.reload()
        renewed = await held(page.context)
        assert (tab.path, renewed.keys()) == ("/me/things", signed_in.keys())
        assert not {expired, *signed_in.values()} & set(renewed.values())

        await staged.service.logout(renewed["refresh_token"])
        await page.reload()
        assert (tab.path, await held(page.context)) == ("/auth/sign-in", {})
        assert (tab.complaints, tab.hosts) == ([], {urlsplit(tab.origin).netloc})
