"""What an administrator sees first; and the pages of operating behind a path prefix and on a second replica."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from auth_api.v1 import auth_pb2, service_accounts_pb2
from auth_api.v1.service_accounts_pb2_grpc import ServiceAccountServiceStub

from tests.pages.browser import Answer, Browser, administrator
from tests.pages.tour import OPERATING, operated
from tests.rpc.conftest import Start
from tests.support.conditions import eventually
from tests.support.service import Service, refusal


def text_of(page: Answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))


async def expiring_key(browser: Browser, name: str, *lifetimes: timedelta) -> None:
    """A service account with a key for each lifetime."""
    made = await browser.fill("/admin/service-accounts/new", name=name)
    stub = ServiceAccountServiceStub(browser.service.channel)
    for lifetime in lifetimes:
        request = service_accounts_pb2.CreateApiKeyRequest(
            service_account_id=made.location.rpartition("/")[2], scopes=["users:read"]
        )
        request.expires_at.FromDatetime(datetime.now(UTC) + lifetime)
        metadata = (("authorization", f"Bearer {browser.cookies['access_token']}"),)
        browser.service.secrets.add((await stub.CreateApiKey(request, metadata=metadata)).secret)


async def reuse(service: Service) -> None:
    """Somebody comes with a refresh token that was spent long before."""
    first = await service.login("user1001")
    second = await service.refresh(first.refresh_token)
    await service.refresh(second.refresh_token)
    await refusal(service.auth.Refresh(auth_pb2.RefreshRequest(refresh_token=first.refresh_token)))


@pytest.mark.row("D6/REST")
async def test_the_overview_counts_and_tells_what_needs_somebody(start: Start) -> None:
    service = await start()
    browser = await administrator(service)
    quiet = text_of(await browser.open("/admin"))
    assert "What needs attention Nothing." in quiet
    assert "1 person" in quiet
    assert "2 service accounts" in quiet

    await expiring_key(browser, "ends-soon", timedelta(days=3))
    await expiring_key(browser, "has-a-successor", timedelta(days=3), timedelta(days=300))
    await reuse(service)
    await Browser(service).fill("/sign-in", username="root@facility.example", password="not it at all")

    page = await browser.open("/admin")
    said = text_of(page)
    assert "The last good API key of ends-soon ends on" in said
    assert "has-a-successor ends" not in said
    assert "1 spent refresh token came back within a day" in said
    assert "4 service accounts" in said
    assert "1 refused in the last hour" in said
    assert "Tried to sign in refused" in said
    for path in re.findall(r'<li><a href="(/admin/[^"]+)">', page.text):
        assert (await browser.open(path)).status == 200, path


async def test_behind_a_prefix_every_address_on_a_page_has_it(start: Start) -> None:
    service = await start(path_prefix="/auth", issuer="https://facility.example/auth")
    ids = await operated(service)
    browser = await administrator(service)

    for stop in OPERATING:
        page = await browser.open("/auth" + stop.path.format(**ids))
        addresses = re.findall(r'(?:href|src|action|data-from)="([^"#]+)"', page.text)
        assert len(addresses) > 5, stop.name
        assert all(each.startswith("/auth/") for each in addresses), (stop.name, addresses)
    answer = await browser.fill("/auth/admin/signing-keys/rotate", anyway="yes")
    assert (answer.status, answer.location) == (303, "/auth/admin/signing-keys")


async def test_what_one_replica_did_the_other_shows(start: Start) -> None:
    here, there = await start(), await start()
    browser = await administrator(here)
    elsewhere = Browser(there, browser.cookies)
    form = (await elsewhere.open("/admin/signing-keys/rotate")).form()

    sent = await browser.send("/admin/signing-keys/rotate", form.fields | {"anyway": "yes"})
    assert sent.status == 303, "a form that another replica gave is as good"

    async def is_known_there() -> bool:
        return "Ring version 2." in (await elsewhere.open("/admin/signing-keys")).text

    await eventually(is_known_there)
