"""Every method that answers once, in JSON over HTTP: by the Connect protocol's rules for unary calls."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from auth_api.v1 import auth_pb2
from google.rpc import error_details_pb2

from auth_service.rpc.server import served_methods
from auth_service.web.bodies import LARGEST
from tests.support.service import PORTAL_API_KEY, Service, admin_token

LOGIN = "/auth_api.v1.AuthService/Login"
VERIFY = "/auth_api.v1.AuthService/Verify"
EXPERIMENTS = "/auth_api.v1.AuthService/ListExperiments"
CREDENTIALS = {"username": "user1001", "password": "user1001-password"}
JSON = "application/json"
STREAMS = {"WatchTrust", "WatchAuditEvents"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def told(self) -> Any:
        return json.loads(self.body)


async def post(service: Service, path: str, body: object = None, *, content_type: str = JSON, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
    named = {"Content-Type": content_type} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with service.http.post(path, data=data, headers=named) as answer:
        return Answer(answer.status, answer.headers, await answer.read())


async def test_a_person_signs_in_refreshes_and_leaves_with_nothing_but_json(service: Service) -> None:
    signed_in = await post(service, LOGIN, CREDENTIALS)
    assert (signed_in.status, signed_in.headers["Content-Type"]) == (200, JSON)
    assert signed_in.headers["Cache-Control"] == "no-store"
    pair = signed_in.told
    assert (pair["tokenType"], pair["expiresIn"]) == ("Bearer", "600s")

    verified = await post(service, VERIFY, {"token": pair["accessToken"]})
    assert verified.told["userNumber"] == "1001"

    listed = await post(service, EXPERIMENTS, {"user_number": 1001}, Authorization=f"Bearer {pair['accessToken']}")
    assert [each["rbNumber"] for each in listed.told["experiments"]] == ["2200081", "2200082", "2200083"]

    renewed = await post(service, "/auth_api.v1.AuthService/Refresh", {"refreshToken": pair["refreshToken"]})
    assert renewed.told["sessionId"] == pair["sessionId"]
    left = await post(service, "/auth_api.v1.AuthService/Logout", {"refreshToken": renewed.told["refreshToken"]})
    assert (left.status, left.told) == (200, {})
    refused = await post(service, VERIFY, {"token": renewed.told["accessToken"]})
    assert (refused.status, refused.told["code"]) == (401, "unauthenticated")


async def test_a_refusal_says_what_the_same_refusal_over_grpc_says(service: Service) -> None:
    refused = await post(service, LOGIN, {**CREDENTIALS, "password": "wrong"}, X_Request_Id="asked-1")

    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert refused.headers["Trailer-x-request-id"] == "asked-1"
    assert refused.told["code"] == "unauthenticated"
    (detail,) = refused.told["details"]
    assert detail["type"] == "google.rpc.ErrorInfo"
    assert (detail["debug"]["reason"], detail["debug"]["domain"]) == ("BAD_CREDENTIALS", "auth_api.v1")
    padded = detail["value"] + "=" * (-len(detail["value"]) % 4)
    assert error_details_pb2.ErrorInfo.FromString(base64.b64decode(padded)).reason == "BAD_CREDENTIALS"


async def test_permission_is_that_of_grpc(service: Service) -> None:
    method = "/auth_api.v1.KeyService/ListSigningKeys"
    person = await service.login("user1001")

    assert (await post(service, method)).told["code"] == "unauthenticated"
    refused = await post(service, method, Authorization=f"Bearer {person.access_token}")
    assert (refused.status, refused.told["code"]) == (403, "permission_denied")
    allowed = await post(service, method, Authorization=f"Bearer {await admin_token(service)}")
    assert {key["state"] for key in allowed.told["signingKeys"]} == {
        "SIGNING_KEY_STATE_ACTIVE",
        "SIGNING_KEY_STATE_STANDBY",
    }
    by_service = await post(service, EXPERIMENTS, {"userNumber": "1002"}, Authorization=f"Bearer {PORTAL_API_KEY}")
    assert by_service.status == 200


@pytest.mark.row("S64")
async def test_two_bearers_are_none(service: Service) -> None:
    token = (await service.login("user1001")).access_token
    headers = [("Content-Type", JSON), ("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]

    async with service.http.post(EXPERIMENTS, data=b'{"userNumber": 1001}', headers=headers) as answer:
        assert answer.status == 401
        assert (await answer.json())["details"][0]["debug"]["reason"] == "CREDENTIALS_INVALID"


@pytest.mark.parametrize(
    ("body", "field", "expected"),
    [
        ({"username": 5}, "username", "expected a string"),
        ({"name": "x"}, "name", "expected one of newPassword, password, username"),
        ({"username": {"a": 1}}, "username", "expected a string"),
    ],
)
async def test_a_wrong_field_is_named_with_what_was_expected(
    service: Service, body: object, field: str, expected: str
) -> None:
    refused = await post(service, LOGIN, body)

    assert (refused.status, refused.told["code"]) == (400, "invalid_argument")
    violations = refused.told["details"][1]["debug"]["fieldViolations"]
    assert violations == [{"field": field, "description": expected}]


async def test_a_wrong_field_within_another_is_named_by_its_path(service: Service) -> None:
    bearer = f"Bearer {await admin_token(service)}"
    method = "/auth_api.v1.UserService/UpdateUser"

    inside = await post(service, method, {"user": {"displayName": ["x"]}}, Authorization=bearer)
    mask = await post(service, method, {"updateMask": 7}, Authorization=bearer)

    assert inside.told["details"][1]["debug"]["fieldViolations"][0]["field"] == "user.displayName"
    assert "displayName,email" in mask.told["details"][1]["debug"]["fieldViolations"][0]["description"]


@pytest.mark.parametrize(
    "body",
    [
        b"nul",
        b"[]",
        b'"x"',
        b"\xff\xfe{}",
        b'{"username": "a", "username": "b"}',
        b'{"username": NaN}',
        b'{"username": "\\ud800"}',
        b"[" * 30_000,
        b'{"a":' * 10_000,
    ],
    ids=["nul", "list", "text", "UTF-16", "twice", "NaN", "surrogate", "deep list", "deep object"],
)
async def test_what_is_not_a_json_object_is_refused_as_such(service: Service, body: bytes) -> None:
    refused = await post(service, LOGIN, body)

    assert (refused.status, refused.told["code"]) == (400, "invalid_argument")
    assert refused.told["details"][0]["debug"]["reason"] == "MALFORMED_MESSAGE"
    assert "expected a JSON object" in refused.told["message"]


async def test_nothing_at_all_stands_for_an_empty_object(service: Service) -> None:
    assert (await post(service, "/auth_api.v1.AuthService/GetServerInfo", b"")).told["name"] == "auth-service"


async def test_the_binary_form_is_understood_too(service: Service) -> None:
    request = auth_pb2.LoginRequest(**CREDENTIALS).SerializeToString()
    answer = await post(service, LOGIN, request, content_type="application/proto")
    assert answer.headers["Content-Type"] == "application/proto"
    assert auth_pb2.LoginResponse.FromString(answer.body).token_type == "Bearer"

    refused = await post(service, LOGIN, b"\xff\xff", content_type="application/proto")
    assert (refused.status, refused.headers["Content-Type"]) == (400, JSON)


async def test_what_is_not_spoken_here_is_refused_with_what_is(service: Service) -> None:
    refusals = {
        "form": await post(service, LOGIN, b"username=a", content_type="application/x-www-form-urlencoded"),
        "stream": await post(service, "/auth_api.v1.TrustService/WatchTrust"),
        "method": await post(service, "/auth_api.v1.AuthService/Nope"),
        "case": await post(service, "/auth_api.v1.AuthService/login", CREDENTIALS),
        "compressed": await post(service, LOGIN, b"x", Content_Encoding="gzip"),
        "version": await post(service, LOGIN, CREDENTIALS, Connect_Protocol_Version="2"),
        "timeout": await post(service, LOGIN, CREDENTIALS, Connect_Timeout_Ms="soon"),
        "large": await post(service, LOGIN, b'"' + b"x" * LARGEST + b'"'),
    }

    assert {name: (each.status, each.told["code"]) for name, each in refusals.items()} == {
        "form": (415, "unknown"),
        "stream": (404, "unimplemented"),
        "method": (404, "unimplemented"),
        "case": (404, "unimplemented"),
        "compressed": (501, "unimplemented"),
        "version": (400, "invalid_argument"),
        "timeout": (400, "invalid_argument"),
        "large": (413, "resource_exhausted"),
    }


@pytest.mark.row("S65")
async def test_other_spellings_of_a_service_are_nothing(service: Service) -> None:
    spelt = (f"{LOGIN}{more}" for more in ("/", "%0A", "%09", "%23x", "%3Fx", ";x", "%20"))
    for path in ("/auth_api.v1.authservice/Login", f"/x{LOGIN}", "/x/y", *spelt):
        assert (await post(service, path, CREDENTIALS)).status == 404, path


async def test_a_deadline_is_kept(service: Service) -> None:
    refused = await post(service, LOGIN, CREDENTIALS, Connect_Timeout_Ms="0")

    assert (refused.status, refused.told["code"]) == (504, "deadline_exceeded")


async def test_every_method_that_answers_once_is_there(service: Service) -> None:
    ours = [method for method in served_methods() if method.startswith("/auth_api.")]
    for method in ours:
        answer = await post(service, method, b"[]")
        is_stream = method.rpartition("/")[2] in STREAMS
        assert answer.status == 404 if is_stream else answer.status in (400, 401), method
