"""Databases that hang, die, turn read-only, lose races or fill up: what callers get, and that it passes by itself."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import sqlalchemy as sa

from auth_service.domain.errors import AuthError, DatabaseUnavailable
from auth_service.storage import database as door
from auth_service.storage import migrate, people, roles, sessions, staff
from auth_service.storage.database import Connection, Database, LostRace, UniqueViolated
from auth_service.storage.opening import open_database, parsed
from tests.conftest import BUDGET
from tests.domain.rings import NOON
from tests.storage.test_sessions import signed_in, successor_of
from tests.support.pgbouncer import PgBouncer, available
from tests.support.postgres import Postgres
from tests.support.tcp_proxy import Proxy

SHORT = timedelta(seconds=0.3)


@pytest.fixture(scope="module")
def frail() -> Iterator[Postgres]:
    """A cluster of this module's own: others would not survive what happens to it."""
    with Postgres() as running:
        yield running


@pytest.fixture(scope="module")
async def frail_url(frail: Postgres) -> str:
    await frail.create_database("frail")
    await migrate.upgrade(frail.url("frail"))
    return frail.url("frail")


@pytest.fixture
async def frail_database(frail_url: str) -> AsyncIterator[Database]:
    database = open_database(frail_url, connections=3, budget=SHORT)
    await written(database)
    yield database
    await database.close()


async def written(database: Database) -> None:
    """One write, whichever way."""
    await database.transaction(lambda connection: staff.add(connection, 1))
    await database.autocommit(lambda connection: staff.remove(connection, 1))


async def outcome(database: Database) -> str:
    try:
        await written(database)
    except DatabaseUnavailable:
        return "unavailable"
    return "written"


async def until_written(database: Database) -> None:
    """The database is back: so is its door, at the latest when it has been shut for its while."""
    async with asyncio.timeout(10):
        while await outcome(database) != "written":  # noqa: ASYNC110 -- nobody rings a bell when a server is back
            await asyncio.sleep(0.02)


async def test_a_step_that_is_cut_between_two_messages_of_one_statement_is_unavailable(
    frail_database: Database,
) -> None:
    loop = asyncio.get_running_loop()

    async def step(connection: Connection) -> None:
        # Prepared, and not yet executed: for the answer and the end of the budget come at one moment, as they do where
        # the machine is busy. The connection has not seen the statement before.
        loop.call_soon(time.sleep, 1.5 * SHORT.total_seconds())
        await staff.listed(connection)

    with pytest.raises(DatabaseUnavailable):
        await frail_database.autocommit(step)

    assert await outcome(frail_database) == "written"


async def test_a_frozen_server_is_unavailable_within_the_budget_and_comes_back(
    frail: Postgres, frail_database: Database
) -> None:
    frail.freeze()
    try:
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*(outcome(frail_database) for _ in range(30)))
            outcomes += [await outcome(frail_database) for _ in range(30)]
    finally:
        frail.thaw()

    assert set(outcomes) == {"unavailable"}
    await until_written(frail_database)
    assert await frail_database.autocommit(staff.listed) == ()


async def test_a_transaction_cut_in_the_middle_leaves_nothing(frail: Postgres, frail_database: Database) -> None:
    async def step(connection: Connection) -> None:
        await staff.add(connection, 5)
        frail.freeze()
        await staff.add(connection, 6)

    try:
        async with asyncio.timeout(10):
            with pytest.raises(DatabaseUnavailable):
                await frail_database.transaction(step)
    finally:
        frail.thaw()

    await until_written(frail_database)
    assert await frail_database.autocommit(staff.listed) == ()


async def test_a_step_that_outstays_its_budget_is_cut(frail_database: Database) -> None:
    async def step(connection: Connection) -> None:
        await staff.add(connection, 5)
        await asyncio.sleep(SHORT.total_seconds() * 1.5)

    async with asyncio.timeout(10):
        for run in (frail_database.transaction, frail_database.autocommit):
            with contextlib.suppress(DatabaseUnavailable):
                await run(step)
        with pytest.raises(DatabaseUnavailable):
            await frail_database.transaction(step)

    await until_written(frail_database)
    await frail_database.autocommit(lambda connection: staff.remove(connection, 5))


async def test_a_killed_server_is_unavailable_and_found_again_when_it_is_back(
    frail: Postgres, frail_database: Database
) -> None:
    await asyncio.to_thread(frail.kill)
    async with asyncio.timeout(10):
        outcomes = [await outcome(frail_database) for _ in range(20)]
    await asyncio.to_thread(frail.start)

    assert set(outcomes) == {"unavailable"}
    await until_written(frail_database)


async def test_a_server_that_ends_our_backends_in_the_middle_of_steps_is_unavailable_not_broken(
    frail: Postgres, frail_database: Database
) -> None:
    administrator = await asyncpg.connect(frail.dsn())
    outcomes = []
    async with asyncio.timeout(10):
        for _ in range(20):
            writing = [asyncio.create_task(outcome(frail_database)) for _ in range(5)]
            await administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'frail'"
            )
            outcomes += await asyncio.gather(*writing)
    await administrator.close()

    assert set(outcomes) <= {"written", "unavailable"}
    await until_written(frail_database)


