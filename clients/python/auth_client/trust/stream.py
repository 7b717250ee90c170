"""Keys and ended sessions as they change, so that a session that was ended is refused here within a second.

Follows `auth_api.v1.TrustService` on grpc.aio.

    the stream ends or breaks  what was told stays; the next one begins where this one was, after a short random pause
    it cannot be had           the pause doubles, from 0.2 s up to `longest_pause`
    nothing comes, not even a heartbeat, for twice as long as was promised: the stream is broken, its connection left
    meanwhile                  keys come from `fallback`, where there is one and it has newer ones
    nothing new for long       past `max_stale`, or `fail_closed_after`, nothing is trusted any longer: KeysUnavailable
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Self

import grpc.aio
from auth_api.v1 import trust_pb2

from .. import calls
from ..aio.client import Options, check_security, error_from, open_channel
from ..errors import AuthError, KeySetRefused, KeysUnavailable
from ..fetched_keys import FetchedKeys
from ..hooks import tell
from ..keys import KeySet, LeftOut, report_left_out
from ..token import VerifiedToken
from .naming import AGENT, named
from .told import Told

_PATH = "/auth_api.v1.TrustService/WatchTrust"
_FIRST_MESSAGE_WITHIN = 10.0  # Seconds.
_SHORTEST_PAUSE, _PAUSE_AFTER_SUCCESS = 0.2, 0.5
_OPTIONS: Options = (
    AGENT,
    *calls.CHANNEL_OPTIONS,
    # Left to itself gRPC waits up to two minutes before it tries to connect again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Of several addresses another one than that which just failed.
    ("grpc.lb_policy_name", "round_robin"),
    # Or gRPC would give a new channel the connection that another one has.
    ("grpc.use_local_subchannel_pool", 1),
)
_NOT_BEGUN = "no stream was begun yet"
_log = logging.getLogger("auth_client")


@dataclass(frozen=True, slots=True)
class TrustHealth:
    """How what is trusted is.

    `age` is for how long the service may have known more than this verifier; None before the first snapshot.
    `silence` is the time since the last message, None before the first. `reconnects` counts the streams after the
    first; `error` is why the last one ended, None while one is followed. `left_out` are the keys that were told and
    that no token is judged by.
    """

    is_following: bool
    age: timedelta | None
    silence: timedelta | None
    reconnects: int
    error: str | None
    version: str
    keys: int
    revoked_sessions: int
    left_out: tuple[LeftOut, ...] = ()


class TrustStream:
    """A key source that knows which sessions have ended: give it to TokenVerifier as `keys`, and it asks for both.

    Use it in one event loop, as a context manager; `current` and `is_revoked` may be called from any thread. Entering
    waits for what is trusted, but no longer than `patience`. `max_stale=None`, spelled out, goes on with what was last
    known however long the service is away: sessions that end meanwhile are then believed until their tokens expire.

    `fallback`, such as HttpJwks, is opened and closed along, and gives the keys while no stream is followed. Which
    sessions end is then not known; `fail_closed_after` says for how long that will do, and begins when it is entered.
    `on_stream` hears None whenever a stream is followed, and why it ended. `consumer_name` is what operators see this
    verifier as: one of several behind one address.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        plaintext: bool = False,
        fallback: FetchedKeys | None = None,
        max_stale: timedelta | None = timedelta(hours=24),
        fail_closed_after: timedelta | None = None,
        patience: timedelta = timedelta(seconds=5),
        longest_pause: timedelta = timedelta(seconds=10),
        options: Options = (),
        consumer_name: str = "",
        on_stream: Callable[[str | None], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_security(credentials, plaintext=plaintext)
        # Opened when it is entered, on the event loop that it is then used in.
        self._open = partial(
            open_channel, target, credentials=credentials, plaintext=plaintext, options=(*options, *_OPTIONS)
        )
        self._target = target
        self._metadata = named(consumer_name)
        self._fallback = fallback
        self._max_stale = _seconds(max_stale)
        self._fail_closed_after = _seconds(fail_closed_after)
        self._patience = patience.total_seconds()
        self._longest_pause = longest_pause.total_seconds()
        self._on_stream = on_stream
        self._clock = clock
        self._told = Told(clock=clock)
        self._began_at = clock()
        self._heard_at: float | None = None
        self._streams = self._failures = 0
        self._error: str | None = _NOT_BEGUN
        self._settled = asyncio.Event()
        self._open_things = AsyncExitStack()

    def current(self) -> KeySet:
        """Raises KeysUnavailable before the first snapshot, and past `max_stale` or `fail_closed_after`."""
        known_at = self._told.true_at if self._told.keys is not None else self._began_at
        if self._clock() - known_at > self._fail_closed_after:
            raise KeysUnavailable("the trust stream has told nothing for too long")
        # While it is followed the stream is right even where the fallback was asked later: caches may hold back a JWKS.
        if self._error is None or self._fallback is None:
            return self._told_keys()
        return self._newer_keys(self._fallback)

    def _told_keys(self) -> KeySet:
        keys = self._told.keys
        if keys is None:
            raise KeysUnavailable("what is trusted has not been told yet")
        if self._clock() - self._told.true_at > self._max_stale:
            raise KeysUnavailable("what is trusted is too old: the last message lies too far back")
        return keys

    def _newer_keys(self, fallback: FetchedKeys) -> KeySet:
        """Those of the fallback, less what the stream has told to be revoked, unless the stream is ahead of it."""
        try:
            keys = fallback.current()
        except KeysUnavailable:
            return self._told_keys()
        told = self._told.keys
        if told is None:
            return keys
        age = fallback.health.age
        if age is None or age.total_seconds() > self._clock() - self._told.true_at:
            return self._told_keys()
        return keys.without(told.revoked) if told.revoked else keys

    def is_revoked(self, token: VerifiedToken) -> bool:
        return self._told.names(token.session_id)

    async def look_again(self) -> bool:
        """Wait for the first snapshot, if none has come yet and nothing failed. New keys come by themselves.

        While no stream is followed it is the fallback that is asked.
        """
        if self._fallback is not None and self._error is not None and self._settled.is_set():
            return await self._fallback.look_again()
        if self._told.keys is not None or self._settled.is_set():
            return False
        await self._first_news()
        return self._told.keys is not None

    async def _first_news(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._settled.wait()

    @property
    def health(self) -> TrustHealth:
        now, told = self._clock(), self._told
        return TrustHealth(
            is_following=self._error is None,
            age=None if told.keys is None else timedelta(seconds=now - told.true_at),
            silence=None if self._heard_at is None else timedelta(seconds=now - self._heard_at),
            reconnects=max(0, self._streams - 1),
            error=self._error,
            version=told.keys.version if told.keys else "",
            keys=len(told.keys or ()),
            revoked_sessions=len(told),
            left_out=told.keys.left_out if told.keys else (),
        )

    async def close(self) -> None:
        """Stop following. What was told stays until it is too old."""
        await self._open_things.aclose()
        self._error = "the stream was closed"
        self._settled.set()

    async def __aenter__(self) -> Self:
        self._began_at = self._clock()
        # Of this event loop, and not settled by a stream that was left.
        self._settled, self._error = asyncio.Event(), _NOT_BEGUN
        async with AsyncExitStack() as stack:
            stack.push_async_callback(_cancelled, asyncio.create_task(self._follow()))
            if self._fallback is not None:
                await stack.enter_async_context(self._fallback)
            await self._first_news()
            self._open_things = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _follow(self) -> None:
        while True:
            async with self._open() as channel:
                await self._follow_over(channel)

    async def _follow_over(self, channel: grpc.aio.Channel) -> None:
        """Until a stream falls silent: the connection may be dead, and gRPC would not notice for minutes."""
        is_silent = False
        while not is_silent:
            why, least = "the stream came to its end", 0.0
            self._streams += 1
            try:
                await self._read(channel)
            except grpc.aio.AioRpcError as error:
                failure = error_from(error)
                why, least = str(failure), _retry_after(failure)
            except TimeoutError:
                why, is_silent = "nothing came, not even a heartbeat", True
            except KeySetRefused as error:
                why = str(error)
            except Exception as error:  # noqa: BLE001 - Whatever a server sends, following goes on, or it ends unseen.
                why = f"{type(error).__name__}: {error}"
            self._ended(why)
            await asyncio.sleep(self._pause(least))

    async def _read(self, channel: grpc.aio.Channel) -> None:
        """Until the stream ends."""
        self._told.begin()
        async with aclosing(self._messages(channel)) as messages:
            async for message in messages:
                self._heard_at = self._clock()
                before = self._told.keys
                self._told.take(message)
                if self._told.keys is not None and self._told.keys is not before:
                    report_left_out(self._target, self._told.keys, before=before)
                if message.cursor:
                    self._follows()

    async def _messages(self, channel: grpc.aio.Channel) -> AsyncGenerator[trust_pb2.WatchTrustResponse, None]:
        watch: Any = channel.unary_stream(
            _PATH,
            request_serializer=trust_pb2.WatchTrustRequest.SerializeToString,
            response_deserializer=trust_pb2.WatchTrustResponse.FromString,
        )
        call = watch(trust_pb2.WatchTrustRequest(cursor=self._told.cursor), metadata=self._metadata)
        within = _FIRST_MESSAGE_WITHIN
        try:
            while True:
                async with asyncio.timeout(within):
                    message = await call.read()
                if message is grpc.aio.EOF:
                    return
                yield message
                if self._told.heartbeat_interval is not None:
                    within = 2 * self._told.heartbeat_interval
        finally:
            call.cancel()

    def _follows(self) -> None:
        """What is trusted is up to date with the message that came."""
        if self._error is None:
            return
        if self._failures:
            _log.info("trust stream of %s: it is followed again", self._target)
        self._error, self._failures = None, 0
        self._settled.set()
        tell(self._on_stream, None)

    def _ended(self, why: str) -> None:
        if not self._failures:
            _log.warning("trust stream of %s: %s; what it has told stays", self._target, why)
        self._error, self._failures = why, self._failures + 1
        self._settled.set()
        tell(self._on_stream, why)

    def _pause(self, least: float) -> float:
        """Seconds until the next stream; spread, so that those whom a server left do not come back in step."""
        if self._failures <= 1:
            return least + random.uniform(0, _PAUSE_AFTER_SUCCESS)  # noqa: S311 - Spread, not secrecy.
        longest = min(self._longest_pause, _SHORTEST_PAUSE * 2.0 ** min(self._failures, 30))
        return max(least, longest * random.uniform(0.5, 1))  # noqa: S311 - Spread, not secrecy.


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _seconds(bound: timedelta | None) -> float:
    return float("inf") if bound is None else bound.total_seconds()


def _retry_after(failure: AuthError) -> float:
    return failure.retry_after.total_seconds() if failure.retry_after is not None else 0.0
