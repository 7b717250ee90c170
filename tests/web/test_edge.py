"""The HTTP edge: what verifiers, orchestrators and Prometheus get, and what strangers do not."""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from functools import partial

import grpc
import pytest
import sqlalchemy as sa
from auth_api.v1 import auth_pb2, keys_pb2

from auth_service.web.connections import PATIENCE, Waits
from tests.rpc.conftest import Start
from tests.support.conditions import eventually
from tests.support.service import ISSUER, PORTAL_API_KEY, Service, admin_token, bearer, refusal

JWKS = "/.well-known/jwks.json"
METADATA = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]
PATHS = [JWKS, "/.well-known/revocations", *METADATA, "/healthz", "/readyz", "/ready", "/metrics"]
LEAKS = re.compile(
    r"traceback|starlette|uvicorn|python|\.py|sqlalchemy|asyncpg|postgres|sqlite|/work/|/tmp/", re.IGNORECASE
)


async def get(service: Service, path: str, method: str = "GET", **headers: str) -> tuple[int, Mapping[str, str], bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with service.http.request(method, path, headers=named, allow_redirects=False) as answer:
        return answer.status, answer.headers, await answer.read()


@pytest.mark.row("S20", "S22")
async def test_the_key_set_is_public_cacheable_and_has_nothing_private(service: Service) -> None:
    status, headers, body = await get(service, JWKS)

    keys = json.loads(body)["keys"]
    assert status == 200
    assert headers["Content-Type"] == "application/jwk-set+json"
    assert headers["Cache-Control"] == "public, max-age=300, stale-if-error=86400"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in headers
    assert "Set-Cookie" not in headers
    assert len(keys) == 2
    assert all(key.keys() == {"kty", "use", "alg", "kid", "n", "e"} for key in keys)
    assert {(key["kty"], key["use"], key["alg"], key["e"]) for key in keys} == {("RSA", "sig", "RS256", "AQAB")}
    assert all(len(key["n"]) == 342 and "=" not in key["n"] for key in keys)


@pytest.mark.row("S22")
async def test_the_etag_spares_whoever_has_the_key_set(service: Service) -> None:
    _, headers, _ = await get(service, JWKS)
    etag = headers["ETag"]
    assert re.fullmatch(r'"\d+-[0-9a-f]{16}"', etag)

    for known in (etag, f"W/{etag}", f'"x", {etag}', f'W/"x",W/{etag}', "*"):
        status, headers, body = await get(service, JWKS, If_None_Match=known)
        assert (status, body, headers["ETag"]) == (304, b"", etag)
        assert headers["Cache-Control"].startswith("public, max-age=")
    for unknown in ('"x"', etag.strip('"'), "", 'W/"0"'):
        status, _, body = await get(service, JWKS, If_None_Match=unknown)
        assert (status, len(body) > 0) == (200, True)


async def test_head_tells_what_get_would(service: Service) -> None:
    for path in PATHS:
        status, headers, body = await get(service, path, "HEAD")
        _, of_get, _ = await get(service, path)
        assert (status, body) == (200, b"")
        assert headers["Content-Type"] == of_get["Content-Type"]
        assert headers.get("ETag") == of_get.get("ETag")


@pytest.mark.row("S23")
async def test_a_standby_is_published_and_a_revoked_key_is_not(start: Start) -> None:
    service = await start()
    admin = bearer(await admin_token(service))
    _, first, body = await get(service, JWKS)
    listed = await service.keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=admin)
    assert [key["kid"] for key in json.loads(body)["keys"]] == [key.kid for key in reversed(listed.signing_keys)]

    await service.keys.RevokeSigningKey(
        keys_pb2.RevokeSigningKeyRequest(kid=listed.signing_keys[1].kid), metadata=admin
    )
    _, then, body = await get(service, JWKS, If_None_Match=first["ETag"])

    assert listed.signing_keys[1].kid not in body.decode()
    assert listed.signing_keys[0].kid in body.decode()
    assert then["ETag"] != first["ETag"]
    assert then["Cache-Control"] == "public, max-age=60, stale-if-error=86400"


@pytest.mark.row("S28")
@pytest.mark.parametrize("path", METADATA)
async def test_metadata_say_only_what_is_true(service: Service, path: str) -> None:
    status, headers, body = await get(service, path)

    told = json.loads(body)
    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert {name: told[name] for name in ("issuer", "jwks_uri", "response_types_supported")} == {
        "issuer": ISSUER,
        "jwks_uri": ISSUER + JWKS,
        "response_types_supported": [],
    }
    # That its endpoints are there, and speak what is told of them, is for test_oauth to show.
    assert all(value.startswith(f"{ISSUER}/oauth/") for name, value in told.items() if name.endswith("_endpoint"))


