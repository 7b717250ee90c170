"""PostgreSQL: statements compiled once by SQLAlchemy go straight to an asyncpg connection out of our own pool.

SQLAlchemy's own execution costs more than the query itself here (docs/decisions/0003).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from auth_service.storage.database import Busy, Connection, Gone, LostRace, Row, Statement, UniqueViolated
from auth_service.storage.pool import Pool, hang_up

CONNECT_WITHIN = timedelta(seconds=2)
ANSWERS_WITHIN = timedelta(seconds=2)
HANG_UP_WITHIN = timedelta(seconds=1)
LISTEN_AGAIN_AFTER = timedelta(seconds=5)
LISTENING_CHECKED_EVERY = timedelta(seconds=30)
"""Whoever only listens does not notice that the server, or the way to it, is gone without a word."""
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


class PostgresConnection:
    """One asyncpg connection for one step."""

    chains = True

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

    async def run_many(self, statement: Statement, many: Sequence[Mapping[str, Any]]) -> None:
        if not many:
            return
        each = [statement.positional(self._dialect, values) for values in many]
        with _told_apart(self._connection):
            await self._connection.executemany(each[0][0], [arguments for _, arguments in each])

    async def tell(self, topic: str) -> None:
        with _told_apart(self._connection):
            await self._connection.execute("SELECT pg_notify($1, $2)", CHANNEL, topic)


class Postgres:
    """A pool of at most `connections`. `caches_statements` is off behind a transaction-pooling PgBouncer.

    Connections are made when first needed, so the service starts, and serves what it can, without the database.
    """

    chains = True

    def __init__(self, url: sa.URL, *, connections: int, caches_statements: bool) -> None:
        self._dialect: sa.Dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
        self._dsn = dsn_of(url)
        self._caches_statements = caches_statements
        self._pool = Pool(self._connected, size=connections)

    @asynccontextmanager
    async def connection(
        self, *, in_transaction: bool, within: timedelta, budget: timedelta
    ) -> AsyncIterator[Connection]:
        try:
            connection = await self._pool.lend(within=within)
        except TimeoutError as error:
            raise Busy from error
        except (*_GONE, asyncpg.PostgresError) as error:
            raise Gone(type(error).__name__) from error
        # Cancelling a query waits for the server's consent, which a frozen server never gives. Hanging up needs none.
        cut = asyncio.get_running_loop().call_later(budget.total_seconds(), hang_up, connection)
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
        except asyncio.CancelledError:
            # Nobody waits for the answer to what was asked last, and the next step must not be given it.
            hang_up(connection)
            raise
        finally:
            cut.cancel()
            self._pool.give_back(connection)

    async def _connected(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._dsn,
            timeout=CONNECT_WITHIN.total_seconds(),
            statement_cache_size=100 if self._caches_statements else 0,
        )

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
            await _answered(
                connection,
                connection.add_listener(CHANNEL, lambda _connection, _pid, _channel, topic: heard(topic)),
            )
            while not await _is_set(lost, within=LISTENING_CHECKED_EVERY):
                await _answered(connection, connection.execute("SELECT 1"))
        finally:
            connection.terminate()

    async def close(self) -> None:
        await self._pool.close(within=HANG_UP_WITHIN)


def dsn_of(url: sa.URL) -> str:
    """`url` as asyncpg reads it: with libpq's words, of which SQLAlchemy spells `sslmode` as `ssl`."""
    query = {"sslmode" if key == "ssl" else key: value for key, value in url.query.items()}
    return url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)


async def _answered(connection: asyncpg.Connection, question: Awaitable[object]) -> None:
    """Cuts the connection where it is not, as for a step."""
    cut = asyncio.get_running_loop().call_later(ANSWERS_WITHIN.total_seconds(), hang_up, connection)
    try:
        await question
    finally:
        cut.cancel()


async def _is_set(event: asyncio.Event, *, within: timedelta) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(within.total_seconds()):
            await event.wait()
    return event.is_set()


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
        hang_up(connection)
        raise Gone("read-only") from error
    except _GONE as error:
        raise Gone(type(error).__name__) from error
    except (asyncpg.InterfaceError, AttributeError) as error:
        # Hung up between two of its own messages, asyncpg asks None for the next one.
        if connection.is_closed():
            raise Gone("cut") from error
        raise
