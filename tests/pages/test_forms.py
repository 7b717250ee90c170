"""What guards every form, and what every page carries."""

import re
from pathlib import Path

import pytest

from auth_service.demo import Facility
from tests.pages.browser import PASSWORD, Answer, Browser
from tests.pages.browser import administrator as browser_of
from tests.rpc.conftest import Start
from tests.support.administering import Acting, administrator
from tests.support.service import Databases, Service, running_service
from tests.support.tcp_proxy import in_front_of

POLICY = {
    "default-src": "'none'",
    "style-src": "'self'",
    "script-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
REFUSED = "This page was opened before you signed in anew."


async def disable(browser: Browser, person_id: str, **headers: str) -> Answer:
    path = f"/admin/people/{person_id}/disable"
    form = (await browser.open(path)).form()
    return await browser.send(path, form.fields | {"reason": "Typed with care"}, **headers)


async def is_active(admin: Acting, person_id: str) -> bool:
    return (await admin.get(person_id)).state == 1


@pytest.mark.row("S69")
@pytest.mark.parametrize("token", ["", "x", "another session's", "a former session's", "cut"])
async def test_a_form_without_the_token_of_this_session_changes_nothing(service: Service, token: str) -> None:
    root, admin = await browser_of(service), await administrator(service)
    person = await admin.create()
    path = f"/admin/people/{person.user_id}/disable"
    fields = (await root.open(path)).form().fields | {"reason": "Typed with care"}
    match token:
        case "another session's":
            fields["form_token"] = (await (await browser_of(service)).open(path)).form().fields["form_token"]
        case "a former session's":
            await root.sign_in("root@facility.example", PASSWORD)
        case "cut":
            fields["form_token"] = fields["form_token"][:-1]
        case "":
            del fields["form_token"]
        case _:
            fields["form_token"] = token

    answer = await root.send(path, fields)

    assert (answer.status, REFUSED in answer.text) == (403, True)
    assert 'value="Typed with care"' in answer.text
    assert await is_active(admin, person.user_id)
    # What was typed is sent again with the token of the page that says so.
    again = answer.form()
    assert (await root.send(path, again.fields)).status == 303
    assert not await is_active(admin, person.user_id)


@pytest.mark.row("S69")
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "nonsense"},
        {"Sec_Fetch_Site": "", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "", "Origin": "null"},
        {"Sec_Fetch_Site": "", "Origin": "https://[evil.example"},
        {"Sec_Fetch_Site": "cross-site", "Origin": "https://auth.facility.example"},
    ],
)
async def test_a_form_that_another_site_sent_changes_nothing(service: Service, headers: dict[str, str]) -> None:
    root, admin = await browser_of(service), await administrator(service)
    person = await admin.create()

    answer = await disable(root, person.user_id, **headers)

    assert (answer.status, "Another site sent this." in answer.text) == (403, True)
    assert await is_active(admin, person.user_id)


@pytest.mark.row("S69")
@pytest.mark.parametrize("origin", ["host", "issuer", ""])
async def test_a_browser_that_tells_little_is_taken_at_its_origin(service: Service, origin: str) -> None:
    root, admin = await browser_of(service), await administrator(service)
    person = await admin.create()
    own = {"host": f"http://{service.where.http}", "issuer": "https://auth.facility.example", "": ""}[origin]

    assert (await disable(root, person.user_id, Sec_Fetch_Site="", Origin=own)).status == 303


@pytest.mark.row("S69")
async def test_scripts_of_origins_that_may_call_read_no_page(start: Start) -> None:
    service = await start(cors_origins="https://portal.example")
    root = await browser_of(service)
    script = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-site", "Origin": "https://portal.example"}
    del root.cookies["access_token"]
    held = dict(root.cookies)

    for path in ("/admin/people", "/account", "/sign-in", "/register"):
        answer = await root.open(path, **script)
        assert (answer.status, "form_token" in answer.text) == (403, False), path
    # Nor is the session renewed for one.
    assert root.cookies == held
    assert (await root.open("/account", **script | {"Sec-Fetch-Site": "same-origin"})).status == 200
    led_here = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
    assert (await root.open("/account", **led_here)).status == 200


@pytest.mark.row("S69")
async def test_looking_changes_nothing_and_only_forms_are_read(service: Service) -> None:
    root, admin = await browser_of(service), await administrator(service)
    person = await admin.create()
    path = f"/admin/people/{person.user_id}/disable"
    fields = (await root.open(path)).form().fields
    token = fields["form_token"]

    assert (await root.call("GET", f"{path}?form_token={token}&reason=x", headers={})).status == 200
    assert (await root.call("HEAD", path, headers={})).status == 200
    for method in ("PUT", "DELETE", "PATCH"):
        assert (await root.call(method, path, headers={"Accept": "text/html"}, data=fields)).status == 405
    for content_type in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        answer = await root.send(path, fields, Content_Type=content_type)
        assert (answer.status, "Expected a form." in answer.text) == (400, True)
    for body, status in ((b"form_token=%ff", 400), (b"a=1&" * 200, 400), (b"a" * 70_000, 413)):
        answer = await root.call("POST", path, headers={"Sec-Fetch-Site": "same-origin"}, data=body)
        assert answer.status == status
    assert await is_active(admin, person.user_id)


@pytest.mark.row("S69")
async def test_a_bearer_token_opens_no_page(service: Service) -> None:
    """Who brings one is a program, and for programs there are the methods."""
    token = (await service.login()).access_token

    answer = await Browser(service).open("/account", Authorization=f"Bearer {token}")

    assert answer.status == 303


