"""Envoy's question before it lets a request pass: the same verdicts as at `/authz`, in Envoy's own words."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from http.cookies import SimpleCookie
from typing import Any

import grpc
import pytest
from auth_api.v1 import auth_pb2

from auth_service.demo import Facility
from auth_service.rpc.ext_authz import CHECK
from auth_service.rpc.ext_authz import check_pb2 as pb
from auth_service.usecases.gate import IDENTITY_HEADERS
from tests.rpc.conftest import Start
from tests.support.service import PORTAL_API_KEY, Databases, Logs, Service, running_service
from tests.support.tcp_proxy import in_front_of

POLICY = json.dumps(
    {
        "levels": {"admin": 0, "staff": 500},
        "rules": [
            {"public": True, "locations": ["/open/*"]},
            {"signed_in": True, "locations": ["/me"]},
            {"roles": ["staff"], "methods": ["GET"], "locations": ["/staff/*"]},
            {"level": 0, "locations": ["/admin/*"]},
            {"scopes": ["experiments:read"], "locations": ["/machines"]},
        ],
    }
)
OVERWRITE = pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
ADD = pb.HeaderValueOption.APPEND_IF_EXISTS_OR_ADD


@pytest.fixture(scope="module", params=["sqlite", "postgresql"], name="service")
async def with_a_policy(
    request: pytest.FixtureRequest,
    databases: Databases,
    facility: Facility,
    logs: Logs,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Service]:
    home = tmp_path_factory.mktemp("envoy")
    (home / "policy.json").write_text(POLICY)
    url = await databases.make(request.param)
    async with running_service(url, facility=facility, data_dir=home, policy_file=str(home / "policy.json")) as service:
        yield service


async def check(service: Service, path: str, *, method: str = "GET", **headers: str) -> pb.CheckResponse:
    """`headers` as Envoy hands them over, `_` for `-`."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return await asked(service, {"method": method, "path": path, "headers": told})


async def asked(service: Service, http: Mapping[str, object]) -> pb.CheckResponse:
    fields: Any = {"attributes": {"request": {"http": http}}}
    request = pb.CheckRequest(**fields)
    return pb.CheckResponse.FromString(await service.raw(CHECK)(request.SerializeToString()))


def headers_of(options: Any, action: int) -> dict[str, str]:
    """By name, with both ways to say what is to become of them agreeing."""
    for each in options:
        assert (each.append.value, each.append_action) == (action == ADD, action)
    return {each.header.key: each.header.value for each in options}


def cookies_of(options: Any, action: int) -> dict[str, str]:
    """Envoy leaves out what is to be added to a refusal, and keeps all that is set there."""
    told = SimpleCookie()
    for each in options:
        if each.header.key == "set-cookie":
            assert (each.append.value, each.append_action) == (action == ADD, action)
            told.load(each.header.value)
    return {name: morsel.value for name, morsel in told.items()}


async def session(service: Service) -> dict[str, str]:
    credentials = {"username": "user1001", "password": "user1001-password"}
    async with service.http.post("/session", json=credentials) as answer:
        return {name: morsel.value for name, morsel in answer.cookies.items()}


def status(response: pb.CheckResponse) -> int:
    """What the client gets from Envoy; 200 for what the program behind it answers."""
    is_ok = response.status.code == 0
    assert response.WhichOneof("http_response") == ("ok_response" if is_ok else "denied_response")
    return 200 if is_ok else response.denied_response.status.code


@pytest.mark.row("D3", "S68")
async def test_who_may_passes_with_identity_headers_and_who_may_not_hears_why(service: Service) -> None:
    person, staff = (await service.login()).access_token, (await service.login("staff1002")).access_token
    claims = await service.verify(staff)

    passed = await check(service, "/staff/x?y=1", authorization=f"Bearer {staff}")
    unknown = await check(service, "/staff/x")
    refused = await check(service, "/staff/x", authorization=f"Bearer {person}")
    public = await check(service, "/open/x")

    assert [status(each) for each in (passed, unknown, refused, public)] == [200, 401, 403, 200]
    assert headers_of(passed.ok_response.headers, OVERWRITE) == {
        "x-auth-subject": claims.subject,
        "x-auth-username": "staff1002",
        "x-auth-roles": "staff",
        "x-auth-user-number": str(claims.user_number),
        "x-auth-session": claims.session_id,
        "x-auth-client": claims.client_id,
    }
    assert list(passed.ok_response.headers_to_remove) == ["x-auth-scopes"]
    assert headers_of(unknown.denied_response.headers, OVERWRITE) == {
        "cache-control": "no-store",
        "content-type": "application/json",
        "www-authenticate": "Bearer",
    }
    assert json.loads(unknown.denied_response.body)["reason"] == "CREDENTIALS_MISSING"
    assert json.loads(refused.denied_response.body)["reason"] == "PERMISSION_DENIED"
    assert (unknown.status.code, refused.status.code) == (16, 7)


