"""What a step gets when the database is busy, or was demoted: neither is the database being away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from auth_service.domain.errors import DatabaseUnavailable, Overloaded
from auth_service.storage import staff
from auth_service.storage.database import Busy, Connection, Database
from auth_service.storage.opening import open_database

BUDGET = timedelta(milliseconds=300)


async def hold(connection: Connection) -> None:
    """Keeps its connection for a while, as a slow disk would."""
    await staff.listed(connection)
    await asyncio.sleep(BUDGET.total_seconds() / 4)


async def test_more_steps_than_fit_are_refused_as_too_many_and_the_door_stays_open(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth_service.storage.database.PATIENCE", BUDGET)
    database = open_database(database_url, connections=1, budget=BUDGET)
    try:
        await database.autocommit(staff.listed)

        outcomes = await asyncio.gather(*(database.autocommit(hold) for _ in range(12)), return_exceptions=True)

        assert {type(outcome) for outcome in outcomes} == {type(None), Overloaded}
        assert await database.autocommit(staff.listed) == ()
        assert database.absence_within(timedelta(minutes=1)) == timedelta(0)
    finally:
        await database.close()


async def test_a_queue_that_moves_is_waited_for(database_url: str) -> None:
    database = open_database(database_url, connections=1, budget=BUDGET)
    try:
        assert await asyncio.gather(*(database.autocommit(hold) for _ in range(12))) == [None] * 12
    finally:
        await database.close()


async def test_a_database_that_went_away_while_one_waited_for_a_connection_is_not_waited_for_twice() -> None:
    busy, terms = asyncio.Event(), list[dict[str, Any]]()

    class Driver:
        """Answers the first step, and has no connection for the second."""

        chains = True

        @asynccontextmanager
        async def connection(self, **given: Any) -> AsyncIterator[None]:
            terms.append(given)
            if len(terms) == 1:
                yield
                return
            await busy.wait()
            raise Busy

        now = listen = close = None  # Not used here.

    async def answered_later(_: Connection) -> None:
        await asyncio.sleep(0.01)

    database = Database(Driver(), budget=BUDGET)  # type: ignore[arg-type]  # see there
    answered = asyncio.create_task(database.autocommit(answered_later))
    waiting = asyncio.create_task(database.autocommit(answered_later))
    await answered
    await asyncio.sleep(0.05)
    busy.set()

    with pytest.raises(DatabaseUnavailable):
        await waiting

    _, _, again = terms
    assert again["within"] <= BUDGET - timedelta(milliseconds=50)
    assert again["budget"] > BUDGET - timedelta(milliseconds=50)


async def test_connections_to_a_demoted_server_are_given_up(postgres_url: str) -> None:
    dsn = postgres_url.replace("+asyncpg", "")
    name = dsn.rpartition("/")[2]
    administrator = await asyncpg.connect(dsn, server_settings={"default_transaction_read_only": "off"})
    await administrator.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    database = open_database(postgres_url, budget=timedelta(seconds=5))
    try:
        with pytest.raises(DatabaseUnavailable):
            await _write(database)

        # From now on it is read-only for those who were connected before, and for nobody else.
        await administrator.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
        await _write(database)
    finally:
        await database.close()
        await administrator.close()


async def _write(database: Database) -> None:
    await database.autocommit(lambda connection: staff.add(connection, 1002))
