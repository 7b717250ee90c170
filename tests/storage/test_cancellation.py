"""Callers who go away in the middle of steps: every step still runs to its end, and the database stays usable."""

import asyncio
import contextlib
import random
import sqlite3
from collections import Counter
from functools import partial

import asyncpg
import pytest

from auth_service.domain.errors import DatabaseUnavailable
from auth_service.storage import staff
from auth_service.storage.database import Connection, Database
from auth_service.storage.opening import open_database, parsed
from tests.conftest import BUDGET
from tests.support.postgres import Postgres

CALLERS = 400


async def turns(count: int) -> None:
    """Let the others run, `count` times: a delay without a clock."""
    for _ in range(count):
        await asyncio.sleep(0)


class Refused(Exception):
    pass


async def storm(database: Database, *, seed: int) -> Counter[str]:
    """Callers who write two rows in a transaction, one in autocommit, or refuse halfway; most are cut somewhere."""
    chance = random.Random(seed)

    async def both(connection: Connection, number: int) -> None:
        await staff.add(connection, number)
        await turns(3)
        await staff.add(connection, -number)

    async def one(connection: Connection, number: int) -> None:
        await staff.add(connection, number + 10_000)

    async def refuse(connection: Connection, number: int) -> None:
        await staff.add(connection, number)
        raise Refused

    async def caller(number: int) -> None:
        match number % 3:
            case 0:
                await database.transaction(lambda connection: both(connection, number))
            case 1:
                await database.autocommit(lambda connection: one(connection, number))
            case _:
                await database.transaction(lambda connection: refuse(connection, number))

    async def cut(task: asyncio.Task[None], after: int) -> str:
        await turns(after)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        except (Refused, DatabaseUnavailable) as error:
            return type(error).__name__
        return "done"

    tasks = [asyncio.create_task(caller(number)) for number in range(1, CALLERS)]
    return Counter(await asyncio.gather(*(cut(task, chance.randrange(400)) for task in tasks)))


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_storm_of_cancelled_callers_leaves_no_half_step_and_no_open_transaction(
    database_url: str, postgres: Postgres, seed: int
) -> None:
    database = open_database(database_url, connections=5, budget=BUDGET)
    outcomes = await storm(database, seed=seed)
    assert outcomes["cancelled"] > CALLERS // 4

    # This comes after the steps that the storm left behind, and it writes.
    added = (database.transaction(partial(staff.add, user_number=number)) for number in range(50_000, 50_020))
    assert all(await asyncio.gather(*added))
    while database._steps:
        await asyncio.wait(database._steps)
    numbers = set(await database.autocommit(staff.listed))
    pairs = {number for number in numbers if 0 < number < 10_000}
    assert {-number for number in numbers if number < 0} == pairs
    assert pairs == set(range(3, CALLERS, 3))
    assert not any(number % 3 == 2 for number in pairs)
    if parsed(database_url).get_backend_name() == "postgresql":
        await assert_at_rest(postgres, database_url)
    await database.close()
    if parsed(database_url).get_backend_name() == "sqlite":
        with contextlib.closing(sqlite3.connect(str(parsed(database_url).database))) as file:
            assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def assert_at_rest(postgres: Postgres, url: str) -> None:
    name = parsed(url).database
    watcher = await asyncpg.connect(postgres.dsn())
    states = await watcher.fetch(
        "SELECT state FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'", name
    )
    await watcher.close()
    assert {row["state"] for row in states} == {"idle"}
    assert len(states) <= 5


async def test_a_step_goes_on_and_commits_after_its_caller_has_gone(database: Database) -> None:
    under_way, go_on = asyncio.Event(), asyncio.Event()

    async def step(connection: Connection) -> None:
        await staff.add(connection, 1)
        under_way.set()
        await go_on.wait()
        await staff.add(connection, 2)

    caller = asyncio.create_task(database.transaction(step))
    await under_way.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    go_on.set()
    while database._steps:
        await asyncio.wait(database._steps)

    assert await database.autocommit(staff.listed) == (1, 2)


async def test_closing_waits_for_the_steps_under_way_and_refuses_later_ones(database_url: str) -> None:
    database = open_database(database_url, budget=BUDGET)
    under_way, go_on = asyncio.Event(), asyncio.Event()

    async def step(connection: Connection) -> None:
        under_way.set()
        await go_on.wait()
        await staff.add(connection, 1)

    caller = asyncio.create_task(database.transaction(step))
    await under_way.wait()
    closing = asyncio.create_task(database.close())
    await turns(5)
    with pytest.raises(DatabaseUnavailable):
        await database.autocommit(staff.listed)
    go_on.set()
    await caller
    await closing

    again = open_database(database_url, budget=BUDGET)
    assert await again.autocommit(staff.listed) == (1,)
    await again.close()


async def test_closing_twice_and_closing_unused_is_fine(database_url: str) -> None:
    database = open_database(database_url, budget=BUDGET)

    await database.close()
    await database.close()
