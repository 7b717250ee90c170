"""A JWKS endpoint on loopback that can be told to misbehave, and a clock that stands until it is moved."""

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Self

from aiohttp import web

from tests.client.minting import jwk


class Clock:
    """Monotonic time and timers for HttpJwks."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._timers: list[tuple[float, Callable[[], object], Timer]] = []

    def __call__(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object]) -> "Timer":
        timer = Timer()
        self._timers.append((self.now + delay, callback, timer))
        return timer

    def pass_by(self, seconds: float) -> None:
        """Move on, and run the timers that fall due."""
        self.now += seconds
        due = [entry for entry in self._timers if entry[0] <= self.now]
        self._timers = [entry for entry in self._timers if entry[0] > self.now]
        for _, callback, timer in due:
            if not timer.is_cancelled:
                callback()


class Timer:
    is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class JwksEndpoint:
    """Serves `names`; `fault` makes it do something else. `hits` counts requests, `conditions` their If-None-Match."""

    def __init__(self, *names: str) -> None:
        self.names = names or ("first",)
        self.headers = {"Cache-Control": "public, max-age=300", "ETag": '"1"'}
        self.fault: Callable[[web.Request], web.StreamResponse] | None = None
        self.drips = False
        self.hangs = False
        self.hits = 0
        self.conditions: list[str] = []
        self.url, self.port = "", 0
        self.reached = asyncio.Event()
        self._released = asyncio.Event()

    def release(self) -> None:
        self.hangs = False
        self._released.set()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, self.port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{self.port}/.well-known/jwks.json"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.release()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.hits += 1
        self.reached.set()
        self.conditions.append(request.headers.get("If-None-Match", ""))
        if self.hangs:
            await self._released.wait()
        if self.drips:
            return await dripping(request)
        if self.fault is not None:
            return self.fault(request)
        if self.conditions[-1] and self.conditions[-1] == self.headers.get("ETag"):
            return web.Response(status=304, headers=self.headers)
        body = json.dumps({"keys": [jwk(name) for name in self.names]})
        return web.Response(body=body, headers=self.headers, content_type="application/jwk-set+json")


def dropped(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


def too_large(_: web.Request) -> web.StreamResponse:
    return web.Response(body=_large_body())


@cache
def _large_body() -> bytes:
    return json.dumps({"keys": [jwk()], "padding": "x" * 20_000_000}).encode()


def elsewhere(request: web.Request) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "/elsewhere"})


def saying(
    body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Callable[[web.Request], web.StreamResponse]:
    return lambda _: web.Response(body=body, status=status, headers=headers)


async def dripping(request: web.Request) -> web.StreamResponse:
    """Headers at once, and then a byte now and then, without an end."""
    reply = web.StreamResponse(headers={"Content-Type": "application/jwk-set+json"})
    await reply.prepare(request)
    while True:
        await reply.write(b" ")
        await asyncio.sleep(0.01)


FAULTS: dict[str, Callable[[web.Request], web.StreamResponse]] = {
    "500": saying(b"oops", status=500),
    "404 with keys": saying(json.dumps({"keys": [jwk()]}).encode(), status=404),
    "201 with keys": saying(json.dumps({"keys": [jwk()]}).encode(), status=201),
    "204": saying(b"", status=204),
    "304 unasked": saying(b"", status=304),
    "redirect": elsewhere,
    "connection dropped": dropped,
    "20 MB": too_large,
    "HTML": saying(b"<html>log in</html>", headers={"Content-Type": "text/html"}),
    "nothing": saying(b""),
    "deep JSON": saying(b'{"keys":' + b"[" * 100_000),
    "no object": saying(b"[]"),
    "empty set": saying(b'{"keys":[]}'),
    "no usable key": saying(json.dumps({"keys": [{"kty": "oct", "kid": "first", "k": "AA"}, jwk(use="enc")]}).encode()),
    "gzip": saying(b"\x1f\x8b\x08\x00" + b"x" * 50, headers={"Content-Encoding": "gzip"}),
    "two documents": saying(json.dumps({"keys": [jwk()]}).encode() * 2),
}
