"""Keys that are fetched now and then and kept, so that a slow or dead endpoint delays no token.

What it refuses to do: replace good keys by an empty or broken set, let a flood of unknown kids reach the endpoint, or
trust keys for ever when the endpoint is gone.

    a fetch succeeded     the next one comes when 80 % of its life is over
    a fetch failed        the old keys stay; the next try comes after 10 s (0.5 s, doubling to 10 s, if there are none)
    an unknown kid        one fetch for all who ask, then none on their account until the cool-down has passed
    no success for long   past max_stale the keys are no longer trusted: KeysUnavailable
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, Self, TypedDict

from .errors import KeysUnavailable
from .hooks import tell
from .keys import KeySet, LeftOut, report_left_out

_FIRST_BACK_OFF, _BACK_OFF = 0.5, 10.0  # Seconds.
_log = logging.getLogger("auth_client")

Fetch = Callable[[KeySet | None], Awaitable[tuple[KeySet, float]]]
"""The key set as it is now and the seconds that it may be kept, given the one in hand. May raise anything."""


class Timer(Protocol):
    def cancel(self) -> None: ...


@dataclass(frozen=True, slots=True)
class KeyHealth:
    """How the keys are. `age` is the time since the last success, None before the first; `error` is None if it held.

    `left_out` are the keys of the set in hand that no token is judged by.
    """

    age: timedelta | None
    error: str | None
    version: str
    keys: int
    left_out: tuple[LeftOut, ...] = ()


class Keeping(TypedDict, total=False):
    """How fetched keys are kept: what FetchedKeys takes, and so HttpJwks and GrpcJwks."""

    cool_down: timedelta
    max_stale: timedelta
    timeout: timedelta
    shortest_life: timedelta
    longest_life: timedelta
    on_fetch: Callable[[str | None], object] | None
    clock: Callable[[], float]
    call_later: Callable[[float, Callable[[], object]], Timer] | None


class FetchedKeys:
    """A key source that asks `fetch`. Use it in one event loop; `current` may be called from any thread.

    The life of a set is honoured between `shortest_life` and `longest_life`; `timeout` bounds a whole fetch. `on_fetch`
    hears of every fetch, with what went wrong or None.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        name: str,
        cool_down: timedelta = timedelta(seconds=30),
        max_stale: timedelta = timedelta(hours=24),
        timeout: timedelta = timedelta(seconds=5),
        shortest_life: timedelta = timedelta(seconds=10),
        longest_life: timedelta = timedelta(hours=1),
        on_fetch: Callable[[str | None], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        call_later: Callable[[float, Callable[[], object]], Timer] | None = None,
    ) -> None:
        self._ask = fetch
        self._name = name
        self._cool_down = cool_down.total_seconds()
        self._max_stale = max_stale.total_seconds()
        self._timeout = timeout.total_seconds()
        self._shortest, self._longest = shortest_life.total_seconds(), longest_life.total_seconds()
        self._life = 0.0
        self._on_fetch = on_fetch
        self._clock = clock
        self._call_later = call_later
        self._keys: KeySet | None = None
        self._succeeded_at = self._tried_at = self._asked_at = float("-inf")
        self._failures = 0
        self._error: str | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._timer: Timer | None = None
        self._is_closed = False

    def current(self) -> KeySet:
        if self._keys is None:
            because = f": {self._error}" if self._error else ""
            raise KeysUnavailable(f"no key set has been fetched yet from {self._name}{because}")
        if self._clock() - self._succeeded_at > self._max_stale:
            raise KeysUnavailable("the key set is too old: the last fetch that succeeded lies too far back")
        return self._keys

    async def look_again(self) -> bool:
        """Join the fetch under way, or start one if that is due. True if it succeeded."""
        if not self._is_fetching():
            now = self._clock()
            if self._is_closed or now < self._next_ask(now):
                return False
            # The first fetch is on nobody's account: a key published just after it may still be asked for.
            if self._is_trusted(now):
                self._asked_at = now
        await self.refresh()
        return self._error is None

    async def refresh(self) -> None:
        """Fetch now, whatever the cool-down says, and keep fresh from then on. Never raises: see `health`."""
        self._begin()
        if self._fetching is not None:
            # `wait`, because a caller that gives up must not take the others' answer away, nor `close` cancel callers.
            await asyncio.wait((self._fetching,))

    @property
    def health(self) -> KeyHealth:
        keys = self._keys
        if keys is None:
            return KeyHealth(None, self._error, "", 0)
        age = timedelta(seconds=self._clock() - self._succeeded_at)
        return KeyHealth(age, self._error, keys.version, len(keys), keys.left_out)

    async def close(self) -> None:
        """Stop fetching. The keys in hand stay until they are too old."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._fetching is not None and self._is_fetching():
            self._fetching.cancel()
            await asyncio.wait((self._fetching,))

    async def __aenter__(self) -> Self:
        # Again, where a lifespan is: what was closed is open from now on.
        self._is_closed = False
        await self.refresh()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _is_trusted(self, now: float) -> bool:
        return self._keys is not None and now - self._succeeded_at <= self._max_stale

    def _back_off(self, now: float) -> float:
        """Seconds to leave a failing endpoint alone."""
        if self._is_trusted(now):
            return _BACK_OFF
        return min(_FIRST_BACK_OFF * 2.0 ** min(self._failures - 1, 10), _BACK_OFF)

    def _next_ask(self, now: float) -> float:
        """When an unknown kid, or a verifier without keys, may next cause a fetch."""
        after_failure = self._tried_at + self._back_off(now) if self._failures else now
        return max(after_failure, self._asked_at + self._cool_down) if self._is_trusted(now) else after_failure

    def _is_fetching(self) -> bool:
        # A task of a loop that was closed meanwhile will never be done.
        task = self._fetching
        return task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()

    def _begin(self) -> None:
        if not self._is_closed and not self._is_fetching():
            self._fetching = asyncio.get_running_loop().create_task(self._fetch())

    async def _fetch(self) -> None:
        self._tried_at = self._clock()
        try:
            async with asyncio.timeout(self._timeout):
                keys, life = await self._ask(self._keys)
            keys.refuse_if_empty()
        except Exception as error:  # noqa: BLE001 - Whatever went wrong, the old keys stay and the back-off begins.
            # What asyncio raises when the time is over says nothing.
            self._failed(f"{type(error).__name__}: {str(error) or 'there was no answer in time'}")
        else:
            self._succeeded(keys, min(max(life, self._shortest), self._longest))
        self._plan()
        tell(self._on_fetch, self._error)

    def _failed(self, error: str) -> None:
        if not self._failures:
            kept = "the keys in hand stay" if self._keys is not None else "there are no keys yet"
            _log.warning("keys from %s: %s; %s", self._name, error, kept)
        self._failures, self._error = self._failures + 1, error

    def _succeeded(self, keys: KeySet, life: float) -> None:
        if self._failures:
            _log.info("keys from %s: they are to be had again", self._name)
        report_left_out(self._name, keys, before=self._keys)
        self._keys, self._life = keys, life
        self._succeeded_at, self._failures, self._error = self._clock(), 0, None

    def _plan(self) -> None:
        """Set the timer for the next fetch; spread, so that a fleet does not ask in step."""
        now = self._clock()
        # From the start of the try, so that an endpoint that hangs until the timeout is not noticed later to be back.
        wait = max(0, self._tried_at + self._back_off(now) - now) if self._failures else self._life * 0.8
        if self._timer is not None:
            self._timer.cancel()
        call_later = self._call_later or asyncio.get_running_loop().call_later
        self._timer = call_later(wait * random.uniform(0.95, 1.05), self._begin)  # noqa: S311 - Spread, not secrecy.
