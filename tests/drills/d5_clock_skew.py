"""D5: three replicas whose clocks are a minute ahead, right and a minute behind, and verifiers as far off.

What counts is the database's clock: fresh tokens tell its time whichever replica signs, none is refused by a verifier
that is off by a minute, all are by one that is off by five, and each rotation makes one key. Then the clocks jump, an
hour back and an hour ahead, while sessions go on: nothing expires and nothing rotates for it. On SQLite the database
has no clock but the machine's, so there the jumps are all.
"""

import asyncio
import base64
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc

from tests.drills import wrong_clock
from tests.drills.report import Findings, alone
from tests.drills.stage import Caller, Kind, refusal, replicas, rows, running_postgres, settings
from tests.drills.verifiers import Verifier, over_http, over_stream
from tests.drills.wrong_clock import WrongClock
from tests.support.load import OK
from tests.support.processes import ServiceProcess

REPLICAS_OFF_BY = (60, 0, -60)
TOLERATED, REFUSED = (60, 0, -60), (300, -300)
"""Seconds that verifiers' clocks are off."""
HOUR = 3600
ROTATE_EVERY = 2.0
SCALED = {
    "key_rotate_every": f"{ROTATE_EVERY}s",
    "key_publish_ahead": "2s",
    "poll_every": "200ms",
    "signer_lease": "5s",
    # With the leeway less than the five minutes that a verifier must not be off.
    "access_token_lifetime": "2m",
}
SESSIONS = 20
OLDEST_FRESH = 3.0
"""Seconds by its `iat`, which are whole ones: one is lost to rounding, and one may be the database's answer."""


@dataclass(frozen=True, slots=True)
class Extent:
    """At least so many tokens are minted, and so many rotations seen."""

    tokens: int
    rotations: int


FULL, SHORT = Extent(tokens=1000, rotations=10), Extent(tokens=120, rotations=2)


async def drill(*, full: bool) -> list[Findings]:
    extent = FULL if full else SHORT
    if wrong_clock.compiler() is None:
        left_out = Findings("D5 clock skew", "left out")
        left_out.note("left out: no C compiler")
        return [left_out]
    with tempfile.TemporaryDirectory() as folder:
        library = await wrong_clock.build(Path(folder))
        return list(await asyncio.gather(_on_postgres(library, extent), _on_sqlite(library, extent)))


async def _on_postgres(library: Path, extent: Extent) -> Findings:
    findings = _findings("postgresql", extent)
    clocks = [WrongClock(library, library.with_name(f"replica-{by}"), by=by) for by in REPLICAS_OFF_BY]
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(running_postgres())
        own = [each.environment for each in clocks]
        services = await replicas(stack, len(clocks), database=postgres.dsn(), scaled=SCALED, own=own)
        await _conduct(findings, stack, services, clocks, extent)
    return findings


async def _on_sqlite(library: Path, extent: Extent) -> Findings:
    findings = _findings("sqlite", extent)
    clock = WrongClock(library, library.with_name("sqlite"), by=0)
    async with AsyncExitStack() as stack:
        service = ServiceProcess(settings(scaled=SCALED) | clock.environment)
        await stack.enter_async_context(service)
        await _conduct(findings, stack, [service], [clock], extent)
    return findings


def _findings(kind: Kind, extent: Extent) -> Findings:
    return Findings(f"D5 clock skew, {kind}", f"{extent.tokens} tokens")


async def _conduct(
    findings: Findings, stack: AsyncExitStack, services: list[ServiceProcess], clocks: list[WrongClock], extent: Extent
) -> None:
    callers = [await stack.enter_async_context(Caller(each)) for each in services]
    verifiers: dict[int, list[Verifier]] = {}
    for off_by in (*TOLERATED, *REFUSED):
        here = lambda off_by=off_by: time.time() + off_by  # noqa: E731 -- a clock
        verifiers[off_by] = [
            await stack.enter_async_context(over_http(callers[0].jwks_url, refetched=1, clock=here)),
            await stack.enter_async_context(over_stream(services[-1].grpc_address, clock=here)),
        ]
    run = _Run(findings, services[0], callers, clocks, verifiers)
    await run.conduct(extent)


