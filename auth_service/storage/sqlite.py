"""SQLite, for the embedded profile: one file, one connection, one step at a time.

A statement that is stuck cannot be cut here: it runs in a thread, which nobody can end while the file system keeps it.
Its own caller waits for it, past the budget; those behind it are refused when theirs is spent.

A statement is executed and its rows are fetched in one go, in a thread of the database's own. aiosqlite goes there and
back for each of cursor, execute, fetch and close, and whoever holds the write lock waits for the loop each time: while
a crowd kept the loop busy, that was all that SQLite's one writer did.
"""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.pool import StaticPool

from auth_service.storage.database import Busy, Connection, Gone, LostRace, Row, Statement, UniqueViolated
from auth_service.storage.private_file import make_private

T = TypeVar("T")
log = structlog.get_logger()

BUSY_TIMEOUT = timedelta(milliseconds=500)
"""How long SQLite waits for another process, such as the command line, before a step counts as a lost race."""

STEP_WORTH_A_WORD = timedelta(seconds=5)
"""How far this machine's clock must have jumped for the log to say so."""

# Not `synchronous = NORMAL`: after a power failure it forgets the last commits. A logout would be undone, and a client
# would hold a refresh token that the database never heard of.
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
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

    chains = False

    def __init__(self, connection: sa.Connection, thread: Executor, *, begins: bool = False) -> None:
        self._connection = connection
        self._thread = thread
        self._begins = begins

    async def rows(self, statement: Statement, **values: Any) -> Sequence[Row]:
        return await self._executed(statement, values, lambda result: result.mappings().all())

    async def row(self, statement: Statement, **values: Any) -> Row | None:
        return await self._executed(statement, values, lambda result: result.mappings().first())

    async def run(self, statement: Statement, **values: Any) -> int:
        return await self._executed(statement, values, lambda result: result.rowcount)

    async def run_many(self, statement: Statement, many: Sequence[Mapping[str, Any]]) -> None:
        if many:
            await self._executed(statement, many, lambda result: None)

    async def tell(self, topic: str) -> None:
        """Nobody listens: the other processes that use the file poll."""

    async def _executed(
        self,
        statement: Statement,
        values: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        taken: Callable[[sa.CursorResult[Any]], T],
    ) -> T:
        def there() -> T:
            if self._begins:
                # Taking the write lock first means that a transaction never finds, halfway, that another was faster.
                self._connection.exec_driver_sql("BEGIN IMMEDIATE")
                self._begins = False
            return taken(self._connection.execute(statement.executable, values))

        with _told_apart():
            return await asyncio.get_running_loop().run_in_executor(self._thread, there)


def _since_boot() -> float:
    """Seconds that nobody sets; on Linux those in which the machine slept count as well."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Sqlite:
    """The database in `path`, which is made private (0600) if it is new and refused if others may read it."""

    chains = False

    def __init__(
        self, path: Path, *, wall: Callable[[], float] = time.time, since_boot: Callable[[], float] = _since_boot
    ) -> None:
        self._path = path
        self._wall, self._since_boot = wall, since_boot
        self._booted_at = wall() - since_boot()
        self._has_stepped = False
        self._engine = sa.create_engine(
            sa.URL.create("sqlite", database=str(path)),
            poolclass=StaticPool,
            isolation_level="AUTOCOMMIT",
            # A statement that fails is written to the log, and its parameters may be a password's hash.
            hide_parameters=True,
            connect_args={"timeout": BUSY_TIMEOUT.total_seconds(), "check_same_thread": False},
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection: sa.Connection | None = None
        self._turn = asyncio.Lock()
        self._is_closed = False

    @asynccontextmanager
    async def connection(
        self, *, in_transaction: bool, within: timedelta, budget: timedelta
    ) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout(within.total_seconds()):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Busy from error
        try:
            with _told_apart():
                connection = await self._opened()
                if not in_transaction:
                    yield SqliteConnection(connection, self._thread)
                    return
                try:
                    yield SqliteConnection(connection, self._thread, begins=True)
                    await self._there(_end, connection, "COMMIT")
                except BaseException:
                    with suppress(sa.exc.OperationalError):
                        await self._there(_end, connection, "ROLLBACK")
                    raise
        finally:
            self._turn.release()

    async def _there(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _opened(self) -> sa.Connection:
        if self._connection is None:
            await asyncio.to_thread(make_private, self._path)
            connection = await self._there(self._engine.connect)
            try:
                for pragma in _PRAGMAS:
                    await self._there(connection.exec_driver_sql, f"PRAGMA {pragma}")
            except BaseException:
                # Turning to WAL needs the file for a moment, and another process may hold it.
                await self._there(connection.close)
                await self._there(self._engine.dispose)
                raise
            self._connection = connection
        return self._connection

    async def listen(self, heard: Callable[[str], None]) -> None:
        """There is nobody else to hear."""

    async def now(self, connection: Connection) -> datetime:
        """This machine's clock as it was found at the start, and what has passed since: the database has no other.

        Asked anew it would bring its jumps along: one ahead would end every session, one back would revive what is
        over. Whoever set the clock on purpose starts the service again.
        """
        moment = self._booted_at + self._since_boot()
        step = self._wall() - moment
        has_stepped = abs(step) > STEP_WORTH_A_WORD.total_seconds()
        if has_stepped and not self._has_stepped:
            log.warning("sqlite.clock_stepped", seconds=round(step), hint="it is followed after a restart")
        self._has_stepped = has_stepped
        return datetime.fromtimestamp(moment, UTC)

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            if self._connection is not None:
                await self._there(self._connection.close)
            await self._there(self._engine.dispose)
            self._thread.shutdown(wait=False)


def _end(connection: sa.Connection, how: str) -> None:
    """Nothing where no transaction was begun, or where a full disk made SQLite roll back by itself."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    if raw.in_transaction:
        connection.exec_driver_sql(how)


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
