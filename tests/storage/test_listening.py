"""PostgreSQL tells the other replicas at once; what is told is only what was committed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from auth_service.storage import postgres as driver
from auth_service.storage.database import Connection, Database
from auth_service.storage.opening import open_database
from tests.conftest import BUDGET
from tests.support.conditions import eventually
from tests.support.postgres import Postgres
from tests.support.tcp_proxy import in_front_of


class Abandoned(Exception):
    pass


@asynccontextmanager
async def listening(database: Database, heard: Callable[[str], None]) -> AsyncIterator[None]:
    task = asyncio.create_task(database.listen(heard))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def tell(database: Database, topic: str, *, then: Exception | None = None) -> None:
    async def step(connection: Connection) -> None:
        await connection.tell(topic)
        if then is not None:
            raise then

    await database.transaction(step)


@pytest.fixture(name="replicas")
async def two_of_them(postgres_url: str) -> AsyncIterator[tuple[Database, Database]]:
    replicas = open_database(postgres_url, budget=BUDGET), open_database(postgres_url, budget=BUDGET)
    yield replicas
    for replica in replicas:
        await replica.close()


async def test_another_replica_hears_of_what_was_committed_and_of_nothing_else(
    replicas: tuple[Database, Database],
) -> None:
    one, other = replicas
    heard: list[str] = []

    async with listening(other, heard.append):
        await eventually(lambda: _told_and_heard(one, heard))
        with pytest.raises(Abandoned):
            await tell(one, "abandoned", then=Abandoned())
        await tell(one, "committed")
        await eventually(lambda: _is_in("committed", heard))

    assert "abandoned" not in heard


async def test_a_lost_connection_is_made_again(
    replicas: tuple[Database, Database], migrated_postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = replicas
    monkeypatch.setattr(driver, "LISTEN_AGAIN_AFTER", timedelta(milliseconds=20))
    heard: list[str] = []

    async with listening(other, heard.append):
        await eventually(lambda: _told_and_heard(one, heard))
        await _end_every_connection_but_ours(one)
        heard.clear()
        await eventually(lambda: _told_and_heard(one, heard))

    assert heard


async def test_a_connection_that_is_gone_without_a_word_is_made_again(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "LISTEN_AGAIN_AFTER", timedelta(milliseconds=20))
    monkeypatch.setattr(driver, "LISTENING_CHECKED_EVERY", timedelta(milliseconds=100))
    monkeypatch.setattr(driver, "ANSWERS_WITHIN", timedelta(milliseconds=500))
    heard: list[str] = []
    async with in_front_of(postgres_url) as (proxy, through_proxy):
        one, other = (open_database(url, budget=BUDGET) for url in (postgres_url, through_proxy))
        async with listening(other, heard.append):
            await eventually(lambda: _told_and_heard(one, heard))
            assert proxy.open_connections == 1

            await proxy.blackhole()
            await eventually(lambda: proxy.open_connections > 1)
            await proxy.pass_through()

            heard.clear()
            await eventually(lambda: _told_and_heard(one, heard))
        await one.close()
        await other.close()


async def test_nobody_listens_through_a_pooler(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    database = open_database(postgres_url, caches_statements=False, budget=BUDGET)

    await asyncio.wait_for(database.listen(_never), BUDGET.total_seconds())

    await database.close()


async def test_on_sqlite_telling_changes_nothing(sqlite_url: str) -> None:
    database = open_database(sqlite_url, budget=BUDGET)

    await tell(database, "keys")
    await asyncio.wait_for(database.listen(_never), BUDGET.total_seconds())

    await database.close()


def _never(topic: str) -> None:
    raise AssertionError(topic)


async def _told_and_heard(database: Database, heard: list[str]) -> bool:
    # Whoever only begins to listen misses what was told before.
    with suppress(Exception):
        await tell(database, "hello")
    return "hello" in heard


async def _is_in(topic: str, heard: list[str]) -> bool:
    return topic in heard


async def _end_every_connection_but_ours(database: Database) -> None:
    import sqlalchemy as sa

    from auth_service.storage.database import Statement

    end = Statement(
        sa.select(sa.func.pg_terminate_backend(sa.column("pid")))
        .select_from(sa.table("pg_stat_activity"))
        .where(
            sa.column("datname") == sa.func.current_database(),
            sa.column("pid") != sa.func.pg_backend_pid(),
        )
    )
    await database.autocommit(lambda connection: connection.rows(end))
