"""D15: every third write to a session fails with 40001 on PostgreSQL; on SQLite another process holds the write lock
a third of the time, now and then for longer than SQLite itself waits.

None of it reaches a client.
"""

import asyncio
import subprocess
import sys

import asyncpg
import grpc

from tests.drills.report import Findings, alone, milliseconds
from tests.drills.stage import Caller, by_refusal, refusal, rows, running_postgres, settings, sqlite_path
from tests.support.processes import ServiceProcess

_EVERY_THIRD = """
CREATE SEQUENCE drill_writes;
CREATE FUNCTION drill_fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('drill_writes') % 3 = 0 THEN RAISE EXCEPTION 'drill' USING ERRCODE = '40001'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER drill BEFORE INSERT OR UPDATE ON session FOR EACH ROW EXECUTE FUNCTION drill_fail();
"""
# Ends when its standard input does, that is with the drill.
_RIVAL = """
import random, select, sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], timeout=5, isolation_level=None)
turns = locked = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    turns += 1
    hold = 0.6 if turns % 50 == 0 else random.uniform(0.005, 0.05)
    connection.execute("BEGIN IMMEDIATE")
    time.sleep(hold)
    connection.execute("COMMIT")
    time.sleep(2 * hold if hold < 0.1 else 0.2)
"""


async def drill(*, full: bool) -> list[Findings]:
    refreshes = 1000 if full else 200
    return [await _on_postgres(refreshes), await _on_sqlite(refreshes)]


async def _on_postgres(refreshes: int) -> Findings:
    findings = Findings("D15 40001 on every 3rd write, postgresql", f"{refreshes} refreshes")
    async with (
        running_postgres() as postgres,
        ServiceProcess(settings(database=postgres.dsn())) as service,
        Caller(service) as caller,
    ):
        first, *others = [pair.refresh_token for pair in await caller.logins(9)]
        connection = await asyncpg.connect(postgres.dsn())
        try:
            await connection.execute(_EVERY_THIRD)
        finally:
            await connection.close()
        refused = await _refreshes(caller, [first], refreshes)
        writes = int(str((await rows(service, "SELECT last_value FROM drill_writes"))[0][0]))
        findings.expect(f"one after another: {_said(refused)} of {refreshes} reached the client", not refused)
        findings.expect(f"{writes // 3} of {writes} writes failed", writes // 3 >= refreshes // 3)
        refused = await _refreshes(caller, others, refreshes)
        # Interleaved with others, a call can meet its third every time: 1 in 81 would, were it by chance.
        findings.note(f"8 at a time: {_said(refused)} of {refreshes} reached the client, at the 4th attempt")
    return findings


async def _on_sqlite(refreshes: int) -> Findings:
    findings = Findings("D15 write lock held by another process, sqlite", f"{refreshes} refreshes")
    async with ServiceProcess(settings()) as service, Caller(service) as caller:
        tokens = [pair.refresh_token for pair in await caller.logins(4)]
        rival = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _RIVAL, sqlite_path(service), stdin=subprocess.PIPE
        )
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(0.3)
            began = loop.time()
            refused = await _refreshes(caller, tokens, refreshes)
            took = loop.time() - began
        finally:
            await rival.communicate(b".")
        findings.expect(f"{_said(refused)} of {refreshes} reached the client", not refused)
        findings.note(f"{milliseconds(took / refreshes)} a refresh")
        findings.expect(f"the other process ended with {rival.returncode}", rival.returncode == 0)
    return findings


async def _refreshes(caller: Caller, tokens: list[str], count: int) -> list[str]:
    """`count` in all, each session one after another; what was refused. A refused token is spent again later."""
    refused: list[str] = []

    async def one_session(number: int) -> None:
        for _ in range(count // len(tokens)):
            try:
                tokens[number] = (await caller.refresh(tokens[number])).refresh_token
            except grpc.aio.AioRpcError as error:
                refused.append(f"{by_refusal(None, error)} ({refusal(error).reason})")

    await asyncio.gather(*(one_session(number) for number in range(len(tokens))))
    return refused


def _said(refused: list[str]) -> str:
    return f"{len(refused)} {sorted(set(refused)) or ''}".strip()


if __name__ == "__main__":
    alone("D15", drill)
