"""What developers are shown: the page to begin with, and the reference of the contract."""

import re
from typing import Any

import pytest

from auth_service.rpc.descriptors import descriptors
from auth_service.rpc.permissions import PERMISSIONS
from auth_service.web.api.contract import read
from tests.rpc.conftest import Start
from tests.support.service import ISSUER, Service

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def text(service: Service, path: str, **headers: str) -> tuple[Any, str]:
    async with service.http.get(path, headers=headers, allow_redirects=False) as answer:
        return answer, (await answer.read()).decode(errors="replace")


@pytest.mark.row("A17/REST")
async def test_the_first_page_has_this_deployments_addresses_for_whoever_asks(service: Service) -> None:
    page, html = await text(service, "/", **HTML)
    plain, lines = await text(service, "/")
    told, _ = await text(service, "/", Accept="application/json")
    port = service.where.grpc.port

    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert (plain.status, plain.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert {each.headers["Vary"] for each in (page, plain, told)} == {"Accept"}
    for shown in (html, lines):
        assert f"curl -s {ISSUER}/oauth/token" in shown
        assert f"auth.facility.example:{port}" in shown
        # There is a facility, so there is nobody whose password everybody knows.
        assert "YOUR-PASSWORD" in shown
        assert not any(secret in shown for secret in service.secrets)
    assert (await told.json())["links"]["key_set"] == f"{ISSUER}/.well-known/jwks.json"


@pytest.mark.row("A17/REST", "A22/REST")
async def test_links_of_the_pages_lead_somewhere(start: Start) -> None:
    service = await start(path_prefix="/auth", issuer="https://auth.example/auth")

    for path in ("/auth/", "/auth/reference", "/auth/docs"):
        _, html = await text(service, path, **HTML)
        for link in sorted(set(re.findall(r'(?:href|src)="([^"#]+)', html))):
            assert link.startswith("/auth/"), link
            answer, _ = await text(service, link, **HTML)
            assert answer.status in (200, 303), (path, link, answer.status)


@pytest.mark.row("A17/REST")
async def test_the_reference_tells_of_everything_in_the_contract(service: Service) -> None:
    contract = read(descriptors(), rights=PERMISSIONS)
    page, html = await text(service, "/reference", **HTML)

    assert page.status == 200
    anchors = re.findall(r'id="([^"]+)"', html)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(anchors)
    for each in contract.services:
        assert {each.name, *(f"{each.name}.{method.name}" for method in each.methods)} <= set(anchors)
    for name in contract.messages.keys() | contract.enums.keys() - {"auth_api.v1.ErrorReason"}:
        assert name.removeprefix("auth_api.v1.") in {*anchors, "Permission"}
    assert 'id="reason-BAD_CREDENTIALS"' in html
    assert '<a href="#reason-RING_CHANGED"><code>RING_CHANGED</code></a>' in html
    assert "a person with a role of level 0 or stronger" in html
    assert "a stream, over gRPC only" in html


async def test_every_reason_but_the_one_that_is_never_sent_is_in_the_table(service: Service) -> None:
    contract = read(descriptors(), rights=PERMISSIONS)
    _, html = await text(service, "/reference", **HTML)

    names = [each.name.removeprefix("ERROR_REASON_") for each in contract.enums["auth_api.v1.ErrorReason"].values]
    assert set(re.findall(r'id="reason-([A-Z_]+)"', html)) == set(names) - {"UNSPECIFIED"}


async def test_the_reference_is_written_once_and_kept_by_its_etag(service: Service) -> None:
    page, _ = await text(service, "/reference")
    again, body = await text(service, "/reference", **{"If-None-Match": page.headers["ETag"]})

    assert (again.status, body) == (304, "")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


@pytest.mark.row("A17/REST")
async def test_where_they_are_off_the_first_page_is_for_people(start: Start) -> None:
    service = await start(api_pages="false")

    first, _ = await text(service, "/", **HTML)

    assert (first.status, first.headers["Location"]) == (303, "/account")
    for path in ("/reference", "/docs", "/docs/0/swagger-ui.css"):
        assert (await text(service, path))[0].status == 404


async def test_without_reflection_grpcurl_is_given_the_descriptors(start: Start) -> None:
    service = await start(reflection="false")

    _, lines = await text(service, "/")

    assert f"curl -s {ISSUER}/descriptors.binpb -o auth.binpb" in lines
    assert "-protoset auth.binpb" in lines
