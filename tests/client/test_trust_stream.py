"""Following what is trusted: what a verifier then believes, and what it goes on believing when the stream is cut."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest
from auth_client import KeysUnavailable, TokenInvalid, TokenRefused, TokenVerifier
from auth_client.sync import BlockingVerifier
from auth_client.trust import GrpcJwks, TrustStream

from tests.client.minting import claims, header, sign, token, verifier
from tests.client.trust_endpoint import TrustEndpoint, Turned, change, chunk, heartbeat, trusted_keys
from tests.support.conditions import eventually
from tests.support.tcp_proxy import Proxy

SESSION = str(claims()["sid"])
NEVER_GOOD: dict[str, dict[str, Any]] = {
    "plain text and credentials": {"credentials": grpc.ssl_channel_credentials()},
    "a header": {"consumer_name": "scans\r\nx: y"},
    "beyond ASCII": {"consumer_name": "müller"},
    "a space before it": {"consumer_name": " scans"},
    "too long": {"consumer_name": "x" * 65},
}


@asynccontextmanager
async def following(endpoint: TrustEndpoint, **changes: Any) -> AsyncIterator[tuple[TrustStream, TokenVerifier]]:
    arguments: dict[str, Any] = {"plaintext": True, "longest_pause": timedelta(seconds=0.2)} | changes
    async with TrustStream(endpoint.address, **arguments) as trust:
        yield trust, verifier(keys=trust, cache_size=100)


def refused(checker: TokenVerifier, text: str | None = None) -> str:
    with pytest.raises(TokenRefused) as error:
        checker.verify_now(text or token())
    return error.value.reason


def is_refused(checker: TokenVerifier) -> Callable[[], bool]:
    def now() -> bool:
        try:
            checker.verify_now(token())
        except TokenRefused:
            return True
        return False

    return now


async def test_a_verifier_is_fed_both_keys_and_revocations() -> None:
    async with TrustEndpoint(chunk("first")) as endpoint, following(endpoint) as (trust, checker):
        assert checker.verify_now(token()).session_id == SESSION

        # A remembered token is none the better for it.
        endpoint.say(change(revoked=[SESSION]))
        await eventually(is_refused(checker))

        assert refused(checker) == "revoked"
        assert checker.verify_now(token(sid="another")).session_id == "another"
        health = trust.health
        assert (health.is_following, health.error, health.reconnects) == (True, None, 0)
        assert (health.keys, health.revoked_sessions, health.version) == (1, 1, "1")


async def test_a_key_that_was_revoked_takes_its_remembered_tokens_along() -> None:
    async with TrustEndpoint(chunk("first")) as endpoint, following(endpoint) as (_, checker):
        checker.verify_now(token())

        endpoint.say(change("second", revoked_kids=["first"]))
        await eventually(is_refused(checker))

        assert refused(checker) == "revoked_key"
        assert checker.verify_now(sign(header(kid="second"), claims(), key="second"))


async def test_a_key_that_was_revoked_stays_so_where_the_next_stream_leads_to_a_replica_that_does_not_know() -> None:
    async with TrustEndpoint(chunk("first", "second")) as endpoint, following(endpoint) as (trust, checker):
        endpoint.say(change("second", revoked_kids=["first"]))
        await eventually(is_refused(checker))

        endpoint.script = [chunk("first", "second", cursor="three")]
        endpoint.cut()
        await eventually(lambda: trust.health.reconnects == 1 and trust.health.is_following)

        assert refused(checker) == "revoked_key"
        assert checker.verify_now(sign(header(kid="second"), claims(), key="second"))


async def test_a_key_set_without_a_usable_key_replaces_none_but_those_that_it_revokes_are_revoked() -> None:
    async with TrustEndpoint(chunk("first", "second")) as endpoint, following(endpoint) as (_, checker):
        endpoint.say(change(keys=trusted_keys(revoked=["first"])))
        await eventually(is_refused(checker))

        assert refused(checker) == "revoked_key"
        assert checker.verify_now(sign(header(kid="second"), claims(), key="second"))


async def test_a_snapshot_counts_with_its_last_chunk() -> None:
    async with (
        TrustEndpoint(chunk("first", last=False, revoked=["x"])) as endpoint,
        following(endpoint, patience=timedelta(seconds=0.2)) as (trust, checker),
    ):
        with pytest.raises(KeysUnavailable):
            await checker.verify(token())

        endpoint.say(chunk(revoked=[SESSION]))
        await eventually(lambda: trust.health.is_following)

        assert refused(checker) == "revoked"

        assert refused(checker, token(sid="x")) == "revoked"
        assert checker.verify_now(token(sid="another"))


async def test_a_snapshot_that_is_cut_begins_anew_and_leaves_what_was_known() -> None:
    async with TrustEndpoint(chunk("first", revoked=["x"])) as endpoint, following(endpoint) as (trust, checker):
        endpoint.script = [chunk("second", last=False, revoked=[SESSION])]
        endpoint.cut()
        await eventually(lambda: len(endpoint.cursors) == 2)
        await eventually(is_refused(checker))
        # Half a snapshot: its sessions have ended all the same, and the keys are still those of the whole one.
        assert checker.verify_now(token(sid="another"))
        assert refused(checker, token(sid="x")) == "revoked"

        endpoint.cut()
        await eventually(lambda: len(endpoint.cursors) == 3)

        assert endpoint.cursors == ["", "one", "one"]
        assert checker.verify_now(token(sid="another"))
        assert trust.health.reconnects == 2


async def test_a_stream_that_is_cut_goes_on_at_its_cursor() -> None:
    async with TrustEndpoint(chunk("first")) as endpoint, following(endpoint) as (trust, checker):
        endpoint.say(heartbeat(cursor="later"))
        await eventually(lambda: trust._told.cursor == "later")
        endpoint.script = [change(revoked=[SESSION])]
        endpoint.cut()

        await eventually(is_refused(checker))

        assert endpoint.cursors == ["", "later"]
        assert trust.health.is_following


async def test_while_the_service_is_away_what_was_told_stays_until_it_is_too_old() -> None:
    clock = Turned()
    async with (
        TrustEndpoint(chunk("first", revoked=["x"])) as endpoint,
        following(endpoint, clock=clock, max_stale=timedelta(minutes=5)) as (trust, checker),
    ):
        endpoint.refuses = grpc.StatusCode.UNAVAILABLE
        endpoint.cut()
        await eventually(lambda: len(endpoint.cursors) > 2)
        clock.now += 299
        assert checker.verify_now(token())
        assert refused(checker, token(sid="x")) == "revoked"
        clock.now += 2
        with pytest.raises(KeysUnavailable, match="too old"):
            await checker.verify(token())
        assert (trust.health.age, trust.health.is_following) == (timedelta(seconds=301), False)
        assert "UNAVAILABLE" in str(trust.health.error)

        endpoint.refuses, endpoint.script = None, [heartbeat()]
        await eventually(lambda: trust.health.is_following)

        assert checker.verify_now(token())


async def test_who_says_so_goes_on_however_long_the_service_is_away() -> None:
    clock = Turned()
    async with (
        TrustEndpoint(chunk("first")) as endpoint,
        following(endpoint, clock=clock, max_stale=None) as (_, checker),
    ):
        clock.now += 10**7

        assert checker.verify_now(token())


async def test_what_a_server_has_not_read_lately_is_not_fresh() -> None:
    clock = Turned()
    async with (
        TrustEndpoint(chunk("first", age=timedelta(minutes=6))) as endpoint,
        following(endpoint, clock=clock, max_stale=timedelta(minutes=5)) as (trust, checker),
    ):
        with pytest.raises(KeysUnavailable):
            checker.verify_now(token())
        assert trust.health.silence == timedelta(0)

        endpoint.say(heartbeat())
        await eventually(lambda: trust.health.age == timedelta(0))

        assert checker.verify_now(token())


async def test_a_stream_that_is_silent_for_longer_than_promised_is_begun_anew() -> None:
    silent = chunk("first", heartbeat=timedelta(milliseconds=50))
    async with TrustEndpoint(silent) as endpoint, following(endpoint) as (_, checker):
        await eventually(lambda: len(endpoint.cursors) > 2)

        assert endpoint.cursors[1:3] == ["one", "one"]
        assert checker.verify_now(token())


async def test_a_stream_that_is_silent_is_followed_by_one_over_another_connection() -> None:
    promising = chunk("first", heartbeat=timedelta(milliseconds=200))
    async with (
        TrustEndpoint(promising) as endpoint,
        Proxy(*endpoint.host_and_port) as proxy,
        TrustStream(f"127.0.0.1:{proxy.port}", plaintext=True) as trust,
    ):
        assert trust.health.is_following
        endpoint.script = [chunk("second")]

        proxy.fall_silent()
        await eventually(lambda: trust.health.is_following and trust.health.reconnects > 0)

        assert verifier(keys=trust).verify_now(sign(header(kid="second"), claims(), key="second"))
        # The silent one is not kept.
        await eventually(lambda: proxy.open_connections == 1)


@pytest.mark.parametrize(
    "keys",
    [trusted_keys(), trusted_keys("first", kty="EC"), trusted_keys("first", alg="RS512")],
    ids=["none", "elliptic", "RS512"],
)
async def test_a_key_set_without_a_usable_key_replaces_none(keys: Any) -> None:
    async with TrustEndpoint(chunk("first")) as endpoint, following(endpoint) as (trust, checker):
        endpoint.say(change(keys=keys, revoked=["x"]))

        await eventually(lambda: len(endpoint.cursors) > 1)

        # And the cursor has not gone past it.
        assert endpoint.cursors[1] == "one"
        assert checker.verify_now(token())
        assert refused(checker, token(sid="x")) == "revoked"
        assert trust.health.reconnects == 1


async def test_a_message_that_nobody_can_read_ends_the_stream_and_not_the_following() -> None:
    unreadable = heartbeat()
    unreadable.now.seconds = 10**15
    async with TrustEndpoint(chunk("first")) as endpoint, following(endpoint) as (trust, checker):
        endpoint.script = [heartbeat()]
        endpoint.say(unreadable)

        await eventually(lambda: len(endpoint.cursors) == 2 and trust.health.is_following)

        assert trust.health.reconnects == 1
        assert checker.verify_now(token())


async def test_what_was_closed_is_followed_again_where_it_is_entered_again() -> None:
    async with TrustEndpoint(chunk("first")) as endpoint:
        trust = TrustStream(endpoint.address, plaintext=True)
        async with trust:
            assert trust.health.is_following
        assert (trust.health.is_following, trust.health.error) == (False, "the stream was closed")
        endpoint.script = [change(revoked=[SESSION])]

        async with trust:
            assert trust.health.is_following
            assert refused(verifier(keys=trust)) == "revoked"


async def test_it_says_what_it_is_and_what_it_is_called() -> None:
    async with TrustEndpoint(chunk("first")) as endpoint, following(endpoint, consumer_name="scans-3"):
        assert endpoint.metadata["x-consumer-name"] == "scans-3"
        assert endpoint.metadata["user-agent"].startswith("auth-client (Python) grpc-python")


@pytest.mark.parametrize("arguments", NEVER_GOOD.values(), ids=list(NEVER_GOOD))
@pytest.mark.parametrize("kind", [TrustStream, GrpcJwks])
def test_what_can_never_do_is_refused_when_it_is_made(kind: Any, arguments: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        kind("127.0.0.1:1", plaintext=True, **arguments)


async def test_sessions_are_forgotten_by_the_time_of_the_service() -> None:
    async with TrustEndpoint(chunk("first", revoked=["x"])) as endpoint, following(endpoint) as (trust, checker):
        # They matter for 12 minutes, and for another 5 to verifiers of the greatest leeway.
        endpoint.say(heartbeat(later=timedelta(minutes=16), cursor="a"))
        await eventually(lambda: trust._told.cursor == "a")
        assert refused(checker, token(sid="x")) == "revoked"

        endpoint.say(heartbeat(later=timedelta(minutes=18), cursor="b"))
        await eventually(lambda: trust._told.cursor == "b")

        assert trust.health.revoked_sessions == 0


async def test_an_unknown_key_asks_nobody() -> None:
    async with TrustEndpoint(chunk("first")) as endpoint, following(endpoint) as (_, checker):
        for _ in range(100):
            with pytest.raises(TokenInvalid):
                await checker.verify(sign(header(kid="second"), claims(), key="second"))

        assert endpoint.cursors == [""]


async def test_nothing_is_waited_for_once_it_is_known_that_the_service_is_away() -> None:
    async with TrustEndpoint() as endpoint:
        endpoint.refuses = grpc.StatusCode.UNAVAILABLE
        async with following(endpoint, patience=timedelta(minutes=5)) as (trust, checker):
            with pytest.raises(KeysUnavailable):
                await checker.verify(token())
            assert trust.health.age is None

            endpoint.refuses, endpoint.script = None, [chunk("first")]
            await eventually(lambda: trust.health.is_following)

            assert checker.verify_now(token())


async def test_threads_follow_as_well() -> None:
    async with TrustEndpoint(chunk("first", revoked=["x"])) as endpoint:

        def blocking() -> tuple[str, str]:
            trust = TrustStream(endpoint.address, plaintext=True)
            checker = verifier(keys=trust)
            with BlockingVerifier(checker, trust) as threads:
                return threads.verify(token()).session_id, refused(checker, token(sid="x"))

        assert await asyncio.to_thread(blocking) == (SESSION, "revoked")
