"""D13: for an hour no verifier gets a key set, in four ways at once; no valid token is refused, and all recover.

The endpoint refuses connections, answers 500, hangs, or sends rubbish of every kind, and each has a verifier of its own
that saw it well before. When the hour is over a key has been added, and its tokens are believed within 15 s.

The verifiers' clock runs 60 times as fast; the short form has six minutes of it.
"""

import asyncio
import itertools
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta

from aiohttp import web

from tests.client.jwks_endpoint import FAULTS, JwksEndpoint
from tests.client.minting import AUDIENCE, ISSUER, NOW, claims, header, sign, token
from tests.drills.report import Findings, alone, milliseconds
from tests.drills.verifiers import Times, Verifier, by_verdict, over_http
from tests.support.load import OK, Samples, steady
from tests.support.tcp_proxy import Proxy

TIMES = Times(60)
FULL, SHORT = timedelta(hours=1), timedelta(minutes=6)
RATE = 50
RECOVERED_WITHIN = 15.0
"""Seconds of the verifiers' clock."""
NOT_DELAYED = 0.25
"""Seconds of ours, at p99: row 86."""

NOT_HERE = {"304 unasked", "20 MB"}
"""Who says that nothing is new sends no rubbish; and to make 20 MB holds up this process, which is the endpoint too."""


@asynccontextmanager
async def _refusing(_: JwksEndpoint, proxy: Proxy) -> AsyncIterator[None]:
    await proxy.refuse()
    yield
    await proxy.pass_through()


@asynccontextmanager
async def _hanging(_: JwksEndpoint, proxy: Proxy) -> AsyncIterator[None]:
    await proxy.blackhole()
    yield
    await proxy.pass_through()


@asynccontextmanager
async def _failing(endpoint: JwksEndpoint, _: Proxy) -> AsyncIterator[None]:
    endpoint.fault = FAULTS["500"]
    yield
    endpoint.fault = None


@asynccontextmanager
async def _sending_rubbish(endpoint: JwksEndpoint, _: Proxy) -> AsyncIterator[None]:
    kinds = itertools.cycle(fault for name, fault in FAULTS.items() if name not in NOT_HERE)

    def rubbish(request: web.Request) -> web.StreamResponse:
        return next(kinds)(request)

    endpoint.fault = rubbish
    yield
    endpoint.fault = None


Way = Callable[[JwksEndpoint, Proxy], AbstractAsyncContextManager[None]]
WAYS: dict[str, Way] = {
    "refused": _refusing,
    "500": _failing,
    "hanging": _hanging,
    "rubbish": _sending_rubbish,
}


async def drill(*, full: bool) -> list[Findings]:
    away = FULL if full else SHORT
    findings = Findings("D13 key set away", f"{away.total_seconds() / 60:.0f} min, {TIMES.factor:.0f} times as fast")
    async with AsyncExitStack() as stack:
        runs = [await _run(stack, name, way) for name, way in WAYS.items()]
        await asyncio.gather(*(run.conduct(away) for run in runs))
    for run in runs:
        run.judge(findings)
    return [findings]


async def _run(stack: AsyncExitStack, name: str, way: Way) -> "_Run":
    endpoint = await stack.enter_async_context(JwksEndpoint())
    proxy = await stack.enter_async_context(Proxy("127.0.0.1", endpoint.port))
    url = endpoint.url.replace(f":{endpoint.port}/", f":{proxy.port}/")
    here = over_http(url, issuer=ISSUER, audience=AUDIENCE, times=TIMES, clock=lambda: NOW)
    return _Run(name, way, endpoint, proxy, await stack.enter_async_context(here))


class _Run:
    def __init__(self, name: str, way: Way, endpoint: JwksEndpoint, proxy: Proxy, verifier: Verifier) -> None:
        self.name, self.way, self.endpoint, self.proxy, self.verifier = name, way, endpoint, proxy, verifier
        self.samples = Samples()
        self.age = timedelta(0)
        self.recovered = math.inf
        # Made now, for the making of a key holds up everybody.
        self.good, self.new = token(), sign(header(kid="second"), claims(), key="second")

    async def conduct(self, away: timedelta) -> None:
        stop = asyncio.Event()
        load = asyncio.create_task(
            steady(lambda: self.verifier.verdict(self.good), rate_per_second=RATE, stop=stop, classify=by_verdict)
        )
        async with self.way(self.endpoint, self.proxy):
            await asyncio.sleep(TIMES.real(away.total_seconds()).total_seconds())
            self.age = self.verifier.keys.health.age or timedelta(0)
        await self.recover()
        stop.set()
        self.samples = await load

    async def recover(self) -> None:
        """Until a token of a key that was added meanwhile is believed, though nobody asks for that key."""
        self.endpoint.names, self.endpoint.headers["ETag"] = ("first", "second"), '"2"'
        began = TIMES()
        while TIMES() - began < 4 * RECOVERED_WITHIN:
            if self.verifier.verdict_now(self.new) == OK:
                self.recovered = TIMES() - began
                return
            await asyncio.sleep(0.001)

    def judge(self, findings: Findings) -> None:
        refused = {said: count for said, count in self.samples.outcomes.items() if said != OK}
        count, held_up = len(self.samples.calls), self.samples.p99
        findings.expect(
            f"{self.name}: {sum(refused.values())} of {count} verdicts were no {refused or ''}".strip()
            + f" by keys {self.age.total_seconds() / 60:.0f} min old, p99 {milliseconds(held_up)}",
            not refused and held_up <= NOT_DELAYED,
        )
        findings.expect(f"recovered within {self.recovered:.1f} s", self.recovered <= RECOVERED_WITHIN)


if __name__ == "__main__":
    alone("D13", drill)