async def test_a_black_hole_is_unavailable_and_leaves_no_wedged_pool(frail: Postgres, frail_url: str) -> None:
    async with Proxy(frail.host, frail.port) as proxy:
        database = open_database(f"postgresql://postgres@127.0.0.1:{proxy.port}/frail", connections=3, budget=SHORT)
        await written(database)

        await proxy.blackhole()
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*(outcome(database) for _ in range(20)))
            outcomes += [await outcome(database) for _ in range(20)]
        await proxy.pass_through()

        assert set(outcomes) == {"unavailable"}
        await until_written(database)
        await asyncio.gather(*(written(database) for _ in range(20)))
        await database.close()


async def test_after_a_failover_to_a_read_only_server_reading_goes_on(
    frail: Postgres, frail_url: str, frail_database: Database
) -> None:
    administrator = await asyncpg.connect(frail.dsn())
    await administrator.execute("ALTER DATABASE frail SET default_transaction_read_only = on")
    reading = open_database(frail_url, budget=SHORT)

    assert await outcome(reading) == "unavailable"
    assert await reading.autocommit(staff.listed) == ()

    await administrator.execute("ALTER DATABASE frail RESET default_transaction_read_only")
    await administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'frail'")
    await administrator.close()
    await until_written(reading)
    await reading.close()


async def test_the_door_shuts_after_a_few_failures_and_one_caller_at_a_time_tries_it(frail: Postgres) -> None:
    frail_port = frail.port
    async with Proxy("127.0.0.1", frail_port) as proxy:
        database = open_database(f"postgresql://postgres@127.0.0.1:{proxy.port}/frail", budget=SHORT)
        await proxy.blackhole()
        for _ in range(door.FAILURES_UNTIL_SHUT):
            assert await outcome(database) == "unavailable"

        async with asyncio.timeout(10):
            tried = proxy.open_connections
            assert [await outcome(database) for _ in range(1000)] == ["unavailable"] * 1000
            assert proxy.open_connections <= tried

        await proxy.pass_through()
        await until_written(database)
        await database.close()


class Wrong(Exception):
    pass


async def test_a_call_refused_for_its_own_sake_shows_that_the_database_is_back(postgres_url: str) -> None:
    database = open_database(postgres_url, budget=timedelta(minutes=1))

    async def step(connection: Connection) -> None:
        await staff.listed(connection)
        raise Wrong

    database._failures = door.FAILURES_UNTIL_SHUT
    with pytest.raises(Wrong):
        await database.transaction(step)

    assert await outcome(database) == "written"
    await database.close()


_EVERY_THIRD_FAILS = """
    CREATE SEQUENCE writes;
    CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        -- Sequences survive a rollback, so that the next attempt counts on.
        IF nextval('writes') % {period} {condition} THEN RAISE EXCEPTION 'lost' USING ERRCODE = '{code}'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER lose BEFORE INSERT OR UPDATE ON session FOR EACH ROW EXECUTE FUNCTION lose();
"""


@pytest.mark.parametrize("code", ["40001", "40P01"])
async def test_a_race_lost_at_every_third_write_reaches_no_caller(
    postgres: Postgres, postgres_url: str, code: str
) -> None:
    database = open_database(postgres_url, budget=BUDGET)
    session, _ = await signed_in(database)
    administrator = await asyncpg.connect(postgres.dsn(str(parsed(postgres_url).database)))
    await administrator.execute(_EVERY_THIRD_FAILS.format(period=3, condition="= 0", code=code))

    for number in range(300 if code == "40001" else 20):
        successor = successor_of(session)
        run = database.autocommit if number % 2 else database.transaction
        assert await run(partial(sessions.rotate, successor=successor, by=uuid4()))
        session = successor

    tried = await administrator.fetchval("SELECT last_value FROM writes")
    assert tried > (400 if code == "40001" else 25)
    await administrator.close()
    await database.close()


async def test_a_race_lost_every_time_is_unavailable_after_four_attempts(postgres: Postgres, postgres_url: str) -> None:
    database = open_database(postgres_url, budget=BUDGET)
    session, _ = await signed_in(database)
    administrator = await asyncpg.connect(postgres.dsn(str(parsed(postgres_url).database)))
    await administrator.execute(_EVERY_THIRD_FAILS.format(period=1, condition="= 0", code="40001"))

    with pytest.raises(DatabaseUnavailable):
        await database.autocommit(lambda connection: sessions.rotate(connection, successor_of(session), by=uuid4()))

    assert await administrator.fetchval("SELECT last_value FROM writes") == door.MOST_ATTEMPTS
    # It lost races, it was not away: nobody else is refused.
    assert await outcome(database) == "written"
    await administrator.close()
    await database.close()


