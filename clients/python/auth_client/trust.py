"""Keys and ended sessions as they change, so that a session that was ended is refused here within a second.

Follows `auth_api.v1.TrustService` on grpc.aio. Needs `auth-client[grpc]`.

    the stream ends or breaks  what was told stays; the next one begins where this one was, after a short random pause
    it cannot be had           the pause doubles, from 0.2 s up to `longest_pause`
    nothing comes, not even a heartbeat, for twice as long as was promised: the stream is broken
    nothing new for long       past `max_stale` nothing is trusted any longer: KeysUnavailable
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Self

import grpc.aio
from auth_api.v1 import trust_pb2

from . import calls
from .aio.client import Options, error_from, open_channel
from .errors import AuthError, KeySetRefused, KeysUnavailable
from .keys import KeySet
from .token import VerifiedToken
from .trusted import Trusted

__all__ = ["TrustHealth", "TrustStream"]

_PATH = "/auth_api.v1.TrustService/WatchTrust"
_FIRST_MESSAGE_WITHIN = 10.0  # Seconds.
_SHORTEST_PAUSE, _PAUSE_AFTER_SUCCESS = 0.2, 0.5
_OPTIONS: Options = (
    *calls.CHANNEL_OPTIONS,
    # Left to itself gRPC waits up to two minutes before it tries to connect again.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Of several addresses another one than that which just failed.
    ("grpc.lb_policy_name", "round_robin"),
)


@dataclass(frozen=True, slots=True)
class TrustHealth:
    """How what is trusted is.

    `age` is for how long the service may have known more than this verifier; None before the first snapshot.
    `silence` is the time since the last message, None before the first. `reconnects` counts the streams after the
    first; `error` is why the last one ended, None while one is followed.
    """

    is_following: bool
    age: timedelta | None
    silence: timedelta | None
    reconnects: int
    error: str | None
    version: str
    keys: int
    revoked_sessions: int


class TrustStream:
    """A key source that knows which sessions have ended: give it to TokenVerifier as `keys`, and it asks for both.

    Use it in one event loop, as a context manager; `current` and `is_revoked` may be called from any thread. Entering
    waits for what is trusted, but no longer than `patience`. `max_stale=None`, spelled out, goes on with what was last
    known however long the service is away: sessions that end meanwhile are then believed until their tokens expire.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        plaintext: bool = False,
        max_stale: timedelta | None = timedelta(hours=24),
        patience: timedelta = timedelta(seconds=5),
        longest_pause: timedelta = timedelta(seconds=10),
        options: Options = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Opened when it is entered, on the event loop that it is then used in.
        self._open = partial(
            open_channel, target, credentials=credentials, plaintext=plaintext, options=(*_OPTIONS, *options)
        )
        self._max_stale = None if max_stale is None else max_stale.total_seconds()
        self._patience = patience.total_seconds()
        self._longest_pause = longest_pause.total_seconds()
        self._clock = clock
        self._trusted = Trusted(clock=clock)
        self._heard_at: float | None = None
        self._streams = self._failures = 0
        self._error: str | None = "no stream was begun yet"
        self._settled = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    def current(self) -> KeySet:
        """Raises KeysUnavailable before the first snapshot, and past `max_stale`."""
        keys = self._trusted.keys
        if keys is None:
            raise KeysUnavailable("what is trusted has not been told yet")
        if self._max_stale is not None and self._clock() - self._trusted.true_at > self._max_stale:
            raise KeysUnavailable("what is trusted is too old: the last message lies too far back")
        return keys

    def is_revoked(self, token: VerifiedToken) -> bool:
        return self._trusted.names(token.session_id)

    async def look_again(self) -> bool:
        """Wait for the first snapshot, if none has come yet and nothing failed. New keys come by themselves."""
        if self._trusted.keys is not None or self._settled.is_set():
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience):
                await self._settled.wait()
        return self._trusted.keys is not None

    @property
    def health(self) -> TrustHealth:
        now, trusted = self._clock(), self._trusted
        return TrustHealth(
            is_following=self._error is None,
            age=None if trusted.keys is None else timedelta(seconds=now - trusted.true_at),
            silence=None if self._heard_at is None else timedelta(seconds=now - self._heard_at),
            reconnects=max(0, self._streams - 1),
            error=self._error,
            version=trusted.keys.version if trusted.keys else "",
            keys=len(trusted.keys or ()),
            revoked_sessions=len(trusted),
        )

    async def close(self) -> None:
        """Stop following. What was told stays until it is too old."""
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        self._settled.set()

    async def __aenter__(self) -> Self:
        self._following = asyncio.create_task(self._follow())
        await self.look_again()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _follow(self) -> None:
        async with self._open() as channel:
            await self._follow_over(channel)

    async def _follow_over(self, channel: grpc.aio.Channel) -> None:
        while True:
            least = 0.0
            self._streams += 1
            try:
                await self._read(channel)
                self._error = "the stream came to its end"
            except grpc.aio.AioRpcError as error:
                failure = error_from(error)
                self._error, least = str(failure), _retry_after(failure)
            except TimeoutError:
                self._error = "nothing came, not even a heartbeat"
            except KeySetRefused as error:
                self._error = str(error)
            self._failures += 1
            self._settled.set()
            await asyncio.sleep(self._pause(least))

    async def _read(self, channel: grpc.aio.Channel) -> None:
        """Until the stream ends."""
        self._trusted.begin()
        async with aclosing(self._messages(channel)) as messages:
            async for message in messages:
                self._heard_at = self._clock()
                self._trusted.take(message)
                if message.cursor:
                    self._error, self._failures = None, 0
                    self._settled.set()

    async def _messages(self, channel: grpc.aio.Channel) -> AsyncGenerator[trust_pb2.WatchTrustResponse, None]:
        watch: Any = channel.unary_stream(
            _PATH,
            request_serializer=trust_pb2.WatchTrustRequest.SerializeToString,
            response_deserializer=trust_pb2.WatchTrustResponse.FromString,
        )
        call = watch(trust_pb2.WatchTrustRequest(cursor=self._trusted.cursor))
        within = _FIRST_MESSAGE_WITHIN
        try:
            while True:
                async with asyncio.timeout(within):
                    message = await call.read()
                if message is grpc.aio.EOF:
                    return
                yield message
                if self._trusted.heartbeat_interval is not None:
                    within = 2 * self._trusted.heartbeat_interval
        finally:
            call.cancel()

    def _pause(self, least: float) -> float:
        """Seconds until the next stream; spread, so that those whom a server left do not come back in step."""
        if self._failures <= 1:
            return least + random.uniform(0, _PAUSE_AFTER_SUCCESS)  # noqa: S311 - Spread, not secrecy.
        longest = min(self._longest_pause, _SHORTEST_PAUSE * 2.0 ** min(self._failures, 30))
        return max(least, longest * random.uniform(0.5, 1))  # noqa: S311 - Spread, not secrecy.


def _retry_after(failure: AuthError) -> float:
    return failure.retry_after.total_seconds() if failure.retry_after is not None else 0.0
