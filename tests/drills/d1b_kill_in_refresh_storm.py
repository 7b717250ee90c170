"""D1b: SIGKILL while twenty clients refresh without pause, again and again; on SQLite and on PostgreSQL at once.

Each client retries once, with the token in its hand, when the service is back: it gets the successor of exactly that
token, the same one if an answer had been on its way, and the database agrees with it. The replay window would be over
by then, if it did not wait for the process that was killed.
"""

import asyncio
import random
import shutil
import sqlite3
import tempfile
from pathlib import Path

import grpc

from tests.drills.report import Findings, alone
from tests.drills.stage import (
    KINDS,
    Caller,
    Kind,
    database_of,
    generation_of,
    refusal,
    rows,
    session_of,
    settings,
    sqlite_path,
)
from tests.support.processes import ServiceProcess

CLIENTS = 20
WINDOW = "1s"
"""The service's replay window, shorter than it takes to start again."""
LANES = 2
"""Services that are killed side by side on each database: most of the time goes into starting them again."""


async def drill(*, full: bool) -> list[Findings]:
    kills = 200 if full else 10
    lanes = LANES if full else 1
    return (
        [await _on(kind, kills=kills, lanes=lanes) for kind in KINDS]
        if full
        else list(await asyncio.gather(*(_on(kind, kills=kills, lanes=lanes) for kind in KINDS)))
    )


async def _on(kind: Kind, *, kills: int, lanes: int) -> Findings:
    findings = Findings(f"D1b kill -9 in a refresh storm, {kind}", f"{kills} kills")
    runs = [_Run() for _ in range(lanes)]
    await asyncio.gather(*(run.conduct(kind, kills // lanes) for run in runs))
    refreshes = sum(run.refreshes for run in runs)
    cut = sum(run.cut for run in runs)
    replayed = sum(run.replayed for run in runs)
    doubled = sum(run.doubled for run in runs)
    stranded = [each for run in runs for each in run.stranded]
    astray = sum(run.astray for run in runs)
    findings.note(f"{refreshes} refreshes, {cut} cut in flight, {replayed} of them had been committed")
    findings.expect(f"{doubled} doubled successors", doubled == 0)
    findings.expect(
        f"{len(stranded)} sessions with no valid token after one retry {sorted(set(stranded)) or ''}".strip(),
        not stranded,
    )
    findings.expect(f"{astray} sessions of which the database thinks otherwise", astray == 0)
    if kind == "sqlite":
        checks = [each for run in runs for each in run.integrity]
        findings.expect(
            f"integrity_check ok {checks.count('ok')} of {len(checks)} times",
            len(checks) == checks.count("ok") == kills,
        )
    return findings


class _Client:
    """One session. `successors` are those that each token bought; there must not be two."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.successors: dict[str, str] = {}
        self.was_cut = False

    def took(self, token: str) -> bool:
        """Whether `token` is the first successor of the one in hand, or the same as before."""
        is_same = self.successors.setdefault(self.token, token) == token
        self.token = token
        return is_same


class _Run:
    def __init__(self) -> None:
        self.refreshes = self.cut = self.replayed = self.doubled = self.astray = 0
        self.stranded: list[str] = []
        self.integrity: list[str] = []

    async def conduct(self, kind: Kind, kills: int) -> None:
        async with (
            database_of(kind) as database,
            ServiceProcess(settings(database=database, refresh_replay_window=WINDOW)) as service,
            Caller(service) as caller,
        ):
            clients = [_Client(pair.refresh_token) for pair in await caller.logins(CLIENTS)]
            for _ in range(kills):
                await self.storm(service, caller, clients)
                if kind == "sqlite":
                    self.integrity.append(await asyncio.to_thread(_integrity, service))
                committed = await self.generations(service)
                await service.start()
                await asyncio.wait_for(caller.channel.channel_ready(), 10)
                await asyncio.gather(*(self.retry(caller, client, committed) for client in clients))
                await self.compare(service, clients)

    async def storm(self, service: ServiceProcess, caller: Caller, clients: list[_Client]) -> None:
        async def refresh_until_cut(client: _Client) -> None:
            client.was_cut = False
            while True:
                try:
                    pair = await caller.refresh(client.token)
                except grpc.aio.AioRpcError:
                    client.was_cut = True
                    return
                self.refreshes += 1
                self.doubled += not client.took(pair.refresh_token)

        storm = asyncio.gather(*(refresh_until_cut(client) for client in clients))
        await asyncio.sleep(random.uniform(0.02, 0.4))
        await service.kill9()
        await storm

    async def retry(self, caller: Caller, client: _Client, committed: dict[str, int]) -> None:
        spent = client.token
        self.cut += client.was_cut
        self.replayed += committed.get(session_of(spent).hex, 0) == generation_of(spent) + 1
        try:
            pair = await caller.refresh(spent)
        except grpc.aio.AioRpcError as error:
            said = refusal(error)
            self.stranded.append(f"{said.code} {said.reason}")
            return
        self.refreshes += 1
        self.doubled += not client.took(pair.refresh_token)
        self.doubled += generation_of(client.token) != generation_of(spent) + 1

    async def generations(self, service: ServiceProcess) -> dict[str, int]:
        found = await rows(service, "SELECT id, generation FROM session WHERE ended_at IS NULL")
        return {str(session).replace("-", ""): int(str(generation)) for session, generation in found}

    async def compare(self, service: ServiceProcess, clients: list[_Client]) -> None:
        held = await self.generations(service)
        self.astray += sum(held.get(session_of(client.token).hex) != generation_of(client.token) for client in clients)


def _integrity(service: ServiceProcess) -> str:
    """Of a copy: opening the database itself would recover it before the service does."""
    path = Path(sqlite_path(service))
    with tempfile.TemporaryDirectory() as folder:
        for file in path.parent.glob(f"{path.name}*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, folder)
        connection = sqlite3.connect(Path(folder) / path.name)
        try:
            return str(connection.execute("PRAGMA integrity_check").fetchone()[0])
        finally:
            connection.close()


if __name__ == "__main__":
    alone("D1b", drill)
