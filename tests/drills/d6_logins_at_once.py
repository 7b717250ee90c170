"""D6: 10,000 logins at once, 100 on each of 100 connections, of people whom the facility knows.

Each first answer is a session or "too much, come again then"; nobody who comes again stays out; somebody who only
verifies a token does not notice; memory stays bounded. On SQLite and on PostgreSQL. An untouched twin shows how much
the crowd's own work, on the same cores, delays everybody.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from tests.drills.report import BYSTANDER_P99, Findings, alone, milliseconds
from tests.drills.stage import KINDS, Caller, Kind, database_of, settings
from tests.drills.storm import PATIENCE, Storm
from tests.support.leash import spawn
from tests.support.load import OK, steady
from tests.support.ports import port_of, reserve_port
from tests.support.processes import ServiceProcess

PEOPLE = 256
MOST_MEMORY = 512 << 20
GET_IN = 0.999
_REPOSITORY = Path(__file__).resolve().parents[2]


async def drill(*, full: bool) -> list[Findings]:
    connections, calls = (100, 100) if full else (25, 40)
    return [await _on(kind, connections=connections, calls=calls) for kind in KINDS]


async def _on(kind: Kind, *, connections: int, calls: int) -> Findings:
    count = connections * calls
    findings = Findings(f"D6 logins at once, {kind}", f"{connections} x {calls}")
    async with (
        database_of(kind) as database,
        _facility() as facility_url,
        ServiceProcess(_environment(database, facility_url)) as service,
        Caller(service) as caller,
        ServiceProcess(_environment(None, facility_url)) as untouched,
        Caller(untouched) as twin,
    ):
        token, twin_token = [(await each.login(("person0", "right"))).access_token for each in (caller, twin)]
        storm = await Storm.of(service.grpc_address, connections=connections, calls=calls, people=PEOPLE)
        stop = asyncio.Event()
        bystanders = asyncio.gather(
            steady(lambda: caller.verify(token), rate_per_second=20, stop=stop),
            steady(lambda: twin.verify(twin_token), rate_per_second=20, stop=stop),
        )
        memory = asyncio.create_task(_most_memory(service, stop))
        broken = await storm.break_loose()
        stop.set()
        (verified, untouched_verified), most = await bystanders, await memory
    odd = {said: times for said, times in broken.first.items() if said != OK and not _is_fine(said)}
    findings.note(", ".join(f"{times} {said}" for said, times in broken.first.most_common()))
    findings.expect(f"{sum(odd.values())} other answers {odd or ''}".strip(), not odd)
    last = max(broken.within, default=PATIENCE)
    findings.expect(
        f"{len(broken.within)} of {count} in within {last:.0f} s",
        len(broken.within) >= GET_IN * count and sorted(broken.within)[int(GET_IN * count) - 1] <= PATIENCE,
    )
    findings.expect(f"memory {most >> 20} MiB at most", most <= MOST_MEMORY)
    findings.expect(
        f"Verify {len(verified.calls) - verified.outcomes[OK]} of {len(verified.calls)} failed,"
        f" p99 {milliseconds(verified.p99)} (twin {milliseconds(untouched_verified.p99)})",
        verified.outcomes[OK] == len(verified.calls) and verified.p99 <= max(BYSTANDER_P99, 2 * untouched_verified.p99),
    )
    return findings


def _is_fine(said: str) -> bool:
    return said.startswith("RESOURCE_EXHAUSTED") and not said.endswith("without RetryInfo")


def _environment(database: str | None, facility_url: str) -> dict[str, str]:
    return settings(
        database=database,
        providers="uows",
        demo_facility="false",
        uows_url=facility_url,
        uows_api_key="bench-uows-key",
    )


@asynccontextmanager
async def _facility() -> AsyncIterator[str]:
    """In a process of its own: what it takes to answer is no delay of those who measure."""
    with reserve_port() as held:
        port = port_of(held)
        process = await asyncio.to_thread(
            spawn,
            [sys.executable, "-m", "bench.facility", str(port)],
            log=Path(os.devnull),
            cwd=_REPOSITORY,
            environment=os.environ,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            async with asyncio.timeout(10), aiohttp.ClientSession() as http:
                while True:
                    try:
                        async with http.get(url):
                            break
                    except aiohttp.ClientConnectionError:
                        await asyncio.sleep(0.02)
            yield url
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)


async def _most_memory(service: ServiceProcess, stop: asyncio.Event) -> int:
    most = service.rss()
    while not stop.is_set():
        most = max(most, service.rss())
        await asyncio.sleep(0.1)
    return most


if __name__ == "__main__":
    alone("D6", drill)
