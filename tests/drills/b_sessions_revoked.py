"""B: sessions are ended one by one at three replicas; how long until each verifier that follows them refuses.

Then the streams are cut, two of three by a reset and one by silence, and sessions end meanwhile: the verifiers catch up
by themselves and have missed none. Sessions that nobody ended are believed all the time.
"""

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from auth_api.v1 import auth_pb2
from auth_client.trust import TrustStream

from tests.drills.report import Findings, alone, milliseconds
from tests.drills.stage import Caller, replicas, running_postgres
from tests.drills.verifiers import Verifier, over_stream
from tests.support.load import OK, Sample, Samples
from tests.support.tcp_proxy import Proxy

REPLICAS = 3
VERIFIERS = 21
UNTOUCHED = 20
REFUSED = "revoked"
REFUSED_WITHIN = 1.0
CAUGHT_UP_WITHIN = 15.0
GIVEN_UP_AFTER = 30.0
"""Seconds."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How many sessions end while the streams stand, how many while they are cut, and for how many seconds that is."""

    connected: int
    meanwhile: int
    cut: float


FULL = Extent(connected=200, meanwhile=50, cut=10)
SHORT = Extent(connected=40, meanwhile=15, cut=3)


async def drill(*, full: bool) -> list[Findings]:
    extent = FULL if full else SHORT
    findings = Findings("B sessions revoked", f"{extent.connected} one by one, {VERIFIERS} streams")
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(running_postgres())
        # A stream that is cut by silence shows it by missing heartbeats.
        services = await replicas(stack, REPLICAS, database=postgres.dsn(), scaled={"trust_heartbeat": "1s"})
        callers = [await stack.enter_async_context(Caller(each)) for each in services]
        proxies = [
            await stack.enter_async_context(Proxy("127.0.0.1", int(each.grpc_address.rpartition(":")[2])))
            for each in services
        ]
        verifiers = [
            await stack.enter_async_context(
                over_stream(f"127.0.0.1:{proxies[number % REPLICAS].port}", hurries=not full)
            )
            for number in range(VERIFIERS)
        ]
        await _Run(findings, callers, proxies, verifiers).conduct(extent)
    return [findings]


class _Run:
    def __init__(
        self, findings: Findings, callers: list[Caller], proxies: list[Proxy], verifiers: list[Verifier]
    ) -> None:
        self.findings, self.callers, self.proxies, self.verifiers = findings, callers, proxies, verifiers
        self.turns = itertools.cycle(callers)

    async def conduct(self, extent: Extent) -> None:
        pairs = await self.callers[0].logins(UNTOUCHED + extent.connected + extent.meanwhile)
        untouched, ending = pairs[:UNTOUCHED], pairs[UNTOUCHED:]
        one_by_one, meanwhile = ending[: extent.connected], ending[extent.connected :]
        accepted = self.accepted_by_all([pair.access_token for pair in pairs])
        self.findings.expect(f"before: {len(pairs) - accepted} not believed by all", accepted == len(pairs))
        await self.connected(one_by_one)
        await self.cut(meanwhile, extent.cut)
        still = [pair for pair in ending if self.believing(pair.access_token)]
        self.findings.expect(f"at the end {len(still)} of {len(ending)} ended sessions still believed", not still)
        accepted = self.accepted_by_all([pair.access_token for pair in untouched])
        self.findings.expect(f"{UNTOUCHED - accepted} of {UNTOUCHED} others refused", accepted == UNTOUCHED)

    async def connected(self, pairs: Sequence[auth_pb2.LoginResponse]) -> None:
        latencies: list[float] = []
        for pair in pairs:
            latencies += await self.end(pair)
        samples = Samples([Sample(0, latency, OK) for latency in latencies])
        self.findings.expect(
            f"refused by each within p50 {milliseconds(samples.p50)}, p99 {milliseconds(samples.p99)},"
            f" max {milliseconds(samples.max)} of the call",
            samples.p99 <= REFUSED_WITHIN and len(latencies) == len(pairs) * VERIFIERS,
        )

    async def cut(self, pairs: Sequence[auth_pb2.LoginResponse], seconds: float) -> None:
        silent, *others = self.proxies
        await asyncio.gather(silent.blackhole(), *(each.refuse() for each in others))
        for pair in pairs:
            await next(self.turns).logout(pair.refresh_token)
            await asyncio.sleep(seconds / len(pairs))
        unaware = sum(len(self.believing(pair.access_token)) for pair in pairs)
        self.findings.note(f"cut for {seconds:.0f} s: {len(pairs)} more ended, {unaware} times unknown to a verifier")
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(each.pass_through() for each in self.proxies))
        took, behind = 0.0, len(pairs)
        while behind and took < GIVEN_UP_AFTER:
            await asyncio.sleep(0.01)
            behind = sum(bool(self.believing(pair.access_token)) for pair in pairs)
            took = asyncio.get_running_loop().time() - began
        missed = sum(len(self.believing(pair.access_token)) for pair in pairs)
        self.findings.expect(f"all caught up {took:.1f} s after", took <= CAUGHT_UP_WITHIN)
        self.findings.expect(f"{missed} missed", missed == 0)
        reconnects = [each.keys.health.reconnects for each in self.verifiers if isinstance(each.keys, TrustStream)]
        self.findings.expect(f"{sum(map(bool, reconnects))} of {VERIFIERS} streams had been cut", all(reconnects))

    async def end(self, pair: auth_pb2.LoginResponse) -> list[float]:
        """Seconds from the call until each of the verifiers refused; without those that never did."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        call = asyncio.create_task(next(self.turns).logout(pair.refresh_token))
        waiting, latencies = list(self.verifiers), []
        while waiting and loop.time() - began < GIVEN_UP_AFTER:
            await asyncio.sleep(0.001)
            believing = [each for each in waiting if each.verdict_now(pair.access_token) != REFUSED]
            latencies += [loop.time() - began] * (len(waiting) - len(believing))
            waiting = believing
        await call
        return latencies

    def believing(self, token: str) -> list[Verifier]:
        return [each for each in self.verifiers if each.verdict_now(token) != REFUSED]

    def accepted_by_all(self, tokens: Sequence[str]) -> int:
        return sum(all(each.verdict_now(token) == OK for each in self.verifiers) for token in tokens)


if __name__ == "__main__":
    alone("B", drill)
