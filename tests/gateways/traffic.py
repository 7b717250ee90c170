"""What else comes through a gateway, and what does while the service is away."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import grpc
from auth_api.v1 import auth_pb2, auth_pb2_grpc, trust_pb2, trust_pb2_grpc

from tests.gateways.case import JWT, Cases, passed
from tests.gateways.stage import PERSON, Stage
from tests.support.conditions import eventually
from tests.support.raw_http import exchange

case = Cases()
TIMES = 20


@case("a WebSocket: with a token, without", "D2", expected="101 and an echo, 401")
async def socket(stage: Stage) -> str:
    url = f"http://{stage.gateway.address}/me/socket"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
        headers = {"Authorization": f"Bearer {await stage.token()}"}
        async with http.ws_connect(url, headers=headers) as opened:
            await opened.send_str("hello")
            assert (await opened.receive_str()) == "hello"
        try:
            async with http.ws_connect(url):
                return "open to strangers"
        except aiohttp.WSServerHandshakeError as refused:
            return f"101 and an echo, {refused.status}"


@case("a body of 4 MiB, as long as it says, and in chunks", "D2", expected="arrives whole")
async def large(stage: Stage) -> str:
    reply = await stage.ask("/me/x", method="POST", token=await stage.token(), body=b"x" * (4 << 20))
    head = f"POST /me/x HTTP/1.1\r\nHost: {stage.gateway.address}\r\nAuthorization: Bearer {await stage.token()}\r\n"
    chunks = b"%x\r\n%b\r\n" % (1 << 20, b"x" * (1 << 20)) * 4 + b"0\r\n\r\n"
    chunked = await exchange(stage.gateway.address, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)
    said = [each.reached.get("size", each.status) for each in (reply, chunked)]
    return "arrives whole" if said == [4 << 20] * 2 else str(said)


@case(
    "gRPC: calls, refusals, a stream, what is for gateways alone",
    *("D2", "D8"),
    expected="OK, UNAUTHENTICATED, OK, refused",
)
async def over_grpc(stage: Stage) -> str:
    async with grpc.aio.insecure_channel(stage.gateway.grpc_address) as channel:
        auth, trust = auth_pb2_grpc.AuthServiceStub(channel), trust_pb2_grpc.TrustServiceStub(channel)
        check: Any = channel.unary_unary("/envoy.service.auth.v3.Authorization/Check")
        request, login = (
            auth_pb2.VerifyRequest(token=await stage.token()),
            auth_pb2.LoginRequest(username=PERSON, password="wrong"),
        )
        # Refusals are trailers without a body, which a proxy may lose now and then.
        verified = {await _code(auth.Verify(request, timeout=10)) for _ in range(TIMES)}
        refused = {await _code(auth.Login(login, timeout=10)) for _ in range(TIMES)}
        watching = trust.WatchTrust(trust_pb2.WatchTrustRequest(), timeout=10)
        told = "OK" if await watching.read() is not grpc.aio.EOF else "nothing"
        watching.cancel()
        is_open = await _code(check(b"", timeout=10)) == "OK"
    return f"{', '.join(sorted(verified))}, {', '.join(sorted(refused))}, {told}, {'open' if is_open else 'refused'}"


async def _code(call: Awaitable[object]) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


@case(
    "the service is away: a valid token, a public page, nobody",
    *("D2", "S66"),
    expected="503, 503, 503",
    but={"Caddy": "502, 502, 502", "Traefik": "500, 500, 500", JWT: "200, 200, 401"},
)
async def away(stage: Stage) -> str:
    token = await stage.token()
    async with _cut_off(stage):
        replies = [await stage.ask("/me/x", token=token), await stage.ask("/assets/x"), await stage.ask("/me/x")]
    return ", ".join(str(reply.status) for reply in replies)


@case("the service is away: its key set", "S18", expected="is away too", but={"nginx": "200, as it was"})
async def key_set_away(stage: Stage) -> str:
    before = await stage.ask("/auth/.well-known/jwks.json")
    assert before.status == 200
    async with _cut_off(stage):
        reply = await stage.ask("/auth/.well-known/jwks.json")
    if reply.status >= 500:
        return "is away too"
    return f"{reply.status}, as it was" if reply.body == before.body else str(reply.status)


@asynccontextmanager
async def _cut_off(stage: Stage) -> AsyncIterator[None]:
    """The service cannot be reached; afterwards it can, and the gateway has noticed."""
    token = await stage.token()

    async def is_back() -> bool:
        return passed(await stage.ask("/me/x", token=token))

    try:
        for network in stage.networks:
            await network.refuse()
        yield
    finally:
        for network in stage.networks:
            await network.pass_through()
        await eventually(is_back)