@pytest.mark.row("A16", "A16/REST")
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/ready"])
async def test_a_plain_probe_is_answered_and_not_kept(service: Service, path: str) -> None:
    status, headers, body = await get(service, path)

    assert (status, body, headers["Cache-Control"]) == (200, b'"ok"', "no-store")


@pytest.mark.row("A16")
async def test_without_a_live_lease_it_is_alive_but_not_ready(start: Start) -> None:
    service = await start(signer_lease="200ms", poll_every="50ms")

    async def is_ready() -> bool:
        return (await get(service, "/readyz"))[0] == 200

    await eventually(is_ready)
    # A lease that no poll renews: the ring is gone from under it.
    await service.sql(sa.text("ALTER TABLE key_ring RENAME TO key_ring_gone"))

    async def is_told() -> bool:
        return (await get(service, "/readyz"))[0] == 503

    await eventually(is_told)
    assert (await get(service, "/healthz"))[0] == 200
    assert (await get(service, JWKS))[0] == 200
    assert (await refusal(service.login())).reason == "SIGNING_UNAVAILABLE"
    await service.sql(sa.text("ALTER TABLE key_ring_gone RENAME TO key_ring"))

    async def signs_in() -> bool:
        try:
            return bool((await service.login()).session_id)
        except grpc.aio.AioRpcError:
            return False

    await eventually(is_ready)
    await eventually(signs_in)


async def test_metrics_count_calls_and_their_fine_reasons_and_nothing_unbounded(start: Start) -> None:
    service = await start()
    await service.login()
    await refusal(service.login("user1001", "wrong-password"))
    for number in range(20):
        await refusal(service.verify(f"e30.{number}.x"))
        with pytest.raises(Exception, match="UNIMPLEMENTED"):
            await service.raw(f"/auth_api.v1.AuthService/Unknown{number}")(b"")
        await get(service, f"/unknown-{number}")

    status, headers, body = await get(service, "/metrics")

    page = body.decode()
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=")
    login = 'auth_grpc_requests_total{code="%s",method="/auth_api.v1.AuthService/Login"} 1.0'
    assert login % "OK" in page
    assert login % "UNAUTHENTICATED" in page
    assert 'auth_refusals_total{method="/auth_api.v1.AuthService/Verify",reason="malformed"} 20.0' in page
    assert "auth_key_ring_version" in page
    assert 0 <= float(re.findall(r"^auth_key_active_age_seconds (\S+)$", page, re.MULTILINE)[0]) < 3600
    assert 29 * 86400 < float(re.findall(r"^auth_key_rotation_due_seconds (\S+)$", page, re.MULTILINE)[0]) <= 30 * 86400
    assert "nknown" not in page
    assert not re.search(r"user1001|eyJ|rt1\.", page)


@pytest.mark.parametrize(
    "path",
    [
        *("/nothing", "/.well-known/", "/.well-known/jwks.json/", "/../etc/passwd", "/%2e%2e/etc/passwd", "/docs/x"),
        # To a gateway that closes `/authz/…` these are other paths.
        *("/authz%2Fnginx", "/authz%2fcaddy", "/.well-known%2Fjwks.json", "/admin/roles%2Fuser"),
    ],
)
async def test_what_is_not_there_is_404_and_says_no_more(service: Service, path: str) -> None:
    status, headers, body = await get(service, path)

    assert status == 404
    assert not LEAKS.search(f"{headers} {body!r}")
    assert "Server" not in headers


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "PROPFIND", "X"])
async def test_nothing_but_get_and_head_is_answered(service: Service, path: str, method: str) -> None:
    status, headers, body = await get(service, path, method)

    assert status == 405
    assert not LEAKS.search(f"{headers} {body!r}")


async def test_headers_are_bounded(service: Service) -> None:
    reader, writer = await asyncio.open_connection(service.where.http.host, service.where.http.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * (64 << 10))
    await writer.drain()

    answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert not LEAKS.search(answer.decode())
    assert (await get(service, "/healthz"))[0] == 200


