"""The pages for developers, in a real browser: what they show, what works, and that nobody else is asked."""

from collections.abc import AsyncIterator, Mapping

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Locator, Page, expect

from tests.pages.chromium import SIZES, THEMES, Watched, chromium, executable, watched
from tests.rpc.conftest import Start
from tests.support.service import PORTAL_API_KEY, Service

pytestmark = pytest.mark.skipif(not executable(), reason="left out: there is no Chromium on this machine")


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


async def authorize(page: Page, typed: Mapping[str, str]) -> None:
    """By Swagger UI's own dialog; `typed` by the ids of its fields, all in one form."""
    await page.get_by_role("button", name="Authorize").first.click()
    form = page.locator(".auth-container").filter(has=page.locator(f"#{next(iter(typed))}"))
    for field, text in typed.items():
        await form.locator(f"#{field}").fill(text)
    await form.get_by_role("button", name="Apply given OAuth2 credentials").click()
    await page.get_by_role("button", name="Remove authorization").wait_for()
    await page.locator(".close-modal").click()


async def operation(page: Page, tag: str, path: str) -> Locator:
    """Opened, to be tried out."""
    await page.locator(f'.opblock-tag[data-tag="{tag}"]').click()
    found = page.locator(".opblock").filter(has=page.locator(f'[data-path="{path}"]'))
    await found.locator(".opblock-summary-control").first.click()
    await found.get_by_role("button", name="Execute").wait_for()
    return found


async def executed(found: Locator, *, status: str) -> str:
    """The body of the answer."""
    await found.get_by_role("button", name="Execute").click()
    answer = found.locator(".live-responses-table")
    await expect(answer.locator(".response-col_status").last).to_contain_text(status)
    return await answer.locator(".highlight-code, .microlight").first.inner_text()


def nobody_else_was_asked(tab: Watched) -> None:
    assert tab.hosts == {tab.origin.removeprefix("http://")}
    assert tab.complaints == []


@pytest.mark.row("A17/REST", "B3")
@pytest.mark.parametrize("prefix", ["", "/auth"])
async def test_a_person_signs_in_by_the_authorize_button_and_calls_a_method(
    start: Start, browser: Browser, prefix: str
) -> None:
    service = await start(path_prefix=prefix, issuer=f"https://auth.example{prefix}")

    async with watched(browser, f"http://{service.where.http}") as tab:
        await tab.open(f"{prefix}/docs")
        before = await operation(tab.page, "UserService", "/auth_api.v1.UserService/GetMe")
        assert "CREDENTIALS_MISSING" in await executed(before, status="401")
        await authorize(tab.page, {"oauth_username": "user1001", "oauth_password": "user1001-password"})
        body = await executed(before, status="200")

        assert '"username": "user1001"' in body
        nobody_else_was_asked(tab)


@pytest.mark.row("A17/REST", "B3")
async def test_a_service_signs_in_by_client_credentials(service: Service, browser: Browser) -> None:
    async with watched(browser, f"http://{service.where.http}") as tab:
        await tab.open("/docs")
        secret = {"client_id_clientCredentials": "portal", "client_secret_clientCredentials": PORTAL_API_KEY}
        await authorize(tab.page, secret)
        found = await operation(tab.page, "Facility", "/experiments")
        await found.get_by_placeholder("user_number").fill("1001")

        assert "2200081" in await executed(found, status="200")
        nobody_else_was_asked(tab)


@pytest.mark.row("A17/REST")
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
async def test_nothing_that_axe_finds_is_serious(service: Service, browser: Browser, size: str, theme: str) -> None:
    async with watched(browser, f"http://{service.where.http}", size=size, theme=theme) as tab:
        await tab.open("/docs")
        await executed(await operation(tab.page, "UserService", "/auth_api.v1.UserService/GetMe"), status="401")
        await operation(tab.page, "OAuth 2.0", "/oauth/token")
        nobody_else_was_asked(tab)

        results = (await Axe().run(tab.page)).response
        serious = [each for each in results["violations"] if each["impact"] in ("serious", "critical")]
        assert [(each["id"], each["nodes"][0]["html"]) for each in serious] == []
        assert await tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.row("A17/REST")
@pytest.mark.parametrize("path", ["/docs/0.0.0/swagger-ui.css", "/docs/0.0.0/swagger-ui-bundle.js"])
async def test_files_of_another_release_are_not_kept(service: Service, path: str) -> None:
    async with service.http.get(path) as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    async with service.http.get("/docs/0.0.0/..%2f__init__.py") as other:
        assert other.status == 404
