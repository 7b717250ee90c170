"""What is SQLite's own: what survives a power failure, and whose clock it goes by."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from auth_service.domain.errors import DatabaseUnavailable
from auth_service.storage import staff
from auth_service.storage.database import Connection, Database, DatabaseClock, Statement
from auth_service.storage.opening import open_database, parsed
from auth_service.storage.sqlite import Sqlite
from tests.conftest import BUDGET

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()
_synchronous = Statement(sa.select(sa.column("synchronous")).select_from(sa.func.pragma_synchronous()))


async def test_a_commit_is_on_the_disk_before_it_is_answered(sqlite_url: str) -> None:
    database = open_database(sqlite_url, budget=BUDGET)

    row = await database.autocommit(lambda connection: connection.row(_synchronous))

    assert row is not None
    assert row["synchronous"] == 2  # FULL
    await database.close()


@pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(days=-400)])
async def test_a_jump_of_this_machines_clock_is_told_once_and_not_followed(sqlite_url: str, jump: timedelta) -> None:
    wall, since_boot = [NOON], [100.0]
    driver = Sqlite(Path(parsed(sqlite_url).database or ""), wall=lambda: wall[0], since_boot=lambda: since_boot[0])
    database = Database(driver, budget=BUDGET)
    clock = DatabaseClock(lambda: since_boot[0])

    with capture_logs() as lines:
        for _ in range(3):
            clock.told(await database.autocommit(database.time), asked_at=since_boot[0])
            wall[0] += jump.total_seconds() * (since_boot[0] == 100.0) + 10
            since_boot[0] += 10

    assert clock.now() == datetime.fromtimestamp(NOON + 30, UTC)
    assert [line["event"] for line in lines] == ["sqlite.clock_stepped"]
    await database.close()


async def test_behind_a_step_that_is_stuck_callers_are_answered_within_their_budget(sqlite_url: str) -> None:
    database = open_database(sqlite_url, budget=timedelta(milliseconds=300))
    loop = asyncio.get_running_loop()
    is_in, goes_on = asyncio.Event(), asyncio.Event()

    async def stuck(connection: Connection) -> None:
        is_in.set()
        await goes_on.wait()

    holder = asyncio.create_task(database.autocommit(stuck))
    await is_in.wait()

    begun = loop.time()
    answers = await asyncio.gather(*(database.autocommit(staff.listed) for _ in range(20)), return_exceptions=True)

    assert {type(answer) for answer in answers} == {DatabaseUnavailable}
    # One after the other they would take 6 s.
    assert loop.time() - begun < 4
    goes_on.set()
    await holder
    await database.close()