@pytest.mark.parametrize(
    "raw", [b"\x16\x03\x01\x02\x00\x01\x00", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 64 + b"\r\n\r\n"]
)
async def test_what_is_no_http_is_hung_up_on(service: Service, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection(service.where.http.host, service.where.http.port)
    writer.write(raw + b"\r\n\r\n")
    answer = await reader.read()
    writer.close()

    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 505 "))
    assert (await get(service, "/healthz"))[0] == 200


@pytest.mark.row("S81")
@pytest.mark.parametrize(
    "begun", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"]
)
async def test_a_request_that_does_not_come_is_not_waited_for(
    service: Service, begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert PATIENCE[Waits.REQUEST] == 10
    monkeypatch.setitem(PATIENCE, Waits.REQUEST, 0.2)
    reader, writer = await asyncio.open_connection(service.where.http.host, service.where.http.port)
    writer.write(begun)

    async def drip() -> None:
        while True:
            await asyncio.sleep(0.02)
            writer.write(b"G" if begun.endswith(b"\r\n\r\n") else b"x")
            await writer.drain()

    dripping = asyncio.create_task(drip())
    answered = b""
    try:
        async with asyncio.timeout(10):
            while chunk := await reader.read(1024):
                answered += chunk
    except ConnectionError:
        pass
    dripping.cancel()
    await asyncio.gather(dripping, return_exceptions=True)
    writer.close()

    assert answered.count(b"HTTP/1.1 200") == begun.count(b"\r\n\r\n")


async def test_a_connection_that_asked_is_kept_for_the_next_request(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = await asyncio.open_connection(service.where.http.host, service.where.http.port)
    for _ in range(3):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readuntil(b'"ok"')).startswith(b"HTTP/1.1 200 ")
        # From now on a request that is not complete at once is hung up on; silence between requests is none.
        monkeypatch.setitem(PATIENCE, Waits.REQUEST, 0)
    writer.close()
    await writer.wait_closed()


async def test_http_identity_headers_and_queries_mean_nothing(service: Service) -> None:
    status, _, body = await get(service, f"{JWKS}?access_token=x&authorization={PORTAL_API_KEY}", X_Forwarded_For="::1")

    assert status == 200
    assert (await service.auth.GetJwks(auth_pb2.GetJwksRequest())).keys[0].kid in body.decode()


REVOCATIONS = "/.well-known/revocations"


def revoked_in(body: bytes) -> dict[str, int]:
    return {
        session_id: group["until"]
        for group in json.loads(body)["revoked_sessions"]
        for session_id in group["session_ids"]
    }


async def test_ended_sessions_are_listed_until_their_tokens_are_gone_and_cacheable(start: Start) -> None:
    one, other = await start(), await start()
    pair, stays = await one.login(), await one.login()
    before = time.time()
    await one.logout(pair.refresh_token)

    async def is_listed() -> bool:
        return pair.session_id in revoked_in((await get(other, REVOCATIONS))[2])

    await eventually(is_listed)
    status, headers, body = await get(one, REVOCATIONS)

    assert status == 200
    assert headers["Content-Type"] == "application/json"
    assert headers["Cache-Control"] == "public, max-age=5, stale-if-error=600"
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert before + 11 * 60 < revoked_in(body)[pair.session_id] < before + 14 * 60
    assert stays.session_id not in body.decode()
    # One document, one ETag, whichever replica answers.
    assert (await get(other, REVOCATIONS))[1]["ETag"] == headers["ETag"]
    status, again, body = await get(one, REVOCATIONS, If_None_Match=headers["ETag"])
    assert (status, body, again["ETag"]) == (304, b"", headers["ETag"])
    await one.logout(stays.refresh_token)

    async def is_another() -> bool:
        status, then, _ = await get(one, REVOCATIONS, If_None_Match=headers["ETag"])
        return (status, then["ETag"] != headers["ETag"]) == (200, True)

    await eventually(is_another)


@pytest.mark.row("S27")
async def test_a_key_that_was_revoked_is_listed_beside_the_sessions(start: Start) -> None:
    one, other = await start(), await start()
    before = (await get(one, REVOCATIONS))[1]["ETag"]
    kid = (await one.jwks())[0]["kid"]
    admin = bearer(await admin_token(one))

    await one.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=kid), metadata=admin)

    async def is_listed(service: Service) -> bool:
        return bool(json.loads((await get(service, REVOCATIONS))[2])["revoked_kids"] == [kid])

    for service in (one, other):
        await eventually(partial(is_listed, service))
    etags = {(await get(service, REVOCATIONS))[1]["ETag"] for service in (one, other)}
    assert len(etags) == 1
    assert before not in etags
