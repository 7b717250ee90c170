"""Verifiers as consumers run them, of each kind, and a clock that makes an hour of theirs a minute of ours."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic, time
from typing import Any

from auth_client import HttpJwks, KeysUnavailable, TokenRefused, TokenVerifier
from auth_client.trust import TrustStream

from tests.drills.stage import ISSUER
from tests.support.load import OK

AUDIENCE = "auth-service"
NO_KEYS = "no keys"
SHORTEST_TIMEOUT = timedelta(seconds=0.5)
"""Of ours: however fast a verifier's clock runs, a fetch takes its time."""
REMEMBERED = 100
"""Tokens, by each verifier: of many more, at hundreds of verifiers, Python's own sweeps would hold up everybody."""
_OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)
_HURRIED = (("grpc.max_reconnect_backoff_ms", 1000),)
_SPREAD = 0.84
"""HttpJwks fetches after this share of a key set's life at the latest."""


class Times:
    """A clock on which `factor` seconds pass in each, and its timers: for HttpJwks."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self) -> float:
        return monotonic() * self.factor

    def call_later(self, delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay / self.factor, callback)

    def real(self, seconds: float) -> timedelta:
        """What so many seconds of this clock take."""
        return timedelta(seconds=seconds / self.factor)


class CountingJwks(HttpJwks):
    """`forced` counts fetches that were wanted out of turn: tokens whose key was not known."""

    forced = 0

    async def look_again(self) -> bool:
        self.forced += 1
        return await super().look_again()


@dataclass(frozen=True, slots=True)
class Verifier:
    """`kind` is HTTP, stream or what a drill calls it."""

    kind: str
    keys: CountingJwks | TrustStream
    tokens: TokenVerifier

    async def verdict(self, token: str) -> str:
        """`OK`, the reason of the refusal, or `NO_KEYS`."""
        try:
            await self.tokens.verify(token)
        except (TokenRefused, KeysUnavailable) as error:
            return _reason(error)
        return OK

    def verdict_now(self, token: str) -> str:
        """The same by the keys in hand."""
        try:
            self.tokens.verify_now(token)
        except (TokenRefused, KeysUnavailable) as error:
            return _reason(error)
        return OK


def _reason(error: TokenRefused | KeysUnavailable) -> str:
    return error.reason if isinstance(error, TokenRefused) else NO_KEYS


def by_verdict(verdict: object, error: BaseException | None) -> str:
    """For `steady`."""
    return str(verdict) if error is None else type(error).__name__


@asynccontextmanager
async def over_http(
    url: str,
    *,
    refetched: float | None = None,
    kind: str = "HTTP",
    times: Times | None = None,
    max_stale: timedelta = timedelta(hours=24),
    clock: Callable[[], float] = time,
    issuer: str = ISSUER,
    audience: str = AUDIENCE,
) -> AsyncIterator[Verifier]:
    """Fetches when the service says, or every `refetched` seconds at the latest. `clock` tells the time of day."""
    times = times or Times(1)
    lives: dict[str, Any] = {}
    if refetched is not None:
        lives = dict.fromkeys(("shortest_life", "longest_life"), timedelta(seconds=refetched / _SPREAD))
    timeout = max(times.real(5), SHORTEST_TIMEOUT)
    keys = CountingJwks(url, clock=times, call_later=times.call_later, timeout=timeout, max_stale=max_stale, **lives)
    async with keys:
        tokens = TokenVerifier(issuer=issuer, audience=audience, keys=keys, cache_size=REMEMBERED, clock=clock)
        yield Verifier(kind, keys, tokens)


@asynccontextmanager
async def over_stream(
    address: str,
    *,
    times: Times | None = None,
    max_stale: timedelta = timedelta(hours=24),
    hurries: bool = False,
    clock: Callable[[], float] = time,
) -> AsyncIterator[Verifier]:
    """Follows what is trusted, on a connection of its own. Its pauses are not of `times`; short forms let it hurry."""
    stream = TrustStream(
        address,
        plaintext=True,
        clock=times or Times(1),
        max_stale=max_stale,
        longest_pause=timedelta(seconds=1 if hurries else 10),
        options=(*_OWN_CONNECTION, *_HURRIED) if hurries else _OWN_CONNECTION,
    )
    async with stream:
        tokens = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=stream, cache_size=REMEMBERED, clock=clock)
        yield Verifier("stream", stream, tokens)
