"""The database remembers for how long it gave no answer."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from auth_service.domain.errors import DatabaseUnavailable
from auth_service.storage.database import Connection, Database, Statement
from auth_service.storage.opening import open_database
from tests.support.tcp_proxy import Proxy

BUDGET = timedelta(milliseconds=300)
MINUTE = timedelta(minutes=1)
_one = Statement(sa.select(sa.literal_column("1").label("one")))


async def ask(connection: Connection) -> None:
    await connection.row(_one)


async def is_back(database: Database) -> bool:
    try:
        await database.autocommit(ask)
    except DatabaseUnavailable:
        return False
    return True


async def test_absence_is_counted_once_however_many_steps_meet_it(postgres_url: str) -> None:
    url = sa.make_url(postgres_url)
    assert url.host is not None
    assert url.port is not None
    loop = asyncio.get_running_loop()
    async with Proxy(url.host, url.port) as proxy:
        database = open_database(url.set(port=proxy.port), budget=BUDGET)
        try:
            await database.autocommit(ask)
            before = database.absence_within(MINUTE)

            await proxy.blackhole()
            away_from = loop.time()
            answers = await asyncio.gather(*(database.autocommit(ask) for _ in range(20)), return_exceptions=True)
            while_away = database.absence_within(MINUTE)
            await proxy.pass_through()
            async with asyncio.timeout(10):
                while not await is_back(database):  # noqa: ASYNC110 -- nobody signals that the gate may be tried
                    await asyncio.sleep(0.01)
            longest = timedelta(seconds=loop.time() - away_from)
            afterwards = database.absence_within(MINUTE)

            assert before == timedelta(0)
            assert all(isinstance(answer, DatabaseUnavailable) for answer in answers)
            assert BUDGET * 0.9 <= while_away <= longest
            assert while_away <= afterwards <= longest
            assert database.absence_within(timedelta(0)) == timedelta(0)
        finally:
            await database.close()


@pytest.mark.parametrize("past", [timedelta(0), MINUTE])
async def test_there_is_no_absence_where_every_step_was_answered(database: Database, past: timedelta) -> None:
    await database.autocommit(ask)

    assert database.absence_within(past) == timedelta(0)
