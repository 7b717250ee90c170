"""D17: one statement of a step fails, by a trigger; on SQLite and on PostgreSQL.

Each in turn of what Refresh, Login and Logout write, the audit log last. The call is refused, nothing of it is in the
database, and the refresh token is as good as before.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
from auth_api.v1 import auth_pb2

from tests.drills.report import Findings, alone
from tests.drills.stage import KINDS, Caller, Kind, database_of, refusal, rows, settings, sqlite_path
from tests.support.processes import ServiceProcess

WRITTEN = ("person", "session", "revocation", "audit_event", "failed_attempts")
_FAIL = """
CREATE FUNCTION drill_fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'drill'; END $$;
CREATE TRIGGER drill BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION drill_fails();
"""
_FAIL_SQLITE = "CREATE TRIGGER drill BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'drill'); END"


@dataclass(frozen=True, slots=True)
class Failing:
    """The statement that fails while `call` is answered."""

    call: str
    event: str
    table: str

    def __str__(self) -> str:
        return f"{self.call}: {self.event} {self.table}"


FAILING = (
    Failing("Refresh", "UPDATE", "session"),
    Failing("Login", "UPDATE", "person"),
    Failing("Login", "INSERT", "session"),
    Failing("Login", "INSERT", "audit_event"),
    Failing("Logout", "UPDATE", "session"),
    Failing("Logout", "INSERT", "revocation"),
    Failing("Logout", "INSERT", "audit_event"),
)


async def drill(*, full: bool) -> list[Findings]:
    return [await _on(kind, rounds=20 if full else 1) for kind in KINDS]


async def _on(kind: Kind, *, rounds: int) -> Findings:
    findings = Findings(f"D17 one failing statement, {kind}", f"{rounds} x {len(FAILING)} statements")
    async with (
        database_of(kind) as database,
        ServiceProcess(settings(database=database)) as service,
        Caller(service) as caller,
    ):
        answered, left, lost = [], [], []
        for failing in FAILING * rounds:
            token = (await caller.login()).refresh_token
            before = await _written(service)
            async with _fails(service, failing):
                said = await _said(_called(caller, failing.call, token))
            if said in ("ok", "UNKNOWN"):
                answered.append(f"{failing} {said}")
            if await _written(service) != before:
                left.append(str(failing))
            if (again := await _said(caller.refresh(token))) != "ok":
                lost.append(f"{failing} {again}")
        count = rounds * len(FAILING)
        findings.expect(f"{len(answered)} of {count} calls were not refused {answered or ''}".strip(), not answered)
        findings.expect(f"{len(left)} left something behind {left or ''}".strip(), not left)
        findings.expect(f"{len(lost)} cost the refresh token {lost or ''}".strip(), not lost)
    return findings


def _called(caller: Caller, call: str, token: str) -> Awaitable[object]:
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "Refresh": lambda: caller.refresh(token),
        "Login": caller.login,
        "Logout": lambda: caller.auth.Logout(auth_pb2.LogoutRequest(refresh_token=token), timeout=10),
    }
    return calls[call]()


async def _written(service: ServiceProcess) -> dict[str, list[tuple[object, ...]]]:
    return {table: sorted(await rows(service, f"SELECT * FROM {table}"), key=repr) for table in WRITTEN}


@asynccontextmanager
async def _fails(service: ServiceProcess, failing: Failing) -> AsyncIterator[None]:
    names = {"event": failing.event, "table": failing.table}
    if (url := service.environment.get("AUTH_DATABASE_URL")) is None:
        await asyncio.to_thread(_run_sqlite, service, _FAIL_SQLITE.format(**names))
        yield
        await asyncio.to_thread(_run_sqlite, service, "DROP TRIGGER drill")
        return
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_FAIL.format(**names))
        yield
        await connection.execute(f"DROP TRIGGER drill ON {failing.table}; DROP FUNCTION drill_fails()")
    finally:
        await connection.close()


def _run_sqlite(service: ServiceProcess, statement: str) -> None:
    connection = sqlite3.connect(sqlite_path(service))
    connection.execute(statement)
    connection.close()


async def _said(call: Awaitable[object]) -> str:
    try:
        await call
    except Exception as error:  # noqa: BLE001 -- what it was is looked at
        return refusal(error).code
    return "ok"


if __name__ == "__main__":
    alone("D17", drill)
