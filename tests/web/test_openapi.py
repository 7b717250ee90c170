"""What the service tells of itself: the OpenAPI document is valid and true, and the descriptors are whole."""

import re
from typing import Any

import jsonschema_rs
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from schemathesis.specs.openapi.definitions import OPENAPI_31
from starlette.routing import Route

from auth_service.domain.cookies import SessionCookies, TokenCookie
from auth_service.rpc.descriptors import descriptors
from auth_service.rpc.permissions import PERMISSIONS
from auth_service.web.api.contract import read
from auth_service.web.api.openapi import document
from tests.rpc.conftest import Start
from tests.support.service import PORTAL_API_KEY, Logs, Service

COOKIES = SessionCookies(access=TokenCookie(name="a", path="/"), refresh=TokenCookie(name="r", path="/"))


async def openapi(service: Service) -> Any:
    async with service.http.get("/openapi.json") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        return await answer.json()


def references(node: Any) -> set[str]:
    """Everything in `node` that refers to another part of the document."""
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


@pytest.mark.row("A17/REST")
async def test_the_document_is_valid_and_every_reference_leads_somewhere(service: Service) -> None:
    told = await openapi(service)

    assert told["openapi"].startswith("3.1")
    # Formats are left out: this copy of the schema wants whole URLs where 3.1.1 has references (section 4.14).
    jsonschema_rs.validator_for(OPENAPI_31).validate(told)
    for schema in told["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
    for reference in references(told):
        place = told
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    named = [each["operationId"] for item in told["paths"].values() for each in item.values() if "operationId" in each]
    assert len(named) == len(set(named))


@pytest.mark.row("A17/REST")
async def test_every_path_is_served_by_the_methods_that_it_says_and_no_others(service: Service) -> None:
    told = await openapi(service)

    for path, item in told["paths"].items():
        for method in ("get", "post", "put", "delete"):
            async with service.http.request(method, path, headers={"Authorization": "Bearer x"}) as answer:
                assert (answer.status != 405) == (method in item), (method, path, answer.status)
                assert answer.status != 404, path
                if method in item:
                    assert str(answer.status) in item[method]["responses"], (method, path, answer.status)


@pytest.mark.row("A17/REST")
async def test_every_route_that_is_served_has_a_word_about_it(start: Start, logs: Logs) -> None:
    logs.clear()
    await openapi(await start())

    assert logs.named("openapi.differs") == []


def test_a_route_without_a_word_about_it_is_found_out(logs: Logs) -> None:
    contract = read(descriptors(), rights=PERMISSIONS)
    strange = Route("/strange", lambda _request: None, methods=["GET"])
    logs.clear()

    told = document(contract, [strange], version="0", path_prefix="", cookies=COOKIES)

    (line,) = logs.named("openapi.differs")
    assert line["undescribed"] == [["GET", "/strange"]]
    assert ["POST", "/login"] in line["unserved"]
    assert told["paths"] == {}


@pytest.mark.row("A17/REST")
async def test_methods_are_told_as_the_contract_has_them(service: Service) -> None:
    told = await openapi(service)
    schemas = told["components"]["schemas"]

    listed = told["paths"]["/auth_api.v1.AuditService/ListAuditEvents"]["post"]
    login = told["paths"]["/auth_api.v1.AuthService/Login"]["post"]
    assert "/auth_api.v1.TrustService/WatchTrust" not in told["paths"]
    assert listed["security"] == [{"bearer": []}, {"person": []}, {"service": ["audit:read"]}]
    assert "a person with a role of level 0 or stronger or a service whose key" in listed["description"]
    assert login["security"] == []
    assert "newPassword" in schemas["LoginRequest"]["properties"]
    assert schemas["LoginRequest"]["additionalProperties"] is False
    assert schemas["VerifyResponse"]["properties"]["userNumber"]["type"] == "string"
    assert schemas["AuditEvent"]["properties"]["details"]["additionalProperties"] == {"type": "string"}
    assert "NOTICE_KIND_MAINTENANCE" in schemas["NoticeKind"]["enum"]
    assert all(each.get("description") for each in schemas["AuditEvent"]["properties"].values())


@pytest.mark.row("A17/REST")
async def test_what_methods_answer_is_what_the_document_says(service: Service) -> None:
    told = await openapi(service)
    token = (await service.login()).access_token
    calls: dict[str, tuple[dict[str, Any], str]] = {
        "AuthService/Login": ({"username": "user1001", "password": "user1001-password"}, ""),
        "AuthService/Verify": ({"token": token}, ""),
        "AuthService/ListExperiments": ({"userNumber": "1001"}, PORTAL_API_KEY),
        "UserService/GetMe": ({}, token),
        "UserService/ListMySessions": ({}, token),
        "RoleService/ListRoles": ({}, token),
        "MaintenanceService/GetNotices": ({}, ""),
    }

    for method, (body, credential) in calls.items():
        path = f"/auth_api.v1.{method}"
        headers = {"Authorization": f"Bearer {credential}"} if credential else {}
        async with service.http.post(path, json=body, headers=headers) as answer:
            assert answer.status == 200, method
            schema = told["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
            jsonschema_rs.validator_for({**schema, "components": told["components"]}).validate(await answer.json())


@pytest.mark.row("A17/REST", "A22/REST")
async def test_behind_a_path_the_document_has_the_path(start: Start) -> None:
    service = await start(path_prefix="/auth", issuer="https://auth.example/auth", access_cookie_name="mine")

    async with service.http.get("/auth/openapi.json") as answer:
        told = await answer.json()

    assert told["servers"] == [{"url": "/auth"}]
    schemes = told["components"]["securitySchemes"]
    assert {flow["tokenUrl"] for name in ("person", "service") for flow in schemes[name]["flows"].values()} == {
        "/auth/oauth/token"
    }
    assert schemes["accessCookie"]["name"] == "mine"


@pytest.mark.row("A17/REST")
async def test_documents_are_kept_by_their_etag(service: Service) -> None:
    for path in ("/openapi.json", "/descriptors.binpb"):
        async with service.http.get(path) as answer:
            etag = answer.headers["ETag"]
            assert re.fullmatch(r"public, max-age=\d+, stale-if-error=\d+", answer.headers["Cache-Control"])
        async with service.http.get(path, headers={"If-None-Match": etag}) as again:
            assert (again.status, await again.read()) == (304, b"")


@pytest.mark.row("A17/REST")
async def test_the_descriptors_need_nothing_beside_them(service: Service) -> None:
    async with service.http.get("/descriptors.binpb") as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/octet-stream")
        files = FileDescriptorSet.FromString(await answer.read()).file

    pool: Any = DescriptorPool()
    for file in files:
        pool.Add(file)
    # What refusals carry, which no message of ours names.
    assert pool.FindMessageTypeByName("google.rpc.ErrorInfo").full_name == "google.rpc.ErrorInfo"
    method = pool.FindServiceByName("auth_api.v1.AuthService").methods_by_name["Login"]
    assert method.input_type.full_name == "auth_api.v1.LoginRequest"
    assert any(
        "Exchanges a user name" in each.leading_comments for file in files for each in file.source_code_info.location
    )


@pytest.mark.row("A17/REST")
async def test_they_can_be_switched_off_and_are_off_in_production_unless_wanted(start: Start) -> None:
    async def production(**settings: str) -> Service:
        nothing_else = {"allow_plaintext": "true", "providers": "local", "uows_url": "", "allocations_url": ""}
        return await start(waits=True, profile="production", **nothing_else, **settings)

    off = await start(api_pages="false")
    unless_wanted = await production()
    wanted = await production(api_pages="true")

    for service, status in ((off, 404), (unless_wanted, 404), (wanted, 200)):
        for path in ("/openapi.json", "/descriptors.binpb"):
            async with service.http.get(path) as answer:
                assert answer.status == status
