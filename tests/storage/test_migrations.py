"""Migrations on both databases: what they lead to, and the `staff` table of the service before us (row A20)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory

from auth_service.storage import migrate, staff
from auth_service.storage.database import Connection, Statement
from auth_service.storage.opening import open_database, parsed
from tests.conftest import BUDGET
from tests.support.pgbouncer import PgBouncer, available
from tests.support.ports import port_of, reserve_port
from tests.support.postgres import Postgres


@pytest.fixture
async def empty_postgres_url(postgres: Postgres, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    await postgres.create_database(request.node.name)
    yield f"{postgres.url()}".removesuffix("postgres") + request.node.name
    await postgres.drop_database(request.node.name)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    url: str = request.getfixturevalue("empty_postgres_url")
    return url


@pytest.mark.row("B15", "E18")
async def test_migrating_twice_leads_to_the_tables_of_the_schema(empty_url: str) -> None:
    assert not await migrate.is_current(empty_url)

    await migrate.upgrade(empty_url)
    await migrate.upgrade(empty_url)

    assert await migrate.is_current(empty_url)
    await migrate.check(empty_url)


def test_head_is_alembics_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))

    assert ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]


async def execute(url: str, *statements: str) -> None:
    async def step(connection: Connection) -> None:
        for statement in statements:
            await connection.run(Statement(sa.text(statement)))  # type: ignore[arg-type]  # tables of nobody here

    database = open_database(url, budget=BUDGET)
    await database.transaction(step)
    await database.close()


async def test_the_version_of_another_service_in_the_same_database_is_left_alone(empty_url: str) -> None:
    await execute(
        empty_url, "CREATE TABLE alembic_version (version_num TEXT)", "INSERT INTO alembic_version VALUES ('theirs')"
    )
    assert not await migrate.is_current(empty_url)

    await migrate.upgrade(empty_url)

    assert await migrate.is_current(empty_url)
    await migrate.check(empty_url)
    theirs = Statement(sa.select(sa.column("version_num")).select_from(sa.table("alembic_version")))
    database = open_database(empty_url, budget=BUDGET)
    rows = await database.autocommit(lambda connection: connection.rows(theirs))
    assert [row["version_num"] for row in rows] == ["theirs"]
    await database.close()


async def test_a_database_of_a_newer_release_is_refused_in_one_line(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    await execute(empty_url, "UPDATE auth_alembic_version SET version_num = '9999'")

    assert not await migrate.is_current(empty_url)
    with pytest.raises(migrate.DatabaseRefused, match=r"^the database cannot be migrated, .* newer release.*'9999'.*$"):
        await migrate.upgrade(empty_url)


async def test_asking_whether_it_is_current_waits_for_nobody_who_changes_it(empty_url: str) -> None:
    await migrate.upgrade(empty_url)
    database = open_database(empty_url, budget=BUDGET)
    is_postgres = parsed(empty_url).get_backend_name() == "postgresql"

    async def step(connection: Connection) -> bool:
        if is_postgres:
            await connection.row(Statement(sa.select(sa.func.pg_advisory_xact_lock(migrate._TURN))))
        await staff.add(connection, 7)
        return await asyncio.wait_for(migrate.is_current(empty_url), 2)

    assert await database.transaction(step)
    await database.close()


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    file = tmp_path / "auth.sqlite3"
    file.touch(mode=0o600)
    file.write_text("no database, and longer than the header of one is: " * 9)

    with pytest.raises(migrate.DatabaseRefused, match=f"^the database {file}: file is not a database$"):
        await migrate.upgrade(f"sqlite:///{file}")


async def test_a_server_that_does_not_answer_is_given_up_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "CONNECT_WITHIN", timedelta(milliseconds=100))
    with reserve_port() as silent:
        silent.listen()

        with pytest.raises(migrate.DatabaseRefused, match=r"^the database: TimeoutError$"):
            await asyncio.wait_for(migrate.upgrade(f"postgresql://auth@127.0.0.1:{port_of(silent)}/auth"), 10)


async def test_replicas_that_migrate_at_once_take_turns(empty_url: str) -> None:
    await asyncio.gather(*(migrate.upgrade(empty_url) for _ in range(4)))

    await migrate.check(empty_url)


_LEGACY = """
    CREATE TABLE staff (id SERIAL PRIMARY KEY, user_number INTEGER {constraint});
    CREATE INDEX ix_staff_id ON staff (id);
    CREATE TABLE reduction (id SERIAL PRIMARY KEY, staff_id INTEGER REFERENCES staff (id));
    INSERT INTO staff (user_number) VALUES (12), (7), (2147483647){rest};
"""


@pytest.mark.row("A20")
@pytest.mark.parametrize(
    ("constraint", "rest"),
    [("", ", (12), (NULL), (7)"), ("UNIQUE", ""), ("NOT NULL UNIQUE", "")],
    ids=["as it was", "unique", "unique and not null"],
)
async def test_the_staff_of_the_service_before_us_is_taken_over(postgres: Postgres, constraint: str, rest: str) -> None:
    await postgres.drop_database("fia")
    await postgres.create_database("fia")
    legacy = await asyncpg.connect(postgres.dsn("fia"))
    await legacy.execute(_LEGACY.format(constraint=constraint, rest=rest))

    await migrate.upgrade(postgres.url("fia"))

    await migrate.check(postgres.url("fia"))
    # What had been there first is kept, with its number, and others' tables still point at it.
    kept = [tuple(row) for row in await legacy.fetch("SELECT id, user_number FROM staff ORDER BY id")]
    assert kept == [(1, 12), (2, 7), (3, 2147483647)]
    await legacy.execute("INSERT INTO reduction (staff_id) VALUES (2)")
    database = open_database(postgres.url("fia"), budget=BUDGET)
    assert await database.autocommit(lambda connection: staff.add(connection, 2**40))
    assert not await database.autocommit(lambda connection: staff.add(connection, 12))
    assert await database.autocommit(staff.listed) == (7, 12, 2147483647, 2**40)
    await database.close()
    await legacy.close()
    await postgres.drop_database("fia")


async def test_a_migration_that_cannot_have_its_lock_gives_up_and_leaves_nothing(
    postgres: Postgres, empty_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "50ms")
    name = str(parsed(empty_postgres_url).database)
    legacy = await asyncpg.connect(postgres.dsn(name))
    await legacy.execute("CREATE TABLE staff (id SERIAL PRIMARY KEY, user_number INTEGER)")
    async with legacy.transaction():
        await legacy.execute("LOCK TABLE staff")

        with pytest.raises(Exception, match="lock timeout"):
            await migrate.upgrade(empty_postgres_url)

    assert await legacy.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 1
    await migrate.upgrade(empty_postgres_url)
    await legacy.close()


@pytest.mark.row("A20")
@pytest.mark.skipif(not available(), reason=available().reason)
async def test_migrations_run_through_a_transaction_pooling_pgbouncer(
    postgres: Postgres, empty_postgres_url: str
) -> None:
    with PgBouncer(postgres, pool_size=2) as pooled:
        url = pooled.url(str(parsed(empty_postgres_url).database))

        await asyncio.gather(migrate.upgrade(url), migrate.upgrade(url))

        await migrate.check(url)