async def test_a_table_that_a_migration_changed_under_a_prepared_statement_is_read_again(
    postgres: Postgres, postgres_url: str
) -> None:
    database = open_database(postgres_url, connections=1, budget=BUDGET)
    session, _ = await signed_in(database)
    administrator = await asyncpg.connect(postgres.dsn(str(parsed(postgres_url).database)))
    await database.transaction(lambda connection: sessions.find(connection, session.id))

    await administrator.execute("ALTER TABLE person ALTER COLUMN username TYPE varchar(500)")

    assert await database.transaction(lambda connection: sessions.find(connection, session.id)) is not None
    await administrator.close()
    await database.close()


async def test_a_writer_in_another_process_is_waited_out_on_sqlite(sqlite_url: str) -> None:
    database = open_database(sqlite_url, budget=timedelta(seconds=10))
    await written(database)
    other = sqlite3.connect(str(parsed(sqlite_url).database), isolation_level=None)
    lost = asyncio.Event()
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO staff (user_number) VALUES (77)")

    async def let_go() -> None:
        await lost.wait()
        other.execute("COMMIT")

    async def step(connection: Connection) -> bool:
        return await staff.add(connection, 78)

    class Watched:
        """The driver, and a bell that rings when it loses its first race."""

        def __init__(self) -> None:
            self._driver = database._driver

        @contextlib.asynccontextmanager
        async def connection(self, **terms: Any) -> AsyncIterator[Connection]:
            try:
                async with self._driver.connection(**terms) as connection:
                    yield connection
            except LostRace:
                lost.set()
                raise

        now = close = None  # Not used here.

    letting_go = asyncio.create_task(let_go())
    watched = Database(Watched(), budget=timedelta(seconds=10))  # type: ignore[arg-type]  # see there

    assert await watched.transaction(step)
    await letting_go
    assert await database.autocommit(staff.listed) == (77, 78)
    other.close()
    await database.close()


async def test_a_writer_that_never_lets_go_makes_sqlite_unavailable_and_reading_goes_on(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth_service.storage.sqlite.BUSY_TIMEOUT", timedelta(milliseconds=20))
    first = open_database(sqlite_url, budget=BUDGET)
    await written(first)
    await first.close()
    other = sqlite3.connect(str(parsed(sqlite_url).database), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    # Also one who opens the file only now.
    database = open_database(sqlite_url, budget=BUDGET)

    assert await outcome(database) == "unavailable"
    assert await database.autocommit(staff.listed) == ()

    other.execute("COMMIT")
    assert await outcome(database) == "written"
    other.close()
    await database.close()


async def test_a_locked_sqlite_file_can_be_opened_once_it_is_free(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth_service.storage.sqlite.BUSY_TIMEOUT", timedelta(milliseconds=20))
    other = sqlite3.connect(str(parsed(sqlite_url).database), isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    database = open_database(sqlite_url, budget=BUDGET)

    assert await outcome(database) == "unavailable"

    other.close()
    assert await outcome(database) == "written"
    await database.close()


async def test_a_full_disk_is_unavailable_and_half_writes_nothing(sqlite_url: str) -> None:
    database = open_database(sqlite_url, budget=BUDGET)
    await written(database)
    driver = database._driver

    def pragma(text: str) -> None:
        connection: sa.Connection = driver._connection  # type: ignore[attr-defined]  # SQLite's own
        connection.exec_driver_sql(f"PRAGMA {text}")

    async def fill(connection: Connection) -> None:
        await staff.add(connection, 1)
        for number in range(2, 5000):
            await staff.add(connection, number)

    pragma("max_page_count = 1")  # SQLite takes this as "as many as there are".
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            await database.transaction(fill)
    assert await database.autocommit(staff.listed) == ()
    pragma("max_page_count = 100000")

    await until_written(database)
    await database.close()


async def test_a_session_of_nobody_is_a_defect_and_no_taken_key(database: Database) -> None:
    session, _ = await signed_in(database)
    of_nobody = replace(session, id=uuid4(), person_id=uuid4())

    with pytest.raises(Exception, match=r"(?i)foreign key") as defect:
        await database.transaction(lambda connection: sessions.add(connection, of_nobody))
    with pytest.raises(UniqueViolated):
        await database.transaction(lambda connection: sessions.add(connection, session))

    assert not isinstance(defect.value, (UniqueViolated, AuthError))
    assert await outcome(database) == "written"


@pytest.mark.skipif(not available(), reason=available().reason)
async def test_many_steps_at_once_through_a_transaction_pooling_pgbouncer(
    postgres: Postgres, postgres_url: str
) -> None:
    with PgBouncer(postgres, pool_size=2) as pooled:
        database = open_database(
            pooled.url(str(parsed(postgres_url).database)), connections=8, caches_statements=False, budget=BUDGET
        )
        session, person = await signed_in(database)

        async def caller(number: int) -> bool:
            await database.autocommit(lambda connection: staff.add(connection, number))
            found = await database.autocommit(lambda connection: sessions.find(connection, session.id))
            await database.transaction(
                lambda connection: roles.add(connection, f"r{number}", level=number, description="", now=NOON)
            )
            await database.transaction(lambda connection: people.grant(connection, person.id, f"r{number}", now=NOON))
            return found is not None and found[0] == session

        assert all(await asyncio.gather(*map(caller, range(1, 101))))
        assert await database.autocommit(staff.listed) == tuple(range(1, 101))
        await database.close()
