"""The pages in a real Chromium: with a mouse, with a keyboard, without scripts, and judged by axe."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from auth_service.demo import Facility
from tests.pages.browser import PASSWORD
from tests.pages.chromium import SIZES, THEMES, Watched, chromium, executable, fill, sign_in, watched
from tests.pages.tour import GRACE, OF_SOMEBODY_NEW, OF_THE_FACILITY, PUBLIC, SIGNED_IN, arrive, furnished
from tests.support.administering import administrator, new_name
from tests.support.mail_server import MailServer, running_mail_server
from tests.support.service import ADMIN, Databases, Logs, Service, running_service

pytestmark = pytest.mark.skipif(not executable(), reason="there is no Chromium here")

PUBLIC_ADDRESS = "https://auth.facility.example"
BETTER = "nine walnuts under a wicker chair"
MOST_STEPS = 120
"""Presses of Tab that lead round any of our pages."""


@dataclass(frozen=True)
class Place:
    service: Service
    browser: Browser
    ids: Mapping[str, str]
    post: MailServer

    @property
    def origin(self) -> str:
        return f"http://{self.service.where.http}"


@pytest.fixture(scope="module")
async def place(
    databases: Databases, facility: Facility, logs: Logs, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    url = await databases.make("sqlite")
    async with (
        running_mail_server() as post,
        running_service(
            url,
            facility=facility,
            data_dir=tmp_path_factory.mktemp("data"),
            smtp_address=f"127.0.0.1:{post.port}",
            smtp_tls="none",
            mail_from="auth@facility.example",
            mail_link_base=PUBLIC_ADDRESS,
        ) as service,
        chromium() as browser,
    ):
        yield Place(service, browser, await furnished(service), post)


@pytest.mark.row("D6/REST", "D1")
async def test_an_administrator_creates_grants_and_disables(place: Place) -> None:
    name = new_name()
    async with watched(place.browser, place.origin) as tab:
        page = tab.page
        await sign_in(tab, ADMIN, PASSWORD, to="/admin/people")
        await page.get_by_role("link", name="Create a person").click()
        await fill(page, {"User name": name, "Password": PASSWORD, "Password again": PASSWORD})
        await page.get_by_label("beamline (level 400)").check()
        await page.get_by_role("button", name="Create").click()
        await page.get_by_role("heading", name=name, level=1).wait_for()
        await page.get_by_label("Grant a role").select_option("helpdesk")
        await page.get_by_role("button", name="Grant").click()
        await page.get_by_text(f"{name} has the role helpdesk.").wait_for()
        await page.get_by_role("link", name="Disable").click()
        await page.get_by_label("Reason").fill("Only a test")
        await page.get_by_role("button", name="Disable").click()
        await page.get_by_text(f"{name} is disabled.").wait_for()

        # Scripts see nothing of the session.
        assert await page.evaluate("document.cookie") == ""
        assert (tab.complaints, tab.hosts) == ([], {str(place.service.where.http)})
        person_id = tab.path.rpartition("/")[2]
    user = await (await administrator(place.service)).get(person_id)
    assert (user.state, sorted(user.roles, key=["user", "beamline", "helpdesk"].index)) == (
        2,
        ["user", "beamline", "helpdesk"],
    )


@pytest.mark.row("D6/REST", "E7")
async def test_somebody_new_comes_sees_to_their_account_and_leaves(place: Place) -> None:
    name = new_name()
    address = f"{name}@facility.example"
    async with (
        watched(place.browser, place.origin, size="360") as tab,
        watched(place.browser, place.origin) as elsewhere,
    ):
        page = tab.page
        await tab.open("/sign-in")
        await page.get_by_role("link", name="Create an account").click()
        await fill(page, {"User name": name, "E-mail address": address, "Password": PASSWORD})
        await fill(page, {"Password again": PASSWORD})
        await page.get_by_role("button", name="Create").click()
        await page.get_by_text(f"A mail to {address}").wait_for()
        mail = await place.post.mail_to(address)
        place.service.secrets.add(mail.token)
        await tab.open(f"/verify-email#token={mail.token}")
        await page.get_by_role("button", name="Yes, this address is mine").click()
        await page.get_by_role("link", name="To your account").click()

        await fill(page, {"User name": address, "Password": PASSWORD})
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_text("verified", exact=True).wait_for()
        await sign_in(elsewhere, name, PASSWORD)
        await page.reload()
        await page.get_by_role("link", name="End the session").click()
        await page.get_by_role("button", name="End it").click()
        await page.get_by_text("The session has ended.").wait_for()
        await elsewhere.page.reload()
        await elsewhere.came_to("/sign-in")
        await page.get_by_role("link", name="Change password").click()
        await fill(page, {"Present password": PASSWORD, "New password": BETTER})
        await page.get_by_role("button", name="Save").click()
        await page.get_by_text("Your password is changed.").wait_for()

        await page.get_by_role("link", name="Delete my account").click()
        await fill(page, {"Present password": PASSWORD})
        await page.get_by_role("button", name="Delete my account").click()
        await page.get_by_text("Your present password is wrong.").wait_for()
        await fill(page, {"Present password": BETTER})
        await page.get_by_role("button", name="Delete my account").click()
        await page.get_by_text("Your account is deleted").wait_for()
        await fill(page, {"User name": name, "Password": BETTER})
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_text("User name or password is wrong.").wait_for()
        assert (tab.complaints, elsewhere.complaints) == ([], [])


@pytest.mark.row("D6/REST")
async def test_a_keyboard_is_enough(place: Place) -> None:
    name = new_name()
    async with watched(place.browser, place.origin, size="360") as tab:
        page = tab.page
        await tab.open("/sign-in?next=/admin/people")
        await step_to(page, "User name")
        await page.keyboard.type(ADMIN)
        await step_to(page, "Password")
        await page.keyboard.type(PASSWORD)
        await page.keyboard.press("Enter")
        await tab.came_to("/admin/people")

        # The first step skips what all pages begin with.
        await page.keyboard.press("Tab")
        assert await focused(page) == "Skip to the content"
        await page.keyboard.press("Enter")
        await step_to(page, "Create a person", most=2)
        await page.keyboard.press("Enter")
        await tab.came_to("/admin/people/new")
        await step_to(page, "User name")
        await page.keyboard.type(name)
        await step_to(page, "Password")
        await page.keyboard.type(PASSWORD)
        await step_to(page, "Password again")
        await page.keyboard.type(PASSWORD)
        await step_to(page, "beamline (level 400)")
        await page.keyboard.press("Space")
        await step_to(page, "Create")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name=name, level=1).wait_for()
        await step_to(page, "Disable")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/disable")
        await step_to(page, "Disable")
        await page.keyboard.press("Enter")
        await page.get_by_text(f"{name} is disabled.").wait_for()
        assert tab.complaints == []


@pytest.mark.row("D6/REST")
async def test_scripts_are_not_needed(place: Place) -> None:
    name = new_name()
    async with watched(place.browser, place.origin, scripts=False) as tab:
        await sign_in(tab, ADMIN, PASSWORD, to="/admin/people/new")
        await fill(tab.page, {"User name": name, "Password": PASSWORD, "Password again": PASSWORD})
        await tab.page.get_by_role("button", name="Create").click()
        await tab.page.get_by_text(f"The account of {name} is made.").wait_for()
        await tab.page.get_by_role("button", name="Sign out").click()
        await tab.page.get_by_text("You are signed out.").wait_for()


async def test_the_token_of_a_mailed_link_goes_into_the_form_and_out_of_the_address(place: Place) -> None:
    async with watched(place.browser, place.origin) as tab:
        for path in ("/reset-password", "/verify-email"):
            await tab.open(f"{path}#token=from-the-mail")

            assert await tab.page.input_value("#token") == "from-the-mail"
            assert await tab.page.get_by_label("Token").is_hidden()
            assert tab.page.url == tab.origin + path
        assert tab.complaints == []


@pytest.mark.row("S69")
async def test_another_origin_gets_nowhere(place: Place) -> None:
    """A page of another site may neither frame ours nor send a form of its own to it."""
    person = await (await administrator(place.service)).create()
    target = f"{place.origin}/admin/people/{person.user_id}/delete"
    async with watched(place.browser, place.origin) as tab:
        await sign_in(tab, ADMIN, PASSWORD)
        page = tab.page
        await page.route("https://evil.example/**", lambda route: route.fulfill(body=EVIL, content_type="text/html"))
        await page.goto(f"https://evil.example/#{target}")
        frame = await page.wait_for_selector("iframe")
        inside = await frame.content_frame() if frame else None
        assert inside is not None
        assert "Delete" not in await inside.content()

        await page.click("button")
        await page.get_by_role("heading").wait_for()
        assert await page.get_by_role("heading", level=1).inner_text() in ("This is not for you", "Sign in")
    assert (await (await administrator(place.service)).get(person.user_id)).state == 1


EVIL = """<!doctype html><title>x</title><iframe></iframe><form method="post"><button>Win</button></form><script>
document.querySelector("form").action = location.hash.slice(1);
document.querySelector("iframe").src = location.hash.slice(1);
</script>"""


@pytest.mark.row("D6/REST")
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
async def test_axe_finds_nothing_on_any_page(place: Place, size: str, theme: str) -> None:
    found: list[str] = []
    async with watched(place.browser, place.origin, size=size, theme=theme) as tab:
        for stop in PUBLIC:
            await arrive(tab, stop, place.ids)
            found += await defects(tab, stop.name)
        await sign_in(tab, ADMIN, PASSWORD)
        for stop in SIGNED_IN:
            await arrive(tab, stop, place.ids)
            found += await defects(tab, stop.name)
        for name, password, stops in (
            (GRACE, PASSWORD, OF_SOMEBODY_NEW),
            ("user1001", "user1001-password", OF_THE_FACILITY),
        ):
            await sign_in(tab, name, password)
            for stop in stops:
                await arrive(tab, stop, place.ids)
                found += await defects(tab, stop.name)

        assert found == []
        assert tab.hosts == {str(place.service.where.http)}


async def defects(tab: Watched, name: str) -> list[str]:
    """What is wrong with the page that is open."""
    # Before axe, which is foreign to the page's own policy.
    found = [f"{name}: {each}" for each in tab.complaints]
    width, room = await tab.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    if width > room:
        found.append(f"{name}: {width} pixels wide, where there is room for {room}")
    results = (await Axe().run(tab.page)).response
    found += [
        f"{name}: {each['id']} ({each['impact']}): {each['nodes'][0]['html'][:200]}" for each in results["violations"]
    ]
    tab.complaints.clear()
    return found


async def focused(page: Page) -> str:
    """What a screen reader calls that which has the focus, more or less."""
    name: str = await page.evaluate(
        "(e => e.labels?.length ? e.labels[0].innerText : e.innerText || e.getAttribute('aria-label') || e.id)"
        "(document.activeElement)"
    )
    return name.strip()


async def step_to(page: Page, name: str, *, most: int = MOST_STEPS) -> None:
    """Press Tab until `name` has the focus, which can be seen."""
    for _ in range(most + 1):
        if await focused(page) == name:
            outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none"
            return
        await page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {name!r}")
