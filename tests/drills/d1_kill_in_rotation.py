"""D1: SIGKILL 0 to 200 ms into a rotation, under load, again and again; on SQLite and on PostgreSQL at once.

Each time: it starts with 3 s of CPU (a busy machine adds to that, and the line tells how much), exactly one key is
active and one stands by, no token from before is refused, and nobody was ever served an empty key set.
"""

import asyncio
import random
from contextlib import suppress
from statistics import median

import aiohttp
import grpc
import psutil
from auth_api.v1 import keys_pb2

from tests.drills.report import Findings, alone
from tests.drills.stage import KINDS, Caller, Kind, create_admin, database_of, refusal, rows, settings
from tests.support.load import steady
from tests.support.processes import ServiceProcess

START_WITHIN = 3.0
"""Seconds of CPU: the wall clock tells more of the machine's other work, two drills at once included."""
LATEST_KILL = 0.2


async def drill(*, full: bool) -> list[Findings]:
    kills, tokens = (50, 1000) if full else (6, 200)
    return list(await asyncio.gather(*(_on(kind, kills=kills, tokens=tokens) for kind in KINDS)))


async def _on(kind: Kind, *, kills: int, tokens: int) -> Findings:
    findings = Findings(f"D1 kill -9 in rotation, {kind}", f"{kills} kills")
    async with database_of(kind) as database, ServiceProcess(settings(database=database)) as service:
        await create_admin(service)
        async with Caller(service) as caller:
            await _Run(findings, service, caller).conduct(kills=kills, tokens=tokens)
    return findings


class _Run:
    def __init__(self, findings: Findings, service: ServiceProcess, caller: Caller) -> None:
        self.findings, self.service, self.caller = findings, service, caller
        self.access_tokens: list[str] = []
        self.refused: list[str] = []
        self.empty_key_sets = 0
        self.key_sets = 0

    async def conduct(self, *, kills: int, tokens: int) -> None:
        starts, cpu, wrong_rings, rotated, checked = [], [], 0, 0, 0
        first = await self.version()
        for _ in range(kills):
            # Spread over the rings to come, so that each check has tokens of every key still published.
            self.access_tokens += [pair.access_token for pair in await self.caller.logins(-(-tokens // kills))]
            before = await self.version()
            await self.kill_in_rotation()
            starts.append(await self.service.start())
            spent = psutil.Process(self.service.pid).cpu_times()
            cpu.append(spent.user + spent.system)
            await asyncio.wait_for(self.caller.channel.channel_ready(), 10)
            states = [str(state) for (state,) in await rows(self.service, "SELECT state FROM signing_key")]
            wrong_rings += (states.count("active"), states.count("standby")) != (1, 1)
            rotated += await self.version() > before
            checked += await self.check_tokens(tokens)
        states_said = await self.say_states()
        self.findings.expect(
            f"costliest start {max(cpu):.1f} s of CPU (slowest {max(starts):.1f} s, median {median(starts):.1f} s)",
            max(cpu) <= START_WITHIN or max(starts) <= START_WITHIN,
        )
        self.findings.expect(f"{wrong_rings} of {kills} rings without one active and one standby", wrong_rings == 0)
        self.findings.expect(
            f"{len(self.refused)} of {checked} earlier tokens refused {sorted(set(self.refused)) or ''}".strip(),
            not self.refused,
        )
        self.findings.expect(
            f"{self.empty_key_sets} of {self.key_sets} key sets empty", self.empty_key_sets == 0 < self.key_sets
        )
        self.findings.note(f"{rotated} rotations were in time, {kills - rotated} were not (ring from {first})")
        self.findings.note(states_said)

    async def kill_in_rotation(self) -> None:
        admin = await self.caller.admin_metadata()
        stop = asyncio.Event()
        token = self.access_tokens[-1]
        load = asyncio.gather(
            steady(lambda: self.caller.verify(token), rate_per_second=50, stop=stop, patience=1),
            steady(self.watch_key_set, rate_per_second=50, stop=stop, patience=1),
        )
        await asyncio.sleep(0.1)
        rotation = asyncio.ensure_future(
            self.caller.keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(), metadata=admin, timeout=5)
        )
        await asyncio.sleep(random.uniform(0, LATEST_KILL))
        await self.service.kill9()
        with suppress(grpc.aio.AioRpcError):
            await rotation
        stop.set()
        await load

    async def watch_key_set(self) -> None:
        with suppress(aiohttp.ClientError):
            keys = await self.caller.jwks()
            self.key_sets += 1
            self.empty_key_sets += not keys

    async def check_tokens(self, most: int) -> int:
        sample = random.sample(self.access_tokens, min(most, len(self.access_tokens)))
        turn = asyncio.Semaphore(32)

        async def check(token: str) -> None:
            async with turn:
                try:
                    await self.caller.verify(token)
                except grpc.aio.AioRpcError as error:
                    said = refusal(error)
                    self.refused.append(f"{said.code} {said.reason}")

        await asyncio.gather(*(check(token) for token in sample), self.watch_key_set())
        return len(sample)

    async def version(self) -> int:
        return int(str((await rows(self.service, "SELECT version FROM key_ring"))[0][0]))

    async def say_states(self) -> str:
        found = await rows(self.service, "SELECT state, count(*) FROM signing_key GROUP BY state ORDER BY state")
        return "at the end " + ", ".join(f"{count} {state}" for state, count in found)


if __name__ == "__main__":
    alone("D1", drill)