@pytest.mark.row("S68")
async def test_identity_headers_of_the_client_never_get_through_however_they_are_spelt(service: Service) -> None:
    token = (await service.login()).access_token
    sent = dict.fromkeys((*IDENTITY_HEADERS, "x_auth_roles", "x-auth_scopes", "X-AUTH-ROLES", "x-authentic"), "admin")

    for bearer, path in (({}, "/open/x"), ({"authorization": f"Bearer {token}"}, "/me")):
        response = await asked(service, {"method": "GET", "path": path, "headers": sent | bearer})
        removed = set(response.ok_response.headers_to_remove)
        overwritten = headers_of(response.ok_response.headers, OVERWRITE)
        assert removed | overwritten.keys() == sent.keys() - {"x-authentic"}
        assert not removed & overwritten.keys()
        assert "admin" not in overwritten.values()


@pytest.mark.row("S68", "S1")
async def test_a_bad_token_is_401_whatever_is_wrong_with_it(service: Service) -> None:
    good = await service.login()

    for token in ("x", "x.y.z", good.access_token[:-6] + "AAAAAA", good.refresh_token, PORTAL_API_KEY):
        response = await check(service, "/me", authorization=f"Bearer {token}")
        assert status(response) == 401
        challenge = headers_of(response.denied_response.headers, OVERWRITE)["www-authenticate"]
        assert challenge.startswith('Bearer error="invalid_token"')
        assert token not in response.denied_response.body
    # Envoy joins what came twice.
    twice = f"Bearer {good.access_token},Bearer {good.access_token}"
    assert status(await check(service, "/me", authorization=twice)) == 401
    raw = [{"key": "authorization", "raw_value": f"Bearer {good.access_token}".encode()}] * 2
    for headers, expected in ((raw[:1], 200), (raw, 401)):
        response = await asked(service, {"method": "GET", "path": "/me", "header_map": {"headers": headers}})
        assert status(response) == expected


@pytest.mark.row("S67", "S68")
async def test_what_the_client_says_of_its_request_does_not_matter(service: Service) -> None:
    token = (await service.login()).access_token

    for name in ("x-original-uri", "x-forwarded-uri", "x-envoy-original-path", "x-rewrite-url", ":path"):
        told = {"authorization": f"Bearer {token}", name: "/open/x"}
        assert status(await asked(service, {"method": "GET", "path": "/admin/x", "headers": told})) == 403
    for path in ("//open/x", "/open/../admin", "/open/%2e%2e/x", "/open/x;y", "", "*", "http://a/open/x", "a:443"):
        assert status(await check(service, path, authorization=f"Bearer {token}")) == 403
    assert status(await check(service, "/open/x", method="CONNECT")) == 401
    assert status(pb.CheckResponse.FromString(await service.raw(CHECK)(b""))) == 401
    with pytest.raises(grpc.aio.AioRpcError, match="INVALID_ARGUMENT"):
        await service.raw(CHECK)(b"\xff\xff\xff")


@pytest.mark.row("D3", "S68")
async def test_a_service_passes_by_its_scopes(service: Service) -> None:
    token = (await service.auth.LoginService(auth_pb2.LoginServiceRequest(api_key=PORTAL_API_KEY))).access_token

    response = await check(service, "/machines", authorization=f"Bearer {token}")

    assert status(response) == 200
    assert headers_of(response.ok_response.headers, OVERWRITE)["x-auth-scopes"] == "experiments:read"
    assert "x-auth-roles" in response.ok_response.headers_to_remove


@pytest.mark.row("D4")
async def test_browsers_whose_access_token_is_over_all_go_on_with_the_same_next_one(service: Service) -> None:
    cookies = await session(service)
    over = f"access_token=x.y.z; refresh_token={cookies['refresh_token']}"

    responses = await asyncio.gather(*(check(service, "/me", cookie=over) for _ in range(20)))

    assert {status(each) for each in responses} == {200}
    given = [cookies_of(each.ok_response.response_headers_to_add, ADD) for each in responses]
    (successor,) = {each["refresh_token"] for each in given}
    generations = [service.refresh_tokens.read(each).generation for each in (cookies["refresh_token"], successor)]
    assert generations[1] == generations[0] + 1
    held = "; ".join(f"{name}={value}" for name, value in given[0].items())
    assert not (await check(service, "/me", cookie=held)).ok_response.response_headers_to_add


@pytest.mark.row("D1", "S68")
async def test_the_program_behind_envoy_never_sees_a_refresh_token(service: Service) -> None:
    held = await session(service)
    access, refresh = (f"{name}={held[name]}" for name in ("access_token", "refresh_token"))

    for sent, left in (
        (f"theme=dark; {refresh}; {access}", f"theme=dark; {access}"),
        (f"{refresh};{access}", access),
        (f"{access}; {refresh}", access),
    ):
        response = await check(service, "/me", cookie=sent)
        assert headers_of(response.ok_response.headers, OVERWRITE)["cookie"] == left
    alone = await check(service, "/open/x", cookie=f"{refresh}; {refresh}x")
    none = await check(service, "/open/x", cookie=f"{access}; theme=dark")
    assert "cookie" in alone.ok_response.headers_to_remove
    assert "cookie" not in none.ok_response.headers_to_remove
    assert "cookie" not in headers_of(none.ok_response.headers, OVERWRITE)


