"""D3: the user office hangs with 200 logins stuck in it, then Proposal Allocations with 200 questions.

Verify does not notice, nor does the other upstream. What is stuck ends within 5.5 s; after five failures the breaker
refuses at once and looks every 10 s whether the upstream is back.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from auth_api.v1 import auth_pb2

from auth_service.demo.facility import Facility, running_facility
from tests.drills import crowd
from tests.drills.report import BYSTANDER_P99, Findings, alone, milliseconds
from tests.drills.stage import API_KEY, Caller, by_refusal, refusal, settings
from tests.support.load import OK, steady
from tests.support.processes import ServiceProcess

STUCK = 200
ENDS_WITHIN = 5.5
VERIFY_P99 = 0.05
"""Seconds; or twice what an untouched twin, under the same load of Verify, showed in the same seconds: a busy machine
delays both.
"""
REFUSED_WITHIN = 0.1
MORE_MEMORY = 32 << 20
SLACK = 0.025
BACK_WITHIN = 11.0

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Upstream:
    name: str
    kind: crowd.Kind
    prefix: str
    asked_at: str
    """The path that every question begins with."""
    call: Call
    other: Call


async def drill(*, full: bool) -> list[Findings]:
    async with running_facility() as facility:
        return [await _on(which, facility, full=full) for which in ("UOWS", "Allocations")]


async def _on(which: str, facility: Facility, *, full: bool) -> Findings:
    environment = settings(facility=facility, providers="uows")
    async with (
        ServiceProcess(environment) as service,
        Caller(service) as caller,
        ServiceProcess(environment) as untouched,
        Caller(untouched) as twin,
    ):
        numbers = itertools.count(10_000)

        async def ask() -> None:
            """Each for another person, so that neither the cache nor sharing a question helps."""
            await caller.auth.ListExperiments(
                auth_pb2.ListExperimentsRequest(user_number=next(numbers)),
                metadata=(("authorization", f"Bearer {API_KEY}"),),
                timeout=10,
            )

        if which == "UOWS":
            upstream = Upstream(which, "login", "/v1", "/v1/sessions", call=caller.login, other=ask)
        else:
            upstream = Upstream(which, "experiments", "/graphql", "/graphql", call=ask, other=caller.login)
        return await _hang(upstream, facility, service, caller, twin, full=full)


async def _hang(
    upstream: Upstream, facility: Facility, service: ServiceProcess, caller: Caller, twin: Caller, *, full: bool
) -> Findings:
    hang = 30.0 if full else 10.0
    findings = Findings(f"D3 {upstream.name} hangs", f"{hang:.0f} s")
    token, twin_token = (await caller.login()).access_token, (await twin.login()).access_token
    for _ in range(4):
        # What a crowd costs once, such as connections and threads, is not what being stuck costs.
        await asyncio.gather(*(upstream.call() for _ in range(STUCK // 4)))
    people = await crowd.at(service, upstream.kind, STUCK)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    began = loop.time()
    load = asyncio.gather(
        steady(lambda: caller.verify(token), rate_per_second=100, stop=stop),
        steady(upstream.other, rate_per_second=20, stop=stop),
        steady(lambda: twin.verify(twin_token), rate_per_second=100, stop=stop),
    )
    await asyncio.sleep(60 if full else 3)
    memory = service.rss()
    most_memory = memory

    hang_at = loop.time() - began
    facility.fault = {upstream.prefix: "hang"}
    stuck = asyncio.create_task(people.call())
    while not stuck.done():
        await asyncio.sleep(0.1)
        most_memory = max(most_memory, service.rss())
    ended = stuck.result()
    refused = [await _timed(upstream.call) for _ in range(20)]

    probes_before = facility.hits[upstream.asked_at]
    watched_from = loop.time()
    while loop.time() - began - hang_at < hang:
        await _timed(upstream.call)
        await asyncio.sleep(0.2)
    watched, probes = loop.time() - watched_from, facility.hits[upstream.asked_at] - probes_before

    facility.fault = {}
    back_at = loop.time() - began
    if full:
        while (await _timed(upstream.call))[0] != OK:  # noqa: ASYNC110 - asking is how a client finds out
            await asyncio.sleep(0.1)
        back_after = loop.time() - began - back_at
    stop.set()
    verify, other, untouched = await load
    twin_p99 = untouched.due_between(hang_at, back_at).p99
    noise = max(2 * twin_p99, 0.0 if full else BYSTANDER_P99)

    ends = {said for said, _ in ended}
    findings.expect(
        f"{STUCK} stuck calls ended within {max(seconds for _, seconds in ended):.2f} s as {', '.join(sorted(ends))}",
        ends <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"} and max(seconds for _, seconds in ended) <= ENDS_WITHIN,
    )
    findings.expect(
        f"then {len(refused)} refused within {milliseconds(max(seconds for _, seconds in refused))}",
        all(said == "UNAVAILABLE" and seconds <= REFUSED_WITHIN for said, seconds in refused),
    )
    findings.expect(f"{probes} probes in {watched:.0f} s", probes <= 1 + watched / 10)
    if full:
        findings.expect(f"back after {back_after:.1f} s", back_after <= BACK_WITHIN)
    during = verify.due_between(hang_at, back_at)
    findings.expect(
        f"Verify {len(verify.calls) - verify.outcomes[OK]} of {len(verify.calls)} failed,"
        f" p99 {milliseconds(during.p99)} (twin {milliseconds(twin_p99)})",
        verify.outcomes[OK] == len(verify.calls) and during.p99 <= max(VERIFY_P99, noise),
    )
    baseline, during = other.due_between(1, hang_at).p99, other.due_between(hang_at, back_at)
    findings.expect(
        f"the other upstream {len(other.calls) - other.outcomes[OK]} of {len(other.calls)} failed,"
        f" p99 {milliseconds(during.p99)} (before {milliseconds(baseline)})",
        other.outcomes[OK] == len(other.calls) and during.p99 <= max(2 * baseline, SLACK, noise),
    )
    more = most_memory - memory
    findings.expect(f"memory {more / (1 << 20):+.1f} MiB", more <= MORE_MEMORY)
    return findings


async def _timed(call: Call) -> tuple[str, float]:
    """What it came to, and after how many seconds."""
    began = time.monotonic()
    try:
        await call()
    except Exception as error:  # noqa: BLE001 - what it was is looked at
        return refusal(error).code, time.monotonic() - began
    return by_refusal(None, None), time.monotonic() - began


if __name__ == "__main__":
    alone("D3", drill)
