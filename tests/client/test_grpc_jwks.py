"""Keys over gRPC: the same contract as over HTTP, whatever comes out of the other end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Self

import grpc
import pytest
from auth_api.v1 import auth_pb2
from auth_client import KeysUnavailable, TokenInvalid, TokenVerifier
from auth_client.sync import BlockingVerifier
from auth_client.trust import GrpcJwks

from tests.client.jwks_endpoint import Clock
from tests.client.minting import claims, header, jwk, sign, token, verifier


class KeysEndpoint:
    """Answers GetJwks with `keys`, or `refuses`; `hangs` until it is called off."""

    def __init__(self) -> None:
        self.keys: Sequence[dict[str, object]] = [jwk()]
        self.refuses: grpc.StatusCode | None = None
        self.hangs = False
        self.hits = 0

    async def answer(self, _: bytes, context: Any) -> auth_pb2.GetJwksResponse:
        self.hits += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.refuses is not None:
            await context.abort(self.refuses, "not now")
        keys = [auth_pb2.JsonWebKey(**{name: str(value) for name, value in key.items()}) for key in self.keys]
        return auth_pb2.GetJwksResponse(keys=keys, ring_version=7)

    async def __aenter__(self) -> Self:
        method: Any = grpc.unary_unary_rpc_method_handler(
            self.answer, response_serializer=auth_pb2.GetJwksResponse.SerializeToString
        )
        handler = grpc.method_handlers_generic_handler("auth_api.v1.AuthService", {"GetJwks": method})
        self._server = grpc.aio.server(handlers=(handler,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)


@pytest.fixture
async def endpoint() -> AsyncIterator[KeysEndpoint]:
    async with KeysEndpoint() as endpoint:
        yield endpoint


@asynccontextmanager
async def asking(endpoint: KeysEndpoint, **changes: Any) -> AsyncIterator[tuple[GrpcJwks, TokenVerifier, Clock]]:
    clock = Clock()
    keys = GrpcJwks(endpoint.address, plaintext=True, clock=clock, call_later=clock.call_later, **changes)
    try:
        yield keys, verifier(keys=keys), clock
    finally:
        await keys.close()


async def refused(checker: TokenVerifier, text: str) -> str:
    with pytest.raises(TokenInvalid) as error:
        await checker.verify(text)
    return error.value.reason


@pytest.mark.row("S84")
async def test_crowd_at_a_cold_start_causes_one_fetch(endpoint: KeysEndpoint) -> None:
    async with asking(endpoint) as (keys, checker, _):
        verified = await asyncio.gather(*(checker.verify(token()) for _ in range(100)))

        assert len(verified) == 100
        assert endpoint.hits == 1
        assert keys.health.version == "7"


@pytest.mark.row("S85", "S89")
async def test_unknown_kids_cause_one_fetch_per_cool_down_and_find_a_new_key(endpoint: KeysEndpoint) -> None:
    async with asking(endpoint) as (_, checker, clock):
        await checker.verify(token())
        for name in ("second", "third", "fourth") * 20:
            assert await refused(checker, sign(header(kid=name), claims())) == "unknown_key"
        assert endpoint.hits == 2

        endpoint.keys = [jwk(), jwk("second")]
        clock.now += 30

        assert (await checker.verify(sign(header(kid="second"), claims(), key="second"))).key_id == "second"
        assert endpoint.hits == 3


@pytest.mark.row("S89")
async def test_withdrawn_key_is_dropped_within_its_life_without_any_traffic(endpoint: KeysEndpoint) -> None:
    endpoint.keys = [jwk(), jwk("second")]
    async with asking(endpoint) as (keys, checker, clock):
        await keys.refresh()
        endpoint.keys = [jwk("second")]

        clock.pass_by(255)
        await keys.refresh()

        assert await refused(checker, token()) == "unknown_key"


@pytest.mark.row("S87", "S88")
@pytest.mark.parametrize("fault", ["UNAVAILABLE", "INTERNAL", "UNIMPLEMENTED", "empty set", "no usable key", "10 MB"])
async def test_faulty_endpoint_changes_nothing_until_max_stale(endpoint: KeysEndpoint, fault: str) -> None:
    async with asking(endpoint, max_stale=timedelta(hours=1)) as (keys, checker, clock):
        await keys.refresh()
        match fault:
            case "empty set":
                endpoint.keys = []
            case "no usable key":
                endpoint.keys = [jwk(kty="EC"), jwk("second", alg="RS512")]
            case "10 MB":
                endpoint.keys = [jwk(), jwk(kid="x" * 10_000_000)]
            case code:
                endpoint.refuses = grpc.StatusCode[code]
        clock.now += 3599
        await keys.refresh()
        assert checker.verify_now(token())
        assert keys.health.error is not None

        clock.now += 2
        with pytest.raises(KeysUnavailable, match="too old"):
            await checker.verify(token())

        endpoint.refuses, endpoint.keys = None, [jwk()]
        clock.now += 10
        assert await checker.verify(token())
        assert keys.health.error is None


@pytest.mark.row("S85")
async def test_a_fetch_that_fails_is_one_call(endpoint: KeysEndpoint) -> None:
    endpoint.refuses = grpc.StatusCode.UNAVAILABLE
    async with asking(endpoint) as (keys, _, _):
        await keys.refresh()

        assert endpoint.hits == 1
        assert "UNAVAILABLE" in str(keys.health.error)


async def test_endpoint_that_hangs_is_left_after_the_timeout(endpoint: KeysEndpoint) -> None:
    endpoint.hangs = True
    async with asking(endpoint, timeout=timedelta(milliseconds=50)) as (keys, checker, _):
        with pytest.raises(KeysUnavailable):
            await checker.verify(token())

        assert "TimeoutError" in str(keys.health.error)


@pytest.mark.row("S90")
async def test_keys_that_are_left_out_are_reported_once(
    endpoint: KeysEndpoint, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.keys = [jwk(), jwk("second", alg="RS512"), jwk("third", kid="fourth"), jwk("fourth")]
    with caplog.at_level(logging.WARNING, "auth_client"):
        async with asking(endpoint) as (keys, _, _):
            await keys.refresh()
            await keys.refresh()

            assert [str(each) for each in keys.health.left_out] == [
                "'second' is not for RS256 signatures",
                "'fourth' is the kid of 2 keys",
            ]
    assert len(caplog.messages) == 2
    assert "'second' is not for RS256 signatures, and is left out" in caplog.messages[0]


async def test_threads_ask_as_well(endpoint: KeysEndpoint) -> None:
    def blocking() -> str:
        keys = GrpcJwks(endpoint.address, plaintext=True)
        with BlockingVerifier(verifier(keys=keys), keys) as threads:
            return threads.verify(token()).username

    assert await asyncio.to_thread(blocking) == "ada"
