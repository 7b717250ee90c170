"""A million people, straight into the tables: what the doors would take hours for."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from auth_service.domain.emails import email_key
from auth_service.domain.names import name_key

PEOPLE = 1_000_000
_FIRST = datetime(2020, 1, 1, tzinfo=UTC)
_HASH = "$argon2id$v=19$m=19456,t=5,p=1$" + "c2FsdHNhbHRzYWx0c2FsdA" + "$" + "a" * 43
_PERSON = (
    *("id", "provider", "provider_subject", "username", "username_key", "display_name", "email", "email_key"),
    *("user_number", "provider_roles", "provider_checked_at", "created_at", "last_login_at"),
)
_ACCOUNT = ("person_id", "password_hash", "password_changed_at")


def people(count: int) -> Iterator[tuple[UUID, datetime, tuple[object, ...]]]:
    """Id, moment, and the rest of a row of `_PERSON` without the moments; a second lies between two people."""
    # Keys are of plain names here, so that one of each kind tells how all are made.
    assert (name_key("ada.lovelace17"), email_key("ada17@example.org")) == ("ada.lovelace17", "ada17@example.org")
    for number in range(count):
        person_id = uuid4()
        name, email = f"ada.lovelace{number:07}", f"ada{number:07}@example.org"
        moment = _FIRST + timedelta(seconds=number)
        yield (
            person_id,
            moment,
            ("local", str(person_id), name, name, f"Ada Lovelace {number}", email, email, number + 1, "[]"),
        )


async def fill_postgres(dsn: str, count: int = PEOPLE) -> int:
    """By COPY; the bytes that the database takes afterwards."""
    connection = await asyncpg.connect(dsn)
    try:
        crowd = list(people(count))
        await connection.copy_records_to_table(
            "person",
            records=((person_id, *rest, moment, moment, moment) for person_id, moment, rest in crowd),
            columns=_PERSON,
        )
        await connection.copy_records_to_table(
            "local_account",
            records=((person_id, _HASH, moment) for person_id, moment, _ in crowd),
            columns=_ACCOUNT,
        )
        await connection.execute("VACUUM ANALYZE")
        size: int = await connection.fetchval("SELECT pg_database_size(current_database())")
        return size
    finally:
        await connection.close()


def fill_sqlite(path: Path, count: int = PEOPLE) -> int:
    """By executemany; the bytes that the database takes afterwards."""
    with closing(sqlite3.connect(path)) as connection, connection:
        crowd = list(people(count))
        connection.executemany(
            _insert("person", _PERSON),
            ((person_id.hex, *rest, *[_spelt(moment)] * 3) for person_id, moment, rest in crowd),
        )
        connection.executemany(
            _insert("local_account", _ACCOUNT),
            ((person_id.hex, _HASH, _spelt(moment)) for person_id, moment, _ in crowd),
        )
    return path.stat().st_size


def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def _spelt(moment: datetime) -> str:
    """As SQLAlchemy writes it."""
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"
