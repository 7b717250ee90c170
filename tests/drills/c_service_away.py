"""C: the whole service is away for ten minutes; verifiers go on until `max_stale`, say why they then stop, and recover.

Both kinds, over HTTP and by the trust stream, on a clock that runs faster; `max_stale` is six of the ten minutes. At
every moment the verdict is compared with the age of what the verifier holds: believed up to `max_stale`, and past it
neither believed nor refused but KeysUnavailable. When the service is back nothing has to be done.
"""

import asyncio
import math
from collections import Counter
from contextlib import AsyncExitStack
from datetime import timedelta

from tests.drills.report import Findings, alone
from tests.drills.stage import Caller, settings
from tests.drills.verifiers import NO_KEYS, Times, Verifier, over_http, over_stream
from tests.support.load import OK
from tests.support.processes import ServiceProcess

AWAY, MAX_STALE = timedelta(minutes=10), timedelta(minutes=6)
HTTP_BACK_WITHIN, STREAM_BACK_WITHIN = 15.0, 20.0
"""Seconds, the one of the verifiers' clock, the other of ours: how often a stream calls again is not scaled."""
OF_EACH_KIND = 5
FULL, SHORT = 10.0, 60.0
"""How much faster the verifiers' clock runs."""
LOOKED_AT_EVERY = 0.02
"""Seconds of ours."""


async def drill(*, full: bool) -> list[Findings]:
    times = Times(FULL if full else SHORT)
    findings = Findings("C service away for 10 min", f"{times.factor:.0f} times as fast")
    scaled = {
        "access_token_lifetime": "60m",
        # As often as the verifiers' clock has it.
        "trust_heartbeat": f"{15 / times.factor}s",
        "poll_every": "50ms",
    }
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(ServiceProcess(settings(scaled=scaled)))
        caller = await stack.enter_async_context(Caller(service))
        verifiers = []
        for _ in range(OF_EACH_KIND):
            for each in (
                over_http(caller.jwks_url, times=times, max_stale=MAX_STALE),
                over_stream(service.grpc_address, times=times, max_stale=MAX_STALE, hurries=not full),
            ):
                verifiers.append(await stack.enter_async_context(each))
        token = (await caller.login()).access_token
        await _Run(findings, service, times, verifiers, token).conduct()
    return [findings]


class _Run:
    def __init__(
        self, findings: Findings, service: ServiceProcess, times: Times, verifiers: list[Verifier], token: str
    ) -> None:
        self.findings, self.service, self.times, self.verifiers = findings, service, times, verifiers
        self.token = token
        self.said = Counter[str]()
        self.wrong = Counter[str]()

    async def conduct(self) -> None:
        await self.look_for(self.times.real(60))
        self.findings.expect(f"before: {', '.join(self.said)}", set(self.said) == {OK})
        self.said.clear()
        await self.service.kill9()
        began = self.times()
        while self.times() - began < AWAY.total_seconds():
            await self.look_for(self.times.real(1))
        self.tell("while it is away")
        last = {each.verdict_now(self.token) for each in self.verifiers}
        self.findings.expect(f"at the end all say: {', '.join(sorted(last))}", last == {NO_KEYS})
        await self.service.start()
        await self.back()

    async def look_for(self, while_: timedelta) -> None:
        ends = asyncio.get_running_loop().time() + while_.total_seconds()
        while asyncio.get_running_loop().time() < ends:
            self.look()
            await asyncio.sleep(LOOKED_AT_EVERY)

    def look(self) -> None:
        """Every verdict agrees with the age of what it was judged by: it may pass the bound while it is being given."""
        for each in self.verifiers:
            younger = each.keys.health.age
            said = each.verdict_now(self.token)
            older = each.keys.health.age
            self.said[said] += 1
            is_right = {
                OK: younger is not None and younger <= MAX_STALE,
                NO_KEYS: older is None or older > MAX_STALE,
            }.get(said, False)
            if not is_right:
                self.wrong[f"{each.kind} at {younger}: {said}"] += 1

    def tell(self, when: str) -> None:
        counted = ", ".join(f"{count} {said}" for said, count in self.said.items())
        self.findings.expect(
            f"{when}: {counted}, {self.wrong.total()} wrong {dict(self.wrong) or ''}".strip(), not self.wrong
        )

    async def back(self) -> None:
        """How long each kind takes to believe the token again, though nobody asks it to look."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        took: dict[str, float] = {}
        waiting = list(self.verifiers)
        while waiting and loop.time() - began < 2 * STREAM_BACK_WITHIN:
            await asyncio.sleep(0.001)
            took |= {each.kind: loop.time() - began for each in waiting if each.verdict_now(self.token) == OK}
            waiting = [each for each in waiting if each.verdict_now(self.token) != OK]
        self.findings.expect(f"{len(waiting)} did not recover", not waiting)
        http, stream = took.get("HTTP", math.inf) * self.times.factor, took.get("stream", math.inf)
        self.findings.expect(f"HTTP recovered within {http:.1f} s", http <= HTTP_BACK_WITHIN)
        self.findings.expect(f"streams within {stream:.1f} s of ours", stream <= STREAM_BACK_WITHIN)


if __name__ == "__main__":
    alone("C", drill)
