"""The trust stream with a JWKS behind it: keys go on coming while no stream is followed, for as long as is wanted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest
from auth_client import HttpJwks, KeysUnavailable, TokenRefused, TokenVerifier
from auth_client.sync import BlockingVerifier
from auth_client.trust import TrustStream

from tests.client.jwks_endpoint import FAULTS, Clock, JwksEndpoint
from tests.client.minting import claims, header, sign, token, verifier
from tests.client.trust_endpoint import TrustEndpoint, change, chunk, heartbeat
from tests.support.conditions import eventually


@asynccontextmanager
async def following(
    endpoint: TrustEndpoint, jwks: JwksEndpoint, **changes: Any
) -> AsyncIterator[tuple[TrustStream, TokenVerifier, Clock]]:
    clock = Clock()
    arguments: dict[str, Any] = {"plaintext": True, "longest_pause": timedelta(seconds=0.2), "clock": clock} | changes
    fallback = HttpJwks(jwks.url, clock=clock, call_later=clock.call_later)
    async with TrustStream(endpoint.address, fallback=fallback, **arguments) as trust:
        yield trust, verifier(keys=trust, cache_size=100), clock


def of_second(**changes: object) -> str:
    return sign(header(kid="second"), claims(**changes), key="second")


def reason(checker: TokenVerifier, text: str) -> str:
    with pytest.raises(TokenRefused) as refused:
        checker.verify_now(text)
    return refused.value.reason


async def lost(endpoint: TrustEndpoint, trust: TrustStream) -> None:
    endpoint.refuses = grpc.StatusCode.UNAVAILABLE
    endpoint.cut()
    await eventually(lambda: not trust.health.is_following)


async def test_while_the_stream_is_followed_the_jwks_has_no_say() -> None:
    async with (
        JwksEndpoint("first", "second") as jwks,
        TrustEndpoint(chunk("first")) as endpoint,
        following(endpoint, jwks) as (_, checker, _),
    ):
        assert checker.verify_now(token())
        assert reason(checker, of_second()) == "unknown_key"


async def test_a_stream_that_is_lost_leaves_new_keys_to_the_jwks_and_what_it_told_in_force() -> None:
    async with (
        JwksEndpoint("first") as jwks,
        TrustEndpoint(chunk("first", "third", revoked=["x"])) as endpoint,
        following(endpoint, jwks) as (trust, checker, clock),
    ):
        endpoint.say(change("first", "third", revoked_kids=["fourth"]))
        await eventually(lambda: trust._told.cursor == "two")
        await lost(endpoint, trust)
        # The JWKS was asked before the stream was lost, and knows less.
        clock.now += 60
        trust._told.true_at = clock.now
        assert checker.verify_now(sign(header(kid="third"), claims(), key="third"))

        clock.now += 1
        jwks.names, jwks.headers["ETag"] = ("first", "second", "fourth"), '"2"'
        assert (await checker.verify(of_second())).key_id == "second"

        assert reason(checker, sign(header(kid="fourth"), claims(), key="fourth")) == "revoked_key"
        assert reason(checker, token(sid="x")) == "revoked"

        endpoint.refuses, endpoint.script = None, [heartbeat()]
        await eventually(lambda: trust.health.is_following)
        assert reason(checker, of_second()) == "unknown_key"


async def test_where_no_stream_is_to_be_had_the_jwks_will_do() -> None:
    async with JwksEndpoint() as jwks, TrustEndpoint() as endpoint:
        endpoint.refuses = grpc.StatusCode.UNIMPLEMENTED
        async with following(endpoint, jwks) as (trust, checker, clock):
            assert checker.verify_now(token())
            clock.now += 86_000
            assert checker.verify_now(token())
            assert (trust.health.age, trust.health.is_following) == (None, False)
            assert jwks.hits == 1


async def test_who_says_so_fails_closed_without_the_stream_and_recovers() -> None:
    async with (
        JwksEndpoint() as jwks,
        TrustEndpoint(chunk("first")) as endpoint,
        following(endpoint, jwks, fail_closed_after=timedelta(minutes=2)) as (trust, checker, clock),
    ):
        await lost(endpoint, trust)
        clock.now += 119
        assert checker.verify_now(token())
        clock.now += 2
        with pytest.raises(KeysUnavailable, match="nothing for too long"):
            await checker.verify(token())

        endpoint.refuses, endpoint.script = None, [heartbeat()]
        await eventually(lambda: trust.health.is_following)

        assert checker.verify_now(token())


async def test_a_server_that_knows_nothing_new_is_no_better_than_none() -> None:
    bound = timedelta(minutes=2)
    async with (
        JwksEndpoint() as jwks,
        TrustEndpoint(chunk("first", age=timedelta(minutes=3))) as endpoint,
        following(endpoint, jwks, fail_closed_after=bound) as (trust, checker, _),
    ):
        assert trust.health.is_following
        with pytest.raises(KeysUnavailable, match="nothing for too long"):
            checker.verify_now(token())

    async with JwksEndpoint() as jwks, TrustEndpoint() as endpoint:
        endpoint.refuses = grpc.StatusCode.UNIMPLEMENTED
        async with following(endpoint, jwks, fail_closed_after=bound) as (_, checker, clock):
            assert checker.verify_now(token())
            clock.now += 121
            with pytest.raises(KeysUnavailable, match="nothing for too long"):
                checker.verify_now(token())


async def test_without_either_what_was_told_stays_until_it_is_too_old() -> None:
    async with (
        JwksEndpoint() as jwks,
        TrustEndpoint(chunk("first", "third")) as endpoint,
        following(endpoint, jwks, max_stale=timedelta(hours=30)) as (trust, checker, clock),
    ):
        await lost(endpoint, trust)
        jwks.fault = FAULTS["500"]
        clock.now += 25 * 3600
        # The keys of the JWKS are too old; the stream may have told its own for longer.
        assert checker.verify_now(sign(header(kid="third"), claims(), key="third"))
        clock.now += 6 * 3600
        with pytest.raises(KeysUnavailable, match="too old"):
            await checker.verify(token())


async def test_threads_fall_back_as_well() -> None:
    async with JwksEndpoint() as jwks, TrustEndpoint() as endpoint:
        endpoint.refuses = grpc.StatusCode.UNAVAILABLE

        def blocking() -> str:
            trust = TrustStream(endpoint.address, plaintext=True, fallback=HttpJwks(jwks.url))
            with BlockingVerifier(verifier(keys=trust), trust) as threads:
                return threads.verify(token()).username

        assert await asyncio.to_thread(blocking) == "ada"
