"""Shapes of requests that no library sends: each has one reading, or is refused and hung up on."""

import asyncio
from random import Random

import pytest

from auth_service.web.connections import PATIENCE, Waits
from tests.support.service import ISSUER, Logs, Service
from tests.web.test_edge import LEAKS
from tests.web.wire import exchange

SECOND = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""What a stranger would have taken for a request of its own."""


def post(*headers: bytes, body: bytes = SECOND) -> bytes:
    lines = (b"POST /verify HTTP/1.1", b"Host: x", b"Content-Type: application/json", *headers, b"", b"")
    return b"\r\n".join(lines) + body


@pytest.mark.row("S81", "S82")
@pytest.mark.parametrize(
    "sent",
    [
        post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SECOND),
        post(b"Transfer-Encoding: chunked", b"Content-Length: 4", body=b"0\r\n\r\n" + SECOND),
        post(b"Content-Length: 0", b"Content-Length: 4"),
        post(b"Content-Length: 0, 4"),
        post(b"Content-Length: +0"),
        post(b"Content-Length: 0x0"),
        post(b"Content-Length: -1"),
        post(b"Content-Length: " + b"9" * 400),
        post(b"Content-Length : 0"),
        post(b"Content-Length: \x000"),
        post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + SECOND),
        post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + SECOND),
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SECOND),
        post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n" + SECOND),
        post(b"Transfer-Encoding: chunked", body=b"-1\r\n\r\n" + SECOND),
        post(b"Transfer-Encoding: chunked", body=b"1\r\n{}0\r\n\r\n" + SECOND),
        post(b"X: a\rContent-Length: 0"),
        post(b"Content-Length: 0", b"No colon"),
        post(b"Content-Length: 0", b": no name"),
        post(b"Content-Length: 0", b"Host: y"),
        post(b"Content-Length: 0", b"X\xff: y"),
    ],
)  # fmt: skip
async def test_where_a_request_ends_is_beyond_doubt_or_it_is_refused(service: Service, sent: bytes) -> None:
    answered = await exchange(service, sent)

    assert answered.startswith(b"HTTP/1.1 4")
    assert answered.count(b"HTTP/1.1 ") == 1
    assert b"jwk-set" not in answered
    assert not LEAKS.search(answered.decode("latin-1"))


@pytest.mark.row("S82")
@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /healthz HTTP/3.0\r\nHost: x\r\n\r\n",
        b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /hea\0lthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /hea\xffthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G(T /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /" + b"x" * (9 << 10) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"y" * (17 << 10) + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 101 + b"\r\n",
        b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\nConnection: close\r\n\r\n",
        b"CONNECT /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET http://127.0.0.1:1/.well-known/jwks.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET //healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /%2e/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /healthz%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /HEALTHZ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /healthz/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"get /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    ],
)  # fmt: skip
async def test_what_is_no_request_for_anything_here_is_refused(service: Service, sent: bytes) -> None:
    answered = await exchange(service, sent)

    assert answered.startswith((b"HTTP/1.1 4", b"HTTP/1.1 505 "))
    assert answered.count(b"HTTP/1.1 ") == 1
    assert not LEAKS.search(answered.decode("latin-1"))


async def test_a_client_of_http_1_0_is_answered_and_hung_up_on(service: Service) -> None:
    answered = await exchange(service, b"GET /healthz HTTP/1.0\r\n\r\n")

    assert answered.startswith(b"HTTP/1.1 200 ")
    assert answered.endswith(b'"ok"')


@pytest.mark.row("S67")
@pytest.mark.parametrize("host", [b"evil.example", b"x@evil.example", b"[::1]:99999", b"\x7f", b""])
async def test_no_address_that_is_told_comes_from_whom_the_caller_asked(service: Service, host: bytes) -> None:
    asked = b"GET /.well-known/openid-configuration HTTP/1.1\r\nHost: %s\r\nX-Forwarded-Host: evil.example\r\n"

    answered = await exchange(service, asked % host + b"Connection: close\r\n\r\n")

    assert b"evil" not in answered
    if answered.startswith(b"HTTP/1.1 200 "):
        assert f'"issuer":"{ISSUER}"'.encode() in answered
    else:
        assert answered.startswith(b"HTTP/1.1 400 ")


@pytest.mark.row("B10", "S82")
async def test_a_method_that_a_path_does_not_take_is_told_those_that_it_does(service: Service) -> None:
    for path, methods in {
        "/healthz": "GET, HEAD",
        "/verify": "POST",
        "/session": "DELETE, POST",
        "/oauth/userinfo": "GET, HEAD, POST",
        "/authz": "GET, HEAD",
        "/auth_api.v1.AuthService/Verify": "POST",
    }.items():
        for method in ("PUT", "PATCH", "OPTIONS", "TRACE", "BREW"):
            async with service.http.request(method, path) as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, methods), (method, path)
                assert not LEAKS.search(await answer.text())


HONEST = (
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nUser-Agent: y\r\n\r\n",
    b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 18\r\n\r\n"
    b'{"token": "x.y.z"}',
    b"POST /oauth/revoke HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n7\r\ntoken=x\r\n0\r\n\r\n",
    b"GET /authz HTTP/1.1\r\nHost: x\r\nX-Original-Method: GET\r\nX-Original-URI: /x\r\nCookie: refresh_token=x\r\n"
    b"\r\n",
)
_BYTES = (b"", b"\0", b"\r", b"\n", b"\r\n", b" ", b":", b"%", b"\xff", b"\x7f", b"9" * 20, b";", b"/", b"..")


def _mutated(chance: Random) -> bytes:
    """An honest request with up to three places that are not."""
    request = bytearray(chance.choice(HONEST))
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(request))
        request[place : place + chance.randint(0, 4)] = chance.choice(_BYTES)
    return bytes(request)


@pytest.mark.row("S82", "S70")
@pytest.mark.parametrize("seed", range(4))
async def test_a_request_with_something_wrong_anywhere_is_never_a_defect(
    service: Service, logs: Logs, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for waits in (Waits.REQUEST, Waits.BODY, Waits.NEXT):
        monkeypatch.setitem(PATIENCE, waits, 0.1)
    chance = Random(seed)
    logs.clear()

    requests = [_mutated(chance) for _ in range(100)]
    answers = await asyncio.gather(*(exchange(service, each) for each in requests))

    for request, answered in zip(requests, answers, strict=True):
        assert answered == b"" or answered.startswith((b"HTTP/1.1 2", b"HTTP/1.1 4", b"HTTP/1.1 505 ")), request
        assert not LEAKS.search(answered.decode("latin-1")), request
    assert not [line for line in logs.lines if line["level"] == "error"]
