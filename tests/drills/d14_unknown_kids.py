"""D14: 75 s of tokens with unknown kids, at verifiers whose endpoint is fine, fails, drops or never was up.

Each asks its endpoint 6 times a minute and two times more at most, and 2 times a second while it has no keys at all.
Every forged token names a kid of its own, all are refused, and valid ones are not held up.

The clock of the short form's verifiers runs ten times as fast.
"""

import asyncio
import itertools
from collections.abc import Callable
from contextlib import AsyncExitStack

from aiohttp import web

from tests.client.jwks_endpoint import FAULTS, JwksEndpoint
from tests.client.minting import AUDIENCE, ISSUER, NOW, b64, compact, header, token
from tests.drills.report import BYSTANDER_P99, Findings, alone, milliseconds
from tests.drills.verifiers import Times, Verifier, by_verdict, over_http
from tests.support.load import OK, Samples, steady

FULL, SHORT = 1.0, 10.0
"""How much faster the verifiers' clock runs."""
FLOODED_FOR = 75.0
"""Seconds of the verifiers' clock."""
FORGED_PER_SECOND, VALID_PER_SECOND = 500, 50
"""Of ours."""
FETCHES = 6 / 60 * FLOODED_FOR + 2
FETCHES_WITHOUT_KEYS = 2 * FLOODED_FOR
FULL_P99 = 0.1

Fault = Callable[[web.Request], web.StreamResponse] | None
NEVER_UP = "never up"
FAULTS_MET: dict[str, Fault] = {
    "fine": None,
    "failing": FAULTS["500"],
    "dropping": FAULTS["connection dropped"],
    NEVER_UP: FAULTS["500"],
}


async def drill(*, full: bool) -> list[Findings]:
    times = Times(FULL if full else SHORT)
    scale = f", {times.factor:.0f} times as fast" if times.factor > 1 else ""
    findings = Findings("D14 unknown kids", f"{FLOODED_FOR:.0f} s{scale}")
    async with AsyncExitStack() as stack:
        runs = [await _run(stack, name, fault, times) for name, fault in FAULTS_MET.items()]
        await asyncio.gather(*(run.conduct(times) for run in runs))
    for run in runs:
        run.judge(findings, valid_within=FULL_P99 if full else BYSTANDER_P99)
    return [findings]


async def _run(stack: AsyncExitStack, name: str, fault: Fault, times: Times) -> "_Run":
    endpoint = await stack.enter_async_context(JwksEndpoint())
    if name == NEVER_UP:
        endpoint.fault = fault
    here = over_http(endpoint.url, issuer=ISSUER, audience=AUDIENCE, times=times, clock=lambda: NOW)
    verifier = await stack.enter_async_context(here)
    endpoint.fault = fault
    return _Run(name, endpoint, verifier)


class _Run:
    def __init__(self, name: str, endpoint: JwksEndpoint, verifier: Verifier) -> None:
        self.name, self.endpoint, self.verifier = name, endpoint, verifier
        self.kids = itertools.count()
        self.good = token()
        self.rest = self.good.partition(".")[2]
        self.forged, self.valid = Samples(), Samples()
        self.fetches = 0

    async def conduct(self, times: Times) -> None:
        before, seconds = self.endpoint.hits, times.real(FLOODED_FOR).total_seconds()
        self.forged, self.valid = await asyncio.gather(
            steady(self.flood, rate_per_second=FORGED_PER_SECOND, seconds=seconds, classify=by_verdict),
            steady(self.believe, rate_per_second=VALID_PER_SECOND, seconds=seconds, classify=by_verdict),
        )
        self.fetches = self.endpoint.hits - before

    async def flood(self) -> str:
        return await self.verifier.verdict(f"{b64(compact(header(kid=f'nobody-{next(self.kids)}')))}.{self.rest}")

    async def believe(self) -> str:
        return await self.verifier.verdict(self.good)

    def judge(self, findings: Findings, *, valid_within: float) -> None:
        is_warm = self.name != NEVER_UP
        at_most = FETCHES if is_warm else FETCHES_WITHOUT_KEYS
        believed = self.forged.outcomes[OK]
        findings.expect(
            f"{self.name}: {self.fetches} fetches for {len(self.forged.calls)} forged tokens, {believed} believed",
            self.fetches <= at_most and not believed,
        )
        if is_warm:
            refused = len(self.valid.calls) - self.valid.outcomes[OK]
            findings.expect(
                f"{refused} of {len(self.valid.calls)} valid refused, p99 {milliseconds(self.valid.p99)}",
                not refused and self.valid.p99 <= valid_within,
            )


if __name__ == "__main__":
    alone("D14", drill)
