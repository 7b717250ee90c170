"""Keys from a JWKS URL, kept fresh in the background, so that a slow or dead endpoint delays no token.

What it refuses to do: follow redirects, read more than 256 KiB, replace good keys by an empty or broken set, let a
flood of unknown kids reach the endpoint, or trust keys for ever when the endpoint is gone.

    a fetch succeeded     the next one comes at about 80 % of max-age
    a fetch failed        the old keys stay; the next try comes after 10 s (0.5 s, doubling to 10 s, if there are none)
    an unknown kid        one fetch for all who ask, then none on their account until the cool-down has passed
    no success for long   past max_stale the keys are no longer trusted: KeysUnavailable
"""

import asyncio
import random
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, Self
from urllib.parse import urlsplit

from .errors import KeySetRefused, KeysUnavailable
from .keys import KeySet

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?(\d{1,9})", re.IGNORECASE)
_NO_LIFETIME = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,])", re.IGNORECASE)
_LARGEST_BODY = 256 * 1024
_FIRST_BACK_OFF, _BACK_OFF = 0.5, 10.0  # Seconds.


class Timer(Protocol):
    def cancel(self) -> None: ...


@dataclass(frozen=True, slots=True)
class KeyHealth:
    """How the keys are. `age` is the time since the last success, None before the first; `error` is None if it held."""

    age: timedelta | None
    error: str | None
    version: str
    keys: int


class HttpJwks:
    """A key source over HTTP(S). Use it in one event loop; `current` may be called from any thread.

    max-age is honoured between `shortest_life` and `longest_life`. `timeout` bounds a whole fetch.
    """

    def __init__(
        self,
        url: str,
        *,
        cool_down: timedelta = timedelta(seconds=30),
        max_stale: timedelta = timedelta(hours=24),
        timeout: timedelta = timedelta(seconds=5),
        shortest_life: timedelta = timedelta(seconds=10),
        longest_life: timedelta = timedelta(hours=1),
        usual_life: timedelta = timedelta(minutes=5),
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.monotonic,
        call_later: Callable[[float, Callable[[], object]], Timer] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the JWKS URL must begin with http:// or https://")
        self._url = url
        self._cool_down = cool_down.total_seconds()
        self._max_stale = max_stale.total_seconds()
        self._timeout = timeout.total_seconds()
        self._shortest, self._longest = shortest_life.total_seconds(), longest_life.total_seconds()
        self._life = self._usual = usual_life.total_seconds()
        self._ssl = ssl_context
        self._clock = clock
        self._call_later = call_later
        self._keys: KeySet | None = None
        self._body = b""
        self._succeeded_at = self._tried_at = self._asked_at = float("-inf")
        self._failures = 0
        self._error: str | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._timer: Timer | None = None
        self._is_closed = False

    def current(self) -> KeySet:
        if self._keys is None:
            raise KeysUnavailable("no key set has been fetched yet")
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
        age = None if keys is None else timedelta(seconds=self._clock() - self._succeeded_at)
        return KeyHealth(age, self._error, keys.version if keys else "", len(keys) if keys else 0)

    async def close(self) -> None:
        """Stop fetching. The keys in hand stay until they are too old."""
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._fetching is not None and self._is_fetching():
            self._fetching.cancel()
            await asyncio.wait((self._fetching,))

    async def __aenter__(self) -> Self:
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
                keys, life = await self._ask()
        except Exception as error:  # noqa: BLE001 - Whatever went wrong, the old keys stay and the back-off begins.
            self._failures += 1
            self._error = f"{type(error).__name__}: {error}"
        else:
            self._keys, self._life = keys, min(max(life, self._shortest), self._longest)
            self._succeeded_at, self._failures, self._error = self._clock(), 0, None
        self._plan()

    def _plan(self) -> None:
        """Set the timer for the next fetch; spread, so that a fleet does not ask in step."""
        now = self._clock()
        # From the start of the try, so that an endpoint that hangs until the timeout is not noticed later to be back.
        wait = max(0, self._tried_at + self._back_off(now) - now) if self._failures else self._life * 0.8
        if self._timer is not None:
            self._timer.cancel()
        call_later = self._call_later or asyncio.get_running_loop().call_later
        self._timer = call_later(wait * random.uniform(0.95, 1.05), self._begin)  # noqa: S311 - Spread, not secrecy.

    async def _ask(self) -> tuple[KeySet, float]:
        """The key set as the endpoint has it now, and how many seconds it may be kept."""
        # Imported here, because that takes longer than all the rest, and a fixed key set needs none of it.
        import aiohttp

        async def once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
            try:
                return await handler(request)
            except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
                # Of these two aiohttp would make a second request, which doubles what a failing endpoint gets.
                raise aiohttp.ClientConnectionError(str(error)) from error

        # A session per fetch: one every few minutes has no use for kept connections, and cookies must not stick.
        # Uncompressed, so that the size limit means what it says.
        headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
        if self._keys is not None and self._keys.version:
            headers["If-None-Match"] = self._keys.version
        async with (
            aiohttp.ClientSession(
                auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), middlewares=(once,)
            ) as session,
            session.get(self._url, headers=headers, allow_redirects=False, ssl=self._ssl or True) as reply,
        ):
            life = _life(reply.headers.get("Cache-Control", ""), reply.headers.get("Age", ""), self._usual)
            if reply.status == 304 and self._keys is not None and "If-None-Match" in headers:
                return self._keys, life
            if reply.status != 200:
                raise KeySetRefused(f"the JWKS endpoint answered {reply.status}")
            body = bytearray()
            async for chunk in reply.content.iter_any():
                body += chunk
                if len(body) > _LARGEST_BODY:
                    raise KeySetRefused("the JWKS is larger than 256 KiB")
            etag = reply.headers.get("ETag", "")
            # An odd ETag could not be sent back, and would then spoil every fetch to come.
            return self._read(bytes(body), etag if etag.isascii() and etag.isprintable() else ""), life

    def _read(self, body: bytes, version: str) -> KeySet:
        if self._keys is not None and body == self._body and version == self._keys.version:
            return self._keys
        keys = KeySet.from_jwks(body, version)
        if not keys:
            raise KeySetRefused("the JWKS holds no usable key")
        self._body = body
        return keys


def _life(cache_control: str, age: str, usual: float) -> float:
    """Seconds that a reply stays fresh (RFC 9111 section 4.2.1): max-age less the Age it already has."""
    if _NO_LIFETIME.search(cache_control):
        return 0
    found = _MAX_AGE.search(cache_control)
    spent = int(age) if age.isdecimal() and len(age) < 10 else 0
    return int(found[1]) - spent if found else usual