class _Run:
    def __init__(
        self,
        findings: Findings,
        service: ServiceProcess,
        callers: list[Caller],
        clocks: Sequence[WrongClock],
        verifiers: dict[int, list[Verifier]],
    ) -> None:
        self.findings, self.service, self.callers, self.clocks = findings, service, callers, clocks
        self.verifiers = verifiers
        self.sessions: list[str] = []
        self.minted: list[str] = []
        self.said: dict[int, Counter[str]] = {off_by: Counter() for off_by in verifiers}
        self.youngest, self.oldest = math.inf, -math.inf
        self.lost: list[str] = []

    async def conduct(self, extent: Extent) -> None:
        self.sessions = [pair.refresh_token for pair in await self.callers[0].logins(SESSIONS)]
        began, (keys, rotations) = time.monotonic(), await self.ring()
        third = math.ceil(extent.tokens / (3 * SESSIONS))
        await self.rounds(third)
        await self.jump(by=-HOUR, rounds=third)
        await self.jump(by=2 * HOUR, rounds=third)
        await asyncio.sleep(max(0.0, (extent.rotations + 0.5) * ROTATE_EVERY - (time.monotonic() - began)))
        keys_now, rotations_now = await self.ring()
        self.judge()
        made, rotated, took = keys_now - keys, rotations_now - rotations, time.monotonic() - began
        self.findings.expect(f"{rotated} rotations in {took:.0f} s made {made} keys", made == rotated)
        # Neither jump brings rotations about, nor does it hold them up.
        due = took / ROTATE_EVERY
        self.findings.expect(f"{due:.1f} were due", due / 2 - 1 <= rotated <= due + 1)

    async def ring(self) -> tuple[int, int]:
        """How many keys there are, and how many rotations there were."""
        counted = await rows(
            self.service,
            "SELECT (SELECT count(*) FROM signing_key),"
            " (SELECT count(*) FROM audit_event WHERE type = 'signing_key.rotated')",
        )
        keys, rotations = (int(str(each)) for each in counted[0])
        return keys, rotations

    async def rounds(self, count: int) -> None:
        """Every session is refreshed so often, at one replica after the other."""
        for _ in range(count):
            await asyncio.gather(*(self.refresh(number) for number in range(SESSIONS)))

    async def refresh(self, number: int) -> None:
        caller = self.callers[len(self.minted) % len(self.callers)]
        try:
            pair = await caller.refresh(self.sessions[number])
        except grpc.aio.AioRpcError as error:
            self.lost.append(str(refusal(error)))
            return
        self.sessions[number] = pair.refresh_token
        self.minted.append(pair.access_token)
        age = time.time() - _issued_at(pair.access_token)
        self.youngest, self.oldest = min(self.youngest, age), max(self.oldest, age)
        for off_by, verifiers in self.verifiers.items():
            for each in verifiers:
                self.said[off_by][await each.verdict(pair.access_token)] += 1

    async def jump(self, *, by: int, rounds: int) -> None:
        """Right after it every replica believes every token that was minted before, and sessions go on."""
        before = self.minted[-2 * SESSIONS :]
        for clock in self.clocks:
            clock.by += by
        # Past a poll of each replica: what a jump does it does when the clock is next looked at.
        await asyncio.sleep(0.5)
        refused = Counter[str]()
        for caller in self.callers:
            answers = await asyncio.gather(*(caller.verify(token) for token in before), return_exceptions=True)
            refused.update(refusal(each).reason for each in answers if isinstance(each, BaseException))
        lost = len(self.lost)
        await self.rounds(rounds)
        self.findings.expect(
            f"jump of {by / HOUR:+.0f} h: {refused.total()} of {len(before) * len(self.callers)} tokens refused"
            f" {dict(refused) or ''}, {len(self.lost) - lost} sessions lost {self.lost[lost:][:2] or ''}",
            not refused and len(self.lost) == lost,
        )

    def judge(self) -> None:
        self.findings.expect(f"{len(self.lost)} refreshes failed {self.lost[:2] or ''}".strip(), not self.lost)
        self.findings.expect(
            f"fresh tokens were {self.youngest:.2f} to {self.oldest:.2f} s old",
            self.youngest >= 0 and self.oldest <= OLDEST_FRESH,
        )
        for off_by, said in self.said.items():
            wrong = said.total() - said[OK] if off_by in TOLERATED else said[OK]
            word = "refused" if off_by in TOLERATED else "believed"
            others = {reason: count for reason, count in said.items() if reason != OK}
            self.findings.expect(
                f"verifiers {off_by:+} s: {wrong} of {said.total()} {word} {others or ''}".strip(), wrong == 0
            )


def _issued_at(token: str) -> float:
    payload = token.split(".")[1]
    return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["iat"])


if __name__ == "__main__":
    alone("D5", drill)
