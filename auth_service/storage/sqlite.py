"""SQLite, for the embedded profile: one file, one connection, one step at a time."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import StaticPool

from auth_service.storage.database import Busy, Connection, Gone, LostRace, Row, Statement, UniqueViolated
from auth_service.storage.private_file import make_private

BUSY_TIMEOUT = timedelta(milliseconds=500)
"""How long SQLite waits for another process, such as the command line, before a step counts as a lost race."""

_PRAGMAS = ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON")
_UNIQUE_VIOLATED = (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
_LOST_RACE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_GONE = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
)


class SqliteConnection:
    """The one connection, lent to one step."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def rows(self, statement: Statement, **values: Any) -> Sequence[Row]:
        with _told_apart():
            result = await self._connection.execute(statement.executable, values)
        return result.mappings().all()

    async def row(self, statement: Statement, **values: Any) -> Row | None:
        with _told_apart():
            result = await self._connection.execute(statement.executable, values)
        return result.mappings().first()

    async def run(self, statement: Statement, **values: Any) -> int:
        with _told_apart():
            result = await self._connection.execute(statement.executable, values)
        return result.rowcount

    async def tell(self, topic: str) -> None:
        """Nobody listens: the other processes that use the file poll."""


class Sqlite:
    """The database in `path`, which is made private (0600) if it is new and refused if others may read it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = create_async_engine(
            sa.URL.create("sqlite+aiosqlite", database=str(path)),
            poolclass=StaticPool,
            isolation_level="AUTOCOMMIT",
            # A statement that fails is written to the log, and its parameters may be a password's hash.
            hide_parameters=True,
            connect_args={"timeout": BUSY_TIMEOUT.total_seconds()},
        )
        self._connection: AsyncConnection | None = None
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def connection(self, *, in_transaction: bool, budget: timedelta) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout(budget.total_seconds()):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Busy from error
        try:
            with _told_apart():
                connection = await self._opened()
                if not in_transaction:
                    yield SqliteConnection(connection)
                    return
                # Taking the write lock first means that a transaction never finds, halfway, that another was faster.
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
                try:
                    yield SqliteConnection(connection)
                    await connection.exec_driver_sql("COMMIT")
                except BaseException:
                    # A full disk makes SQLite roll back by itself; then there is nothing left to roll back.
                    with suppress(sa.exc.OperationalError):
                        await connection.exec_driver_sql("ROLLBACK")
                    raise
        finally:
            self._turn.release()

    async def _opened(self) -> AsyncConnection:
        if self._connection is None:
            await asyncio.to_thread(make_private, self._path)
            connection = await self._engine.connect()
            try:
                for pragma in _PRAGMAS:
                    await connection.exec_driver_sql(f"PRAGMA {pragma}")
            except BaseException:
                # Turning to WAL needs the file for a moment, and another process may hold it.
                await connection.close()
                await self._engine.dispose()
                raise
            self._connection = connection
        return self._connection

    async def listen(self, heard: Callable[[str], None]) -> None:
        """There is nobody else to hear."""

    async def now(self, connection: Connection) -> datetime:
        """This machine's clock: the database has no other."""
        return datetime.now(UTC)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
        await self._engine.dispose()


@contextmanager
def _told_apart() -> Iterator[None]:
    """SQLite's errors as the three that a step knows."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        code = getattr(error.orig, "sqlite_errorcode", 0)
        name = getattr(error.orig, "sqlite_errorname", "")
        if code in _UNIQUE_VIOLATED:
            raise UniqueViolated(str(error.orig)) from error
        # The lower byte is the kind, the rest of the code says more.
        if code & 0xFF in _LOST_RACE:
            raise LostRace(name) from error
        if code & 0xFF in _GONE:
            raise Gone(name) from error
        raise
