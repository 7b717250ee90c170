"""Services, keys, the log and notices in a real browser: what it shows, by keyboard alone, and for everybody."""

from collections.abc import AsyncIterator, Mapping

import pytest
from playwright.async_api import Browser, Error, Page, Request, expect

from auth_service.demo import Facility
from tests.pages.browser import PASSWORD
from tests.pages.chromium import SIZES, THEMES, chromium, executable, sign_in, watched
from tests.pages.test_in_chromium import defects, step_to
from tests.pages.tour import OPERATING, arrive, operated
from tests.support.service import ADMIN, Databases, Logs, Service, admin_token, running_service

pytestmark = pytest.mark.skipif(not executable(), reason="left out: there is no Chromium on this machine")


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
async def service(
    databases: Databases, facility: Facility, logs: Logs, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    """On one database: what a browser makes of a page does not hang on it."""
    url = await databases.make("sqlite")
    async with running_service(url, facility=facility, data_dir=tmp_path_factory.mktemp("data")) as service:
        await admin_token(service)
        yield service


@pytest.fixture(scope="module")
async def ids(service: Service) -> Mapping[str, str]:
    """Of what is on the pages."""
    return await operated(service)


def polls(page: Page) -> list[str]:
    """The addresses that the log's script asks from now on."""
    asked: list[str] = []

    def note(request: Request) -> None:
        if "/admin/audit/events" in request.url:
            asked.append(request.url)

    page.on("request", note)
    return asked


LOOK_ELSEWHERE = """
    Object.defineProperty(document, "hidden", {get: () => window.looksElsewhere});
    window.looksElsewhere = true;
    document.dispatchEvent(new Event("visibilitychange"));
"""
LOOK_HERE = """
    window.looksElsewhere = false;
    document.dispatchEvent(new Event("visibilitychange"));
"""


def origin(service: Service) -> str:
    return f"http://{service.where.http}"


@pytest.mark.row("D6/REST")
async def test_by_keyboard_alone_the_key_is_rotated_and_the_picture_changes(service: Service, browser: Browser) -> None:
    async with watched(browser, origin(service)) as tab:
        page = tab.page
        await sign_in(tab, ADMIN, PASSWORD, to="/admin/signing-keys")
        picture = page.locator("svg.key-picture.wide")
        standby = await page.locator("dl.facts dd .mono").nth(1).inner_text()
        assert await picture.locator("text.kid").count() == 3
        before = await picture.inner_html()

        await step_to(page, "Rotate now")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/rotate")
        await expect(page.get_by_text("Nobody has to sign in again.")).to_be_visible()
        await step_to(page, "Rotate although verifiers may refuse new tokens until they fetch the key set again")
        await page.keyboard.press("Space")
        await step_to(page, "Rotate now")
        await page.keyboard.press("Enter")

        await expect(page.get_by_role("status").first).to_contain_text(f"{standby} signs now.")
        assert tab.path == "/admin/signing-keys"
        assert await picture.inner_html() != before
        assert await page.locator("dl.facts dd .mono").first.inner_text() == standby
        states = await picture.locator("text.soft").all_text_contents()
        assert [each for each in states if each in ("retiring", "active", "standby", "planned")] == [
            "retiring",
            "active",
            "standby",
            "planned",
        ]
        assert tab.complaints == []


async def test_the_log_shows_a_sign_in_elsewhere_by_itself_until_it_is_paused(
    service: Service, browser: Browser
) -> None:
    async with watched(browser, origin(service)) as tab:
        page = tab.page
        await page.clock.install()
        await sign_in(tab, ADMIN, PASSWORD, to="/admin/audit")
        says, button = page.locator("#live-says"), page.locator("#live-button")
        await expect(says).to_have_text("Live: new events appear by themselves.")

        await service.login("user1001")

        fresh = page.locator(".events li.fresh")
        await expect(fresh).to_have_count(1)
        await expect(fresh).to_contain_text("user1001")
        await expect(page.locator(".events li").first).to_have_class("fresh")
        await expect(says).to_have_text("One new event.")
        await button.click()
        await expect(says).to_have_text("Paused.")
        asked = polls(page)
        await service.login("user1001")
        await page.clock.run_for("01:00")
        assert asked == [], "nothing is asked while it is paused"
        await button.click()
        await expect(fresh).to_have_count(2)
        assert asked
        assert all("token" not in each for each in asked)
        assert tab.complaints == []


async def test_the_log_is_not_asked_for_while_nobody_looks(service: Service, browser: Browser) -> None:
    async with watched(browser, origin(service)) as tab:
        page = tab.page
        await page.clock.install()
        await sign_in(tab, ADMIN, PASSWORD, to="/admin/audit")
        await page.evaluate(LOOK_ELSEWHERE)
        asked = polls(page)
        await service.login("user1001")
        await page.clock.run_for("01:00")
        assert asked == []

        await page.evaluate(LOOK_HERE)

        await expect(page.locator(".events li.fresh")).to_have_count(1)


async def test_the_log_stops_after_half_an_hour_and_goes_on_for_whoever_is_there(
    service: Service, browser: Browser
) -> None:
    async with watched(browser, origin(service)) as tab:
        page = tab.page
        await page.clock.install()
        await sign_in(tab, ADMIN, PASSWORD, to="/admin/audit")
        says, button = page.locator("#live-says"), page.locator("#live-button")

        await page.clock.fast_forward("31:00")
        await expect(says).to_have_text("Paused after half an hour.")
        await service.login("user1001")
        await expect(page.locator(".events li.fresh")).to_have_count(0)
        await button.click()

        await expect(page.locator(".events li.fresh")).to_have_count(1)
        await expect(button).to_have_text("Pause")


async def test_the_log_stops_when_the_session_ends_and_says_so(service: Service, browser: Browser) -> None:
    async with watched(browser, origin(service)) as tab:
        await sign_in(tab, ADMIN, PASSWORD, to="/admin/audit")
        await tab.page.context.clear_cookies()

        await expect(tab.page.locator("#live-says")).to_contain_text("You are signed out.")
        await expect(tab.page.locator("#live-button")).to_have_text("Go on")


async def test_without_scripts_everything_works_and_a_reload_shows_what_is_new(
    service: Service, browser: Browser
) -> None:
    async with watched(browser, origin(service), scripts=False) as tab:
        page = tab.page
        await sign_in(tab, ADMIN, PASSWORD, to="/admin/audit")
        await expect(page.locator("#live-button")).to_be_hidden()
        await service.login("user1001")
        await page.reload()
        await expect(page.locator(".events li").first).to_contain_text("user1001")
        await page.locator(".events summary").first.click()
        await page.locator(".events li").first.get_by_role("link", name="session.started").click()
        await expect(page.get_by_label("What happened")).to_have_value("session.started")


async def test_a_secret_is_copied_and_gone_when_somebody_goes_back(service: Service, browser: Browser) -> None:
    async with watched(browser, origin(service)) as tab:
        page = tab.page
        await sign_in(tab, ADMIN, PASSWORD, to="/admin/service-accounts")
        await page.get_by_role("link", name="New service account").click()
        await page.get_by_label("Name").fill("robot")
        await page.get_by_role("button", name="Make it").click()
        await page.get_by_role("link", name="Make a key").click()
        await page.get_by_label("users:read").check()
        await page.get_by_role("button", name="Make the key").click()
        secret = await page.get_by_label("API key").input_value()
        assert secret.startswith("ak_")
        service.secrets.add(secret)
        await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await page.get_by_role("button", name="Copy").click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert await page.evaluate("navigator.clipboard.readText()") == secret

        await page.get_by_role("link", name="I have it").click()
        await expect(page.get_by_role("heading", name="robot")).to_be_visible()
        # It was the answer to a form: the browser would have to send that once more, and asks first.
        with pytest.raises(Error, match="ERR_CACHE_MISS"):
            await page.go_back()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
async def test_nothing_stands_in_the_way_of_anybody(
    service: Service, browser: Browser, ids: Mapping[str, str], size: str, theme: str
) -> None:
    """axe finds nothing, no page is wider than its window, and no other host is asked."""
    async with watched(browser, origin(service), size=size, theme=theme) as tab:
        await sign_in(tab, ADMIN, PASSWORD)
        found: list[str] = []
        for stop in OPERATING:
            await arrive(tab, stop, ids)
            found += await defects(tab, stop.name)

        assert found == []
        assert tab.hosts == {str(service.where.http)}
