"""A real Chromium, where the machine has one."""

import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

SIZES = {"360": (360, 740), "1280": (1280, 900)}
THEMES = ("light", "dark")


def executable() -> str:
    """Empty where there is none."""
    return os.environ.get("CHROMIUM", "") or shutil.which("chromium") or shutil.which("chromium-browser") or ""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Watched:
    """A tab, what it complained of, and which hosts it asked."""

    page: Page
    origin: str
    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    async def open(self, path: str) -> None:
        await self.page.goto(self.origin + path)

    async def came_to(self, path: str) -> None:
        # Not by a pattern: that of the page which was left may fit as well, by its query.
        await self.page.wait_for_url(lambda url: urlsplit(url).path == path)

    @property
    def path(self) -> str:
        return urlsplit(self.page.url).path


@asynccontextmanager
async def watched(
    browser: Browser, origin: str, *, size: str = "1280", theme: str = "light", scripts: bool = True
) -> AsyncIterator[Watched]:
    """A browser of its own, without cookies, with one tab."""
    width, height = SIZES[size]
    context: BrowserContext = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if theme == "dark" else "light",
        java_script_enabled=scripts,
        # Without motion: what is measured while it moves is measured at random.
        reduced_motion="reduce",
    )
    # axe is put into pages by the test, which the pages' own policy would forbid: so it is watched, and not lifted.
    tab = Watched(await context.new_page(), origin)

    def complained(message: ConsoleMessage) -> None:
        # A refused form is an error to the console, and none of ours.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            tab.complaints.append(message.text)

    def asked(request: Request) -> None:
        if not request.url.startswith("data:"):
            tab.hosts.add(urlsplit(request.url).netloc)

    tab.page.on("console", complained)
    tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.page.on("request", asked)
    try:
        yield tab
    finally:
        await context.close()


async def sign_in(tab: Watched, username: str, password: str, *, to: str = "/account") -> None:
    await tab.open(f"/sign-in?next={to}")
    await fill(tab.page, {"User name": username, "Password": password})
    await tab.page.get_by_role("button", name="Sign in").click()
    await tab.came_to(to)


async def fill(page: Page, typed: Mapping[str, str]) -> None:
    for label, text in typed.items():
        await page.get_by_label(label, exact=True).fill(text)
