"""From an address to a door, and what is refused as an address."""

import asyncio
import stat
from pathlib import Path

import pytest

from auth_service.storage import migrate, people, staff
from auth_service.storage.database import Database
from auth_service.storage.opening import open_database, parsed
from auth_service.storage.postgres import dsn_of
from auth_service.storage.private_file import UnsafeFile
from tests.conftest import BUDGET


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:////var/auth.db", "sqlite:////var/auth.db"),
        ("sqlite+aiosqlite:///auth.db", "sqlite:///auth.db"),
        ("postgresql://ada@db:5433/fia", "postgresql+asyncpg://ada@db:5433/fia"),
        ("postgresql+asyncpg://ada:pw@db/fia", "postgresql+asyncpg://ada:pw@db/fia"),
    ],
)
def test_an_address_gets_the_drivers_of_this_service(given: str, expected: str) -> None:
    assert parsed(given).render_as_string(hide_password=False) == expected


@pytest.mark.parametrize(
    "given",
    [
        "", "auth.db", "mysql://ada:s3cret@db/fia", "postgresql+psycopg://ada:s3cret@db/fia", "postgres://ada@db/fia",
        "postgresql://ada:s3cret@db:port/fia", "sqlite://", "sqlite:///:memory:", "sqlite:///file:auth.db?uri=true",
    ],
)  # fmt: skip
def test_another_address_is_refused_without_repeating_its_password(given: str) -> None:
    with pytest.raises(ValueError, match=r"^database address: expected") as refused:
        open_database(given, budget=BUDGET)

    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "dsn"),
    [
        ("postgresql://ada@db/fia?ssl=require", "postgresql://ada@db/fia?sslmode=require"),
        ("postgresql://ada@db/fia?sslmode=verify-full", "postgresql://ada@db/fia?sslmode=verify-full"),
        ("postgresql://ada:p%40ss@/fia?host=/run/postgresql", "postgresql://ada:p%40ss@/fia?host=%2Frun%2Fpostgresql"),
    ],
)
def test_tls_and_unix_sockets_are_asked_for_in_the_words_of_libpq(url: str, dsn: str) -> None:
    assert dsn_of(parsed(url)) == dsn


@pytest.mark.parametrize("query", ["?sslmode=disable", "?ssl=disable", "?application_name=auth"])
async def test_an_address_with_a_query_connects(postgres_url: str, query: str) -> None:
    database = open_database(postgres_url + query, budget=BUDGET)

    assert await database.autocommit(staff.listed) == ()
    assert await migrate.is_current(postgres_url + query)
    await database.close()


async def test_a_migrated_sqlite_file_is_private_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "auth.db"

    await migrate.upgrade(f"sqlite:///{path}")

    assert modes(tmp_path) == {0o600}
    database = open_database(f"sqlite:///{path}", budget=BUDGET)
    await database.transaction(lambda connection: staff.add(connection, 1))
    assert modes(tmp_path) == {0o600}
    await database.close()


async def test_a_sqlite_file_that_others_may_read_is_refused(sqlite_url: str) -> None:
    await asyncio.to_thread(Path(parsed(sqlite_url).database or "").chmod, 0o640)
    database = open_database(sqlite_url, budget=BUDGET)

    with pytest.raises(UnsafeFile, match="mode 0640, expected 0600"):
        await database.autocommit(staff.listed)
    with pytest.raises(UnsafeFile):
        await migrate.upgrade(sqlite_url)
    await database.close()


async def test_a_forgotten_value_is_an_error_and_not_null(database: Database) -> None:
    with pytest.raises(Exception, match="person_id"):
        await database.autocommit(lambda connection: connection.row(people._find))
