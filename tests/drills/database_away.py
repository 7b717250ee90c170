"""What D2a, D2b and D2c share: load before, during and after the database's absence, and what must hold.

Verify and the key set do not notice. Login and Refresh are refused within a second, in a way that can be tried again.
Nobody whose refresh was cut in flight is signed out for it, however long the database stays away.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg

from tests.drills.report import BYSTANDER_P99, Findings, milliseconds
from tests.drills.stage import (
    REFUSED_WELL,
    Caller,
    by_refusal,
    refusal,
    running_postgres,
    settings,
)
from tests.support.load import OK, Samples, steady
from tests.support.postgres import Postgres
from tests.support.processes import ServiceProcess
from tests.support.tcp_proxy import Proxy

BACK_WITHIN = 5.0
# Seconds that the p99 of Verify may always take: twice a baseline of a few milliseconds is within the noise of a shared
# machine, and so is twice what an untouched twin, with a database of its own and the same load, showed in the same
# seconds.
FULL_SLACK, SHORT_SLACK = 0.025, BYSTANDER_P99
CUT_IN_FLIGHT = 30
CONNECTIONS = 11
"""The pool's ten, and the one that listens."""


@dataclass(frozen=True, slots=True)
class Fault:
    begin: Callable[[Postgres, Proxy], Awaitable[None]]
    end: Callable[[Postgres, Proxy], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Seconds. `window` is the service's replay window, shorter than the fault.

    `refused_within` is for Login and Refresh, whose steps have 0.8 s: in the short form, p99 is the one slowest of 25.
    """

    before: float
    fault: float
    after: float
    window: str
    slack: float
    refused_within: float


FULL = Lengths(before=60, fault=30, after=60, window="10s", slack=FULL_SLACK, refused_within=1)
SHORT = Lengths(before=3, fault=5, after=6, window="3s", slack=SHORT_SLACK, refused_within=1.25)


async def away(name: str, fault: Fault, *, full: bool) -> list[Findings]:
    lengths = FULL if full else SHORT
    findings = Findings(name, f"{lengths.fault:.0f} s")
    async with AsyncExitStack() as stack:
        postgres = await stack.enter_async_context(running_postgres())
        proxy = await stack.enter_async_context(Proxy("127.0.0.1", postgres.port))
        database = postgres.dsn().replace(f":{postgres.port}/", f":{proxy.port}/")
        service = await stack.enter_async_context(
            ServiceProcess(settings(database=database, refresh_replay_window=lengths.window))
        )
        caller = await stack.enter_async_context(Caller(service))
        twin = await stack.enter_async_context(Caller(await stack.enter_async_context(ServiceProcess(settings()))))
        await _Run(findings, lengths, fault, postgres, proxy, service, caller, twin).conduct()
    return [findings]


class _Run:
    def __init__(
        self,
        findings: Findings,
        lengths: Lengths,
        fault: Fault,
        postgres: Postgres,
        proxy: Proxy,
        service: ServiceProcess,
        caller: Caller,
        twin: Caller,
    ) -> None:
        self.findings, self.lengths, self.fault = findings, lengths, fault
        self.postgres, self.proxy, self.service = postgres, proxy, service
        self.caller, self.twin = caller, twin
        self.refresh_tokens: asyncio.Queue[str] = asyncio.Queue()
        self.lost: list[str] = []

    async def conduct(self) -> None:
        pid = self.service.pid
        pairs = await self.caller.logins(100)
        access_tokens = itertools.cycle([pair.access_token for pair in pairs])
        for pair in pairs:
            self.refresh_tokens.put_nowait(pair.refresh_token)
        twin_token = (await self.twin.login()).access_token
        in_flight = [pair.refresh_token for pair in await self.caller.logins(CUT_IN_FLIGHT)]
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        began = loop.time()
        load = asyncio.gather(
            steady(lambda: self.twin.verify(twin_token), rate_per_second=100, stop=stop),
            steady(lambda: self.caller.verify(next(access_tokens)), rate_per_second=100, stop=stop),
            steady(self.caller.jwks, rate_per_second=100, stop=stop),
            steady(self.caller.login, rate_per_second=5, stop=stop, classify=by_refusal),
            steady(self.refresh, rate_per_second=20, stop=stop, classify=by_refusal),
        )
        await asyncio.sleep(self.lengths.before)
        cut = [asyncio.create_task(self.insist(token)) for token in in_flight]
        await asyncio.sleep(0.005)
        fault_at = loop.time() - began
        await self.fault.begin(self.postgres, self.proxy)
        await asyncio.sleep(self.lengths.fault - (loop.time() - began - fault_at))
        await self.fault.end(self.postgres, self.proxy)
        back_at = loop.time() - began
        await asyncio.sleep(self.lengths.after)
        stop.set()
        untouched, verify, jwks, login, refresh = await load
        self.judge_readers(untouched, verify, jwks, fault_at, back_at)
        self.judge_writers(login, refresh, fault_at, back_at)
        await self.judge_cut(cut)
        await self.judge_pool()
        self.findings.expect("no restart", self.service.pid == pid)

    async def refresh(self) -> None:
        """Takes a turn with one of the sessions; a refused token is tried again at its next turn."""
        token = await self.refresh_tokens.get()
        try:
            token = (await self.caller.refresh(token)).refresh_token
        except Exception as error:
            if refusal(error).reason.startswith("REFRESH_TOKEN_"):
                self.lost.append(refusal(error).reason)
                raise
            self.refresh_tokens.put_nowait(token)
            raise
        self.refresh_tokens.put_nowait(token)

    async def insist(self, token: str) -> str:
        """One session's client: does as RetryInfo says until the answer is no or a token."""
        while True:
            try:
                await self.caller.refresh(token)
            except Exception as error:  # noqa: BLE001 - what it was is looked at
                said = refusal(error)
                if said.retry_after is None:
                    return f"{said.code} {said.reason}"
                await asyncio.sleep(said.retry_after)
            else:
                return OK

    def judge_readers(
        self, untouched: Samples, verify: Samples, jwks: Samples, fault_at: float, back_at: float
    ) -> None:
        twin = untouched.due_between(fault_at, back_at).p99
        for name, samples in (("Verify", verify), ("JWKS", jwks)):
            baseline = samples.due_between(1, fault_at).p99
            during = samples.due_between(fault_at, back_at)
            failed = len(samples.calls) - samples.outcomes[OK]
            self.findings.expect(f"{name} {failed} of {len(samples.calls)} failed", failed == 0)
            self.findings.expect(
                f"p99 {milliseconds(during.p99)} (before {milliseconds(baseline)}, twin {milliseconds(twin)})",
                during.p99 <= max(2 * baseline, 2 * twin, self.lengths.slack),
            )

    def judge_writers(self, login: Samples, refresh: Samples, fault_at: float, back_at: float) -> None:
        for name, samples in (("Login", login), ("Refresh", refresh)):
            during = samples.due_between(fault_at, back_at)
            odd = {outcome for outcome in during.outcomes if outcome not in (OK, REFUSED_WELL)}
            refused = during.having(REFUSED_WELL)
            self.findings.expect(
                f"{name} {len(refused.calls)} of {len(during.calls)} {REFUSED_WELL}"
                + (f", else {', '.join(sorted(odd))}" if odd else ""),
                len(refused.calls) >= 0.8 * len(during.calls) and not odd,
            )
            # A call due in the last second may be answered by the database that has just come back.
            self.findings.expect(f"p99 {milliseconds(during.p99)}", during.p99 <= self.lengths.refused_within)
            refused_later = [call for call in samples.calls if call.due > back_at and call.outcome != OK]
            back_after = max((call.due + call.latency for call in refused_later), default=back_at) - back_at
            self.findings.expect(f"back after {back_after:.1f} s", back_after <= BACK_WITHIN)
            too_early = [call for call in samples.calls if call.due + call.latency < fault_at and call.outcome != OK]
            self.findings.expect(f"{len(too_early)} refused before", not too_early)

    async def judge_cut(self, cut: list[asyncio.Task[str]]) -> None:
        answers = await asyncio.gather(*cut)
        answered = answers.count(OK)
        others = ", ".join(sorted({answer for answer in answers if answer != OK}))
        self.findings.expect(
            f"cut in flight: {answered} of {len(cut)} sessions went on" + (f" ({others})" if others else ""),
            answered == len(cut),
        )
        self.findings.expect(f"{len(self.lost)} of 100 others lost", not self.lost)

    async def judge_pool(self) -> None:
        """A burst of five times the pool's size, and the connections that the server counts."""
        tokens = [self.refresh_tokens.get_nowait() for _ in range(min(50, self.refresh_tokens.qsize()))]
        answers = await asyncio.gather(*(self.caller.refresh(token) for token in tokens), return_exceptions=True)
        failed = [by_refusal(None, answer) for answer in answers if isinstance(answer, BaseException)]
        connection = await asyncpg.connect(self.postgres.dsn())
        try:
            count = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid != pg_backend_pid()"
            )
        finally:
            await connection.close()
        self.findings.expect(
            f"a burst of {len(tokens)} afterwards: {len(failed)} failed {failed[:3] or ''}", not failed
        )
        self.findings.expect(f"{count} connections", count <= CONNECTIONS)
