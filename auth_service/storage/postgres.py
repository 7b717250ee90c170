"""PostgreSQL: statements compiled once by SQLAlchemy go straight to a pooled asyncpg connection.

SQLAlchemy's own execution costs more than the query itself here (docs/decisions/0003).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from auth_service.storage.database import Busy, Connection, Gone, LostRace, Row, Statement, UniqueViolated

CONNECT_WITHIN = timedelta(seconds=2)
HANG_UP_WITHIN = timedelta(seconds=1)
IDLE_CONNECTION_LIFETIME = timedelta(minutes=5)
LISTEN_AGAIN_AFTER = timedelta(seconds=5)
CHANNEL = "auth_service"

_LOST_RACE = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    # A migration changed the table since the statement was prepared; asyncpg has forgotten the statement by now.
    asyncpg.InvalidCachedStatementError,
)
# Not InterfaceError as a whole: a wrong argument type is a defect of ours, and it is one of those.
_GONE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.QueryCanceledError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.exceptions.InternalClientError,
)
_now = Statement(sa.select(sa.func.clock_timestamp().label("now")))


class _Session(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    def get_reset_query(self) -> str:
        """Nothing: no step changes a session's state, and the question would cost a round trip for each step."""
        return ""


class PostgresConnection:
    """One asyncpg connection for one step."""

    def __init__(self, connection: asyncpg.Connection, dialect: sa.Dialect) -> None:
        self._connection = connection
        self._dialect = dialect

    async def rows(self, statement: Statement, **values: Any) -> Sequence[Row]:
        text, arguments = statement.positional(self._dialect, values)
        with _told_apart(self._connection):
            rows: Sequence[Row] = await self._connection.fetch(text, *arguments)
        return rows

    async def row(self, statement: Statement, **values: Any) -> Row | None:
        text, arguments = statement.positional(self._dialect, values)
        with _told_apart(self._connection):
            row: Row | None = await self._connection.fetchrow(text, *arguments)
        return row

    async def run(self, statement: Statement, **values: Any) -> int:
        text, arguments = statement.positional(self._dialect, values)
        with _told_apart(self._connection):
            tag: str = await self._connection.execute(text, *arguments)
        count = tag.rpartition(" ")[2]
        return int(count) if count.isdigit() else 0

    async def tell(self, topic: str) -> None:
        with _told_apart(self._connection):
            await self._connection.execute("SELECT pg_notify($1, $2)", CHANNEL, topic)


class Postgres:
    """A pool of at most `connections`. `caches_statements` is off behind a transaction-pooling PgBouncer.

    Connections are made when first needed, so the service starts, and serves what it can, without the database.
    """

    def __init__(self, url: sa.URL, *, connections: int, caches_statements: bool) -> None:
        self._dialect: sa.Dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
        self._dsn = dsn_of(url)
        self._caches_statements = caches_statements
        self._pool = asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=connections,
            max_inactive_connection_lifetime=IDLE_CONNECTION_LIFETIME.total_seconds(),
            timeout=CONNECT_WITHIN.total_seconds(),
            statement_cache_size=100 if caches_statements else 0,
            connection_class=_Session,
        )
        self._opening = asyncio.Lock()
        self._is_open = False

    @asynccontextmanager
    async def connection(self, *, in_transaction: bool, budget: timedelta) -> AsyncIterator[Connection]:
        try:
            await self._open()
            # Not by `acquire`'s own timeout, which costs a task for each step.
            async with asyncio.timeout(budget.total_seconds()):
                connection = await self._pool.acquire()
        except TimeoutError as error:
            raise Busy from error
        except (*_GONE, asyncpg.PostgresError) as error:
            raise Gone(type(error).__name__) from error
        # Cancelling a query waits for the server's consent, which a frozen server never gives. Hanging up needs none.
        cut = asyncio.get_running_loop().call_later(budget.total_seconds(), _hang_up, connection)
        try:
            step = PostgresConnection(connection, self._dialect)
            with _told_apart(connection):
                # PgBouncer may change the server between preparing a statement and running it, unless a transaction
                # holds on to one.
                if in_transaction or not self._caches_statements:
                    async with connection.transaction():
                        yield step
                else:
                    yield step
        finally:
            # What was committed stays committed, however the connection goes back; a broken one is thrown away.
            with suppress(*_GONE, asyncpg.InterfaceError):
                await self._pool.release(connection)
            cut.cancel()

    async def _open(self) -> None:
        if self._is_open:
            return
        async with self._opening:
            if not self._is_open:
                await self._pool
                self._is_open = True

    async def now(self, connection: Connection) -> datetime:
        row = await connection.row(_now)
        assert row is not None
        moment: datetime = row["now"]
        return moment.astimezone(UTC)

    async def listen(self, heard: Callable[[str], None]) -> None:
        """On a connection of its own, made again when it is lost. Not through a PgBouncer, which delivers nothing."""
        while self._caches_statements:
            with suppress(*_GONE, asyncpg.PostgresError, asyncpg.InterfaceError):
                await self._listen_once(heard)
            await asyncio.sleep(LISTEN_AGAIN_AFTER.total_seconds())

    async def _listen_once(self, heard: Callable[[str], None]) -> None:
        lost = asyncio.Event()
        connection = await asyncpg.connect(self._dsn, timeout=CONNECT_WITHIN.total_seconds())
        try:
            connection.add_termination_listener(lambda _connection: lost.set())
            await connection.add_listener(CHANNEL, lambda _connection, _pid, _channel, topic: heard(topic))
            await lost.wait()
        finally:
            connection.terminate()

    async def close(self) -> None:
        if self._is_open:
            # On a timeout the pool cuts what is left.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._pool.close(), HANG_UP_WITHIN.total_seconds())


def dsn_of(url: sa.URL) -> str:
    """`url` as asyncpg reads it: with libpq's words, of which SQLAlchemy spells `sslmode` as `ssl`."""
    query = {"sslmode" if key == "ssl" else key: value for key, value in url.query.items()}
    return url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)


@contextmanager
def _told_apart(connection: asyncpg.Connection) -> Iterator[None]:
    """asyncpg's errors as the three that a step knows."""
    try:
        yield
    except asyncpg.UniqueViolationError as error:
        raise UniqueViolated(error.constraint_name or "") from error
    except asyncpg.IntegrityConstraintViolationError as error:
        # A defect of ours, which is written to the log, and the detail is the whole row: with a password's hash.
        error.detail = None
        raise
    except _LOST_RACE as error:
        raise LostRace(type(error).__name__) from error
    except asyncpg.ReadOnlySQLTransactionError as error:
        # After a failover this connection may lead to the old primary for ever; the next one asks the way again.
        _hang_up(connection)
        raise Gone("read-only") from error
    except _GONE as error:
        raise Gone(type(error).__name__) from error
    except asyncpg.InterfaceError as error:
        if _is_closed(connection):
            raise Gone("cut") from error
        raise


def _is_closed(connection: asyncpg.Connection) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True  # The pool takes a connection back as soon as it is cut, and then answers no question about it.


def _hang_up(connection: asyncpg.Connection) -> None:
    with suppress(asyncpg.InterfaceError):
        connection.terminate()
