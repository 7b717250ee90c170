"""A: fifty rotations on schedule under load, before verifiers of every kind: none refuses a token, each makes one key.

Three replicas on one PostgreSQL rotate by themselves. Of the verifiers one half fetches the key set over HTTP, the
other half follows the trust stream, and one is as stale as its profile allows: it fetches every so often and never on
account of an unknown kid, as Envoy and Istio do. Every token that is minted is judged by all of them, as soon as it is
there and again a moment before it expires.

Time-scaled: a month is 6 s, an Envoy's 10 minutes are 4 s, and what is published ahead is what lies between.
"""

import asyncio
import time
from collections import Counter, deque
from contextlib import AsyncExitStack
from dataclasses import dataclass

from tests.drills.report import Findings, alone
from tests.drills.stage import Caller, replicas, rows, running_postgres
from tests.drills.verifiers import CountingJwks, Verifier, over_http, over_stream
from tests.support.load import OK, Samples, by_exception, steady
from tests.support.processes import ServiceProcess

REPLICAS = 3
SESSIONS = 20
STALE = "stale"
LIFETIME = 10.0
JUDGED_AGAIN = 1.0
"""Seconds before a token expires."""
AT_ONCE = 25
"""Verdicts before others get their turn."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """In seconds. `stale` is how often the stale verifier fetches, `refetched` how often the other HTTP ones do.

    `after` is how long the load goes on after the last rotation.
    """

    rotations: int
    rotate_every: float
    publish_ahead: float
    stale: float
    refetched: float
    verifiers: int
    tokens_per_second: float
    after: float

    @property
    def settings(self) -> dict[str, str]:
        return {
            "key_rotate_every": f"{self.rotate_every}s",
            "key_publish_ahead": f"{self.publish_ahead}s",
            "poll_every": "200ms",
            "signer_lease": "5s",
            "clock_skew": "1s",
            "access_token_lifetime": f"{LIFETIME}s",
        }


FULL = Schedule(
    50, rotate_every=6, publish_ahead=6, stale=4, refetched=4, verifiers=200, tokens_per_second=5, after=LIFETIME
)
SHORT = Schedule(
    4, rotate_every=2.25, publish_ahead=2.25, stale=1, refetched=1, verifiers=30, tokens_per_second=20, after=2
)


async def drill(*, full: bool) -> list[Findings]:
    schedule = FULL if full else SHORT
    findings = Findings("A rotations on schedule", f"{schedule.rotations} x, {schedule.verifiers} verifiers")
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(running_postgres())
        services = await replicas(stack, REPLICAS, database=postgres.dsn(), scaled=schedule.settings)
        callers = [await stack.enter_async_context(Caller(each)) for each in services]
        verifiers = await _verifiers(stack, services, callers, schedule)
        await _Run(findings, services[0], callers, verifiers).conduct(schedule)
    return [findings]


async def _verifiers(
    stack: AsyncExitStack, services: list[ServiceProcess], callers: list[Caller], schedule: Schedule
) -> list[Verifier]:
    coming = [over_http(callers[0].jwks_url, refetched=schedule.stale, kind=STALE)]
    for number in range(schedule.verifiers - 1):
        replica = number // 2 % REPLICAS
        if number % 2:
            coming.append(over_http(callers[replica].jwks_url, refetched=schedule.refetched))
        else:
            coming.append(over_stream(services[replica].grpc_address))
    return list(await asyncio.gather(*(stack.enter_async_context(each) for each in coming)))


@dataclass(frozen=True, slots=True)
class _Minted:
    token: str
    expires_at: float


class _Run:
    def __init__(
        self, findings: Findings, service: ServiceProcess, callers: list[Caller], verifiers: list[Verifier]
    ) -> None:
        self.findings, self.service, self.callers, self.verifiers = findings, service, callers, verifiers
        self.refresh_tokens: asyncio.Queue[str] = asyncio.Queue()
        self.minted = 0
        self.to_judge_again: deque[_Minted] = deque()
        self.verdicts = Counter[str]()
        self.refused = Counter[str]()

    async def conduct(self, schedule: Schedule) -> None:
        for pair in await self.callers[0].logins(SESSIONS):
            self.refresh_tokens.put_nowait(pair.refresh_token)
        keys_before, rotations_before, _ = await self.ring()
        stop = asyncio.Event()
        load = asyncio.create_task(
            steady(self.mint, rate_per_second=schedule.tokens_per_second, stop=stop, classify=by_exception)
        )
        again = asyncio.create_task(self.judge_again())
        began = time.monotonic()
        rotations = keys = active = 0
        at_most = 2 * schedule.rotations * schedule.rotate_every + 10
        while rotations < schedule.rotations and time.monotonic() - began < at_most:
            await asyncio.sleep(0.1)
            keys, rotations, active = await self.ring()
            keys, rotations = keys - keys_before, rotations - rotations_before
        took = time.monotonic() - began
        # The last key has to sign as well, and the tokens of the one before to grow old.
        await asyncio.sleep(schedule.after)
        stop.set()
        minted = await load
        again.cancel()
        self.findings.expect(
            f"{rotations} rotations in {took:.0f} s made {keys} keys", rotations == keys == schedule.rotations
        )
        self.findings.expect(f"{active} active", active == 1)
        self.judge(minted)

    async def ring(self) -> tuple[int, int, int]:
        """How many keys there are, how many rotations there were, and how many keys are active."""
        counted = await rows(
            self.service,
            "SELECT (SELECT count(*) FROM signing_key),"
            " (SELECT count(*) FROM audit_event WHERE type = 'signing_key.rotated'),"
            " (SELECT count(*) FROM signing_key WHERE state = 'active')",
        )
        keys, rotations, active = (int(str(each)) for each in counted[0])
        return keys, rotations, active

    async def mint(self) -> None:
        self.minted += 1
        caller = self.callers[self.minted % REPLICAS]
        # Each session's client has one refresh under way at most, however slow the answers are.
        pair = await caller.refresh(await self.refresh_tokens.get())
        self.refresh_tokens.put_nowait(pair.refresh_token)
        await self.judged_by_all(pair.access_token, "at once")
        self.to_judge_again.append(_Minted(pair.access_token, time.time() + LIFETIME))

    async def judge_again(self) -> None:
        while True:
            while self.to_judge_again and self.to_judge_again[0].expires_at - JUDGED_AGAIN <= time.time():
                await self.judged_by_all(self.to_judge_again.popleft().token, "before its end")
            await asyncio.sleep(0.02)

    async def judged_by_all(self, token: str, when: str) -> None:
        for number, verifier in enumerate(self.verifiers):
            said = verifier.verdict_now(token) if verifier.kind == STALE else await verifier.verdict(token)
            self.verdicts[verifier.kind] += 1
            if said != OK:
                self.refused[f"{verifier.kind} {when}: {said}"] += 1
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)

    def judge(self, minted: Samples) -> None:
        for kind, count in sorted(self.verdicts.items()):
            verifiers = sum(each.kind == kind for each in self.verifiers)
            refused = {said: times for said, times in self.refused.items() if said.startswith(kind)}
            self.findings.expect(
                f"{verifiers} {kind}: {sum(refused.values())} of {count} verdicts were no {refused or ''}".strip(),
                not refused,
            )
        forced = sum(each.keys.forced for each in self.verifiers if isinstance(each.keys, CountingJwks))
        self.findings.expect(f"{forced} forced refetches", forced == 0)
        failed = len(minted.calls) - minted.outcomes[OK]
        self.findings.expect(f"{failed} of {len(minted.calls)} refreshes failed", failed == 0)


if __name__ == "__main__":
    alone("A", drill)
