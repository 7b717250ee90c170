"""Asking another system over HTTP so that nothing it does can hurt: bounded in time, bytes and connections.

Whatever goes wrong leaves as ProviderUnavailable, in our words: nothing of the request or of the answer is in it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp
import structlog

from auth_service.domain.errors import ProviderUnavailable
from auth_service.domain.people import GREATEST_USER_NUMBER
from auth_service.providers.breaker import PATIENCE, Breaker, UnusableForOne

log = structlog.get_logger()

LARGEST_BODY = 256 * 1024

_MOST_DIGITS = len(str(GREATEST_USER_NUMBER))

T = TypeVar("T")


class Unusable(Exception):
    """Something answered, but not the system as agreed. The message says what was wrong, never what was sent.

    A server's error, a redirect, HTML, what is no JSON or has no end: proxies, maintenance pages and half-dead servers
    answer so, whoever is asked about. The breaker counts it. What it must not count is UnusableForOne.
    """


class BoundedResponse(aiohttp.ClientResponse):
    """A response that refuses bodies over LARGEST_BODY instead of keeping them in memory, inflated size counted."""

    _is_too_large = False

    async def read(self) -> bytes:
        if self._is_too_large:
            raise Unusable("the body is too large")
        if self._body is None:
            body = bytearray()
            async for chunk in self.content.iter_any():
                body += chunk
                if len(body) > LARGEST_BODY:
                    self._is_too_large = True
                    # Not released but closed: the rest of the body is still on its way.
                    self.close()
                    raise Unusable("the body is too large")
            # `text()` and `json()` look here.
            self._body = bytes(body)
        return self._body


def session_arguments(*, connections: int, deadline: timedelta) -> dict[str, Any]:
    """How every session to another system is made; needs a running event loop.

    No cookies: they would be shared by all the people whom we ask about. A connection attempt may take half the
    deadline, so that another one fits.
    """
    return {
        "connector": aiohttp.TCPConnector(limit=connections),
        "cookie_jar": aiohttp.DummyCookieJar(),
        "response_class": BoundedResponse,
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=deadline.total_seconds() / 2),
    }


class Upstream:
    """One other system: how long it may take and whether it is worth asking at all."""

    def __init__(self, name: str, *, deadline: timedelta, breaker: Breaker | None) -> None:
        self.name = name
        self.deadline = deadline
        self.breaker = breaker or Breaker(name, patience=min(deadline / 2, PATIENCE))
        self._probes: set[asyncio.Task[Any]] = set()

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """What `question` returns. Raises ProviderUnavailable, and lets BadCredentials through."""
        if not self.breaker.is_open:
            return await self._watched(question)
        # A probe goes on to its verdict though its caller leaves: everybody waits for it, and a stranger who is always
        # the one to probe, and always leaves, must not keep the breaker open.
        probe = asyncio.create_task(self._watched(question))
        self._probes.add(probe)
        probe.add_done_callback(self._over)
        await asyncio.wait([probe])
        return probe.result()

    async def close(self) -> None:
        """Ends the probes whose callers left."""
        probes = list(self._probes)
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)

    def _over(self, probe: asyncio.Task[Any]) -> None:
        self._probes.discard(probe)
        if not probe.cancelled():
            # Nobody else may be left to look at it, and asyncio would say so on standard error.
            probe.exception()

    async def _watched(self, question: Callable[[], Awaitable[T]]) -> T:
        try:
            with self.breaker.watching():
                return await self._answered(question)
        except UnusableForOne as error:
            problem, detail = "gave an answer that cannot be used", str(error)
        log.warning("provider failed for one", provider=self.name, problem=problem, detail=detail)
        raise ProviderUnavailable(f"{self.name} {problem}")

    async def _answered(self, question: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self.deadline.total_seconds()):
                return await question()
        except TimeoutError:
            problem, detail = "did not answer in time", ""
        except Unusable as error:
            problem, detail = "gave an answer that cannot be used", str(error)
        except (aiohttp.ClientError, OSError) as error:
            problem, detail = "could not be reached", type(error).__name__
        log.warning("provider failed", provider=self.name, problem=problem, detail=detail)
        # Raised out here so that it has no context: exceptions of HTTP clients and parsers hold headers and bodies.
        raise ProviderUnavailable(f"{self.name} {problem}")


def unexpected(status: int, *, asked: str) -> Unusable | UnusableForOne:
    """A 4xx is about what was asked, be its body what it may; every other status is about the system."""
    is_about_the_question = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return (UnusableForOne if is_about_the_question else Unusable)(f"{asked}: status {status}")


def positive_integer(value: object) -> int:
    """`value` as a positive integer, also where the other system writes it as a string. Raises UnusableForOne."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= _MOST_DIGITS:
        value = int(value)
    # JSON's true is an int to Python.
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= GREATEST_USER_NUMBER:
        raise UnusableForOne("a number is not a positive integer")
    return value