@pytest.mark.row("S69", "S70")
async def test_every_page_is_framed_by_nobody_and_takes_nothing_from_elsewhere(service: Service) -> None:
    root, nobody = await browser_of(service), Browser(service)
    seen = [
        *[await root.open(path) for path in ("/account", "/admin/people", "/admin/people/new", "/admin/roles")],
        *[await nobody.open(path) for path in ("/sign-in", "/forgotten-password", "/reset-password", "/verify-email")],
        await root.open("/admin/people/nobody"),
        await root.open("/account", Cookie="access_token=x"),
        await nobody.open("/nothing-here", Accept="text/html,*/*"),
        await nobody.send("/sign-in", {}, Sec_Fetch_Site="cross-site"),
        await nobody.open("/account"),
    ]

    for page in seen:
        told = dict(each.strip().split(" ", 1) for each in page.headers["Content-Security-Policy"].split(";"))
        assert told == POLICY
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Referrer-Policy"] == "same-origin"
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert page.headers["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in page.headers
        assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=|<style|javascript:", page.text)
        assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', page.text)


@pytest.mark.row("S70")
async def test_errors_are_pages_for_browsers_and_json_for_programs(service: Service) -> None:
    for path, status in (("/nothing-here", 404), ("/sign-in/x", 404), ("/assets/0/nothing.css", 404)):
        page = await Browser(service).open(path, Accept="text/html,application/xhtml+xml,*/*;q=0.8")
        program = await Browser(service).open(path, Accept="*/*")
        assert (page.status, program.status) == (status, status)
        assert page.headers["Content-Type"].startswith("text/html")
        assert program.headers["Content-Type"] == "application/json"
        assert not re.search(r"traceback|starlette|jinja|python|\.py", page.text + program.text, re.IGNORECASE)
    refused = await Browser(service).call("DELETE", "/sign-in", headers={"Accept": "text/html"})
    assert (refused.status, "POST" in refused.headers["Allow"]) == (405, True)


async def test_what_pages_are_dressed_with_is_kept_for_ever(service: Service) -> None:
    page = await Browser(service).open("/sign-in")
    addresses = set(re.findall(r'"(/assets/[^"]+)"', page.text))
    assert {each.rpartition(".")[2] for each in addresses} == {"css", "svg"}

    for address in addresses:
        told = await Browser(service).open(address)
        assert (told.status, told.headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")
        assert told.headers["X-Content-Type-Options"] == "nosniff"
        again = await Browser(service).open(address, **{"If-None-Match": told.headers["ETag"]})
        assert (again.status, again.text) == (304, "")
        # Of a release before or after this one, while replicas are replaced.
        other = await Browser(service).open(re.sub(r"/assets/\w+/", "/assets/0123456789abcdef/", address))
        assert (other.status, other.headers["Cache-Control"]) == (200, "no-store")


@pytest.mark.row("C14/REST")
async def test_what_is_done_on_a_page_is_in_the_audit_log_as_by_rpc(service: Service) -> None:
    root, admin = await browser_of(service), await administrator(service)
    person = await admin.create()

    await disable(root, person.user_id)

    page = await root.open(f"/admin/people/{person.user_id}")
    assert re.search(r"person\.disabled.*?Typed with care", page.text, re.DOTALL)
    assert "127.0.0.1" in page.text


@pytest.mark.row("S69")
async def test_a_form_of_one_replica_is_taken_by_another(start: Start) -> None:
    first, second = await start(), await start()
    root, admin = await browser_of(first), await administrator(first)
    person = await admin.create()
    path = f"/admin/people/{person.user_id}/disable"
    form = (await root.open(path)).form()
    root.service = second

    assert (await root.send(path, form.fields)).status == 303
    assert f"{person.username} is disabled." in (await root.open(f"/admin/people/{person.user_id}")).text


async def test_a_session_that_was_over_when_a_form_was_sent_says_that_nothing_was_done(service: Service) -> None:
    root, admin = await browser_of(service), await administrator(service)
    person = await admin.create()
    path = f"/admin/people/{person.user_id}/disable"
    form = (await root.open(path)).form()
    await service.logout(root.cookies["refresh_token"])

    answer = await root.send(path, form.fields)

    assert (answer.status, answer.location.startswith("/sign-in?next=%2Fadmin%2F")) == (303, True)
    assert "what you sent was not done" in (await root.open(answer.location)).text
    assert await is_active(admin, person.user_id)


async def test_pages_say_when_the_database_is_away(databases: Databases, facility: Facility, tmp_path: Path) -> None:
    async with (
        in_front_of(await databases.make("postgresql")) as (proxy, through),
        running_service(through, facility=facility, data_dir=tmp_path, database_timeout="2s") as service,
    ):
        root, stale = await browser_of(service), Browser(service)
        path = "/account/name"
        form = (await root.open(path)).form()
        stale.cookies = {name: value for name, value in root.cookies.items() if name != "access_token"}
        await proxy.refuse()

        for page in (
            await root.open("/admin/people"),
            await stale.open("/account"),
            await root.send(path, form.fields),
            await Browser(service).fill("/sign-in", username="user1001", password="user1001-password"),
        ):
            assert (page.status, int(page.headers["Retry-After"]) >= 1) == (503, True)
            assert "did not answer in time" in page.text
        assert "refresh_token" in stale.cookies
        sent = await root.send(path, form.fields)
        assert "What you sent was not done. Reload this page to send it again." in sent.text
        assert 'href="">Try again' in (await root.open(path)).text
        await proxy.pass_through()