@pytest.mark.row("D4")
async def test_a_browser_hears_of_its_next_tokens_and_of_its_session_s_end_with_a_refusal_too(
    service: Service,
) -> None:
    cookies = await session(service)

    refused = await check(service, "/admin/x", cookie=f"refresh_token={cookies['refresh_token']}")
    given = cookies_of(refused.denied_response.headers, OVERWRITE)
    await service.logout(given["refresh_token"])
    over = await check(service, "/me", cookie=f"refresh_token={given['refresh_token']}")

    assert (status(refused), status(over)) == (403, 401)
    assert given["refresh_token"] != cookies["refresh_token"]
    assert cookies_of(over.denied_response.headers, OVERWRITE) == {"access_token": "", "refresh_token": ""}


@pytest.mark.row("D2", "S68")
async def test_a_browser_that_wants_a_page_is_sent_to_sign_in_and_nobody_else_is(service: Service) -> None:
    navigates = {"accept": "text/html,*/*;q=0.8", "sec_fetch_mode": "navigate"}

    sent = await check(service, "/me?a=1&b=2", **navigates)
    others = [
        await check(service, "/me", accept="*/*"),
        await check(service, "/me", **(navigates | {"sec_fetch_mode": "cors"})),
        await check(service, "/me", method="POST", **navigates),
        await check(service, "/me", authorization="Bearer x", **navigates),
    ]

    assert status(sent) == 303
    assert headers_of(sent.denied_response.headers, OVERWRITE)["location"] == "/sign-in?next=/me%3Fa%3D1%26b%3D2"
    assert [status(each) for each in others] == [401] * 4


@pytest.mark.row("D5", "S18")
async def test_without_the_database_tokens_count_and_only_a_refresh_has_to_wait(
    databases: Databases, facility: Facility, logs: Logs, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("away")
    (home / "policy.json").write_text(POLICY)
    async with (
        in_front_of(await databases.make("postgresql")) as (proxy, through),
        running_service(
            through,
            facility=facility,
            data_dir=home,
            policy_file=str(home / "policy.json"),
            database_timeout="2s",
        ) as service,
    ):
        token, cookies = (await service.login()).access_token, await session(service)
        await proxy.refuse()

        good = await check(service, "/me", authorization=f"Bearer {token}")
        over = await check(service, "/me", cookie=f"refresh_token={cookies['refresh_token']}")

        assert (status(good), status(over)) == (200, 503)
        assert int(headers_of(over.denied_response.headers, OVERWRITE)["retry-after"]) >= 1
        await proxy.pass_through()


@pytest.mark.row("D3")
async def test_without_a_policy_nobody_is_answered(start: Start) -> None:
    service = await start()

    with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
        await service.raw(CHECK)(b"")


@pytest.mark.row("S68")
async def test_the_bytes_are_those_of_envoys_own_messages(service: Service) -> None:
    """By the field numbers of Envoy's protos, written out here; what we do not read is skipped."""
    token = (await service.login()).access_token
    header = field(1, b"authorization") + field(2, b"Bearer " + token.encode())
    http = b"".join(
        [field(1, b"id"), field(2, b"GET"), field(3, header), field(4, b"/me"), field(5, b"host"), field(10, b"HTTP/2")]
    )
    peer = field(1, field(1, field(2, b"127.0.0.1")))
    attributes = (
        field(1, peer) + field(2, peer) + field(4, field(2, http)) + field(10, b"") + field(12, field(1, b"sni"))
    )

    said = fields(await service.raw(CHECK)(field(1, attributes)))

    assert said.keys() <= {1, 3}
    ok = fields(said[3][0])
    assert ok.keys() == {2, 5}
    name, value = (fields(fields(ok[2][0])[1][0])[number][0] for number in (1, 2))
    assert name == b"x-auth-subject"
    assert len(value) == 36
    denied = fields(fields(await service.raw(CHECK)(b""))[2][0])
    assert fields(denied[1][0]) == {1: [401]}
    assert json.loads(denied[3][0])["reason"] == "CREDENTIALS_MISSING"


def field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(number: int) -> bytes:
    high = number >> 7
    return bytes([number & 127 | 128]) + varint(high) if high else bytes([number])


def fields(message: bytes) -> dict[int, list[Any]]:
    """Each field's values, of a message of texts, messages and numbers."""
    found: dict[int, list[Any]] = {}
    while message:
        tag, message = read_varint(message)
        length, message = read_varint(message)
        value: Any = length
        if tag & 7 == 2:
            value, message = message[:length], message[length:]
        found.setdefault(tag >> 3, []).append(value)
    return found


def read_varint(data: bytes) -> tuple[int, bytes]:
    number = shift = 0
    for position, byte in enumerate(data, 1):
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, data[position:]
    raise AssertionError("cut off")
