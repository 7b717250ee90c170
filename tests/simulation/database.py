"""One database for all replicas: real SQL on SQLite in memory, behind connections on which anything may go wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from random import Random
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from auth_service.storage.database import Connection, Gone, LostRace, Row, Statement, UniqueViolated
from auth_service.storage.schema import metadata
from tests.simulation.loop import Process

BEGINNING = datetime(2026, 11, 22, tzinfo=UTC)


class Weather(IntEnum):
    """How the way to the database is, from good to bad."""

    FINE = 0
    SLOW = 1
    RACES = 2
    """Transactions are rolled back for one another's sake."""
    FORGETS = 3
    """Changes are made, and their answers lost."""
    REFUSES = 4
    HANGS = 5

    @property
    def is_away(self) -> bool:
        return self >= Weather.REFUSES


class DatabaseServer:
    """Transactions come one after another, as if they were serializable; other statements come between them."""

    def __init__(self, random: Random, *, committed: Callable[[], None]) -> None:
        self._engine = sa.create_engine("sqlite+pysqlite://", poolclass=StaticPool, isolation_level="AUTOCOMMIT")
        self._connection = self._engine.connect()
        metadata.create_all(self._connection)
        self._connection.exec_driver_sql("PRAGMA foreign_keys = ON")
        self._committed = committed
        self._listeners: dict[DatabaseLink, Callable[[str], None]] = {}
        self.random = random
        self.turn = asyncio.Lock()
        self.weather = Weather.FINE
        self.ahead = timedelta(0)
        """Of true time, is its clock."""
        self.statements = 0

    def now(self, moment: float) -> datetime:
        return BEGINNING + timedelta(seconds=moment) + self.ahead

    def execute(self, statement: Statement, values: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> "_Result":
        self.statements += 1
        try:
            result = self._connection.execute(statement.executable, values)
        except sa.exc.IntegrityError as error:
            raise UniqueViolated(str(error.orig)) from error
        return _Result(result.mappings().all() if result.returns_rows else (), result.rowcount)

    def look(self, query: sa.Select[Any]) -> Sequence[Row]:
        """What is there now, for who judges the world and has no part in it."""
        return self._connection.execute(query).mappings().all()

    def begin(self) -> None:
        self._connection.exec_driver_sql("BEGIN")

    def commit(self, topics: Sequence[str]) -> None:
        self._connection.exec_driver_sql("COMMIT")
        self._committed()
        for topic in topics:
            for link, heard in list(self._listeners.items()):
                link.notify(topic, heard)

    def roll_back(self) -> None:
        self._connection.exec_driver_sql("ROLLBACK")

    @asynccontextmanager
    async def listening(self, link: "DatabaseLink", heard: Callable[[str], None]) -> AsyncIterator[None]:
        self._listeners[link] = heard
        try:
            yield
        finally:
            del self._listeners[link]

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


@dataclass(frozen=True, slots=True)
class _Result:
    rows: Sequence[Row]
    changed: int


class DatabaseLink:
    """A process's way to the server: what `Database` takes for its driver."""

    chains = False

    def __init__(self, server: DatabaseServer, process: Process) -> None:
        self.server = server
        self.process = process
        self.own_weather = Weather.FINE
        self.failing: frozenset[Statement] = frozenset()
        """These alone fail here, as where a table is locked or a privilege is missing."""

    @property
    def weather(self) -> Weather:
        return max(self.own_weather, self.server.weather)

    @asynccontextmanager
    async def connection(
        self, *, in_transaction: bool, within: timedelta, budget: timedelta
    ) -> AsyncIterator[Connection]:
        deadline = asyncio.get_running_loop().time() + budget.total_seconds()
        if not in_transaction:
            yield SimulatedConnection(self, deadline, in_transaction=False)
            return
        await self.there(deadline)
        self.process.reaches("begin")
        async with self.turn(deadline):
            self.server.begin()
            try:
                lent = SimulatedConnection(self, deadline, in_transaction=True)
                yield lent
                await self.there(deadline)
                self.process.reaches("commit")
                if self.weather is Weather.RACES and self.server.random.random() < 0.4:
                    raise LostRace("could not serialize access")
            except BaseException:
                self.server.roll_back()
                raise
            self.server.commit(lent.topics)
        self.process.reaches("committed")
        await self.and_back(deadline, changed=True)

    async def now(self, connection: Connection) -> datetime:
        assert isinstance(connection, SimulatedConnection)
        return await connection.now()

    async def listen(self, heard: Callable[[str], None]) -> None:
        async with self.server.listening(self, heard):
            await asyncio.Event().wait()

    async def close(self) -> None:
        pass

    def notify(self, topic: str, heard: Callable[[str], None]) -> None:
        """A tenth of what is told is lost, and all of it in bad weather."""
        if not self.weather.is_away and self.server.random.random() < 0.9:
            asyncio.get_running_loop().call_later(self.server.random.uniform(0.001, 0.05), heard, topic)

    async def there(self, deadline: float) -> None:
        """Raises Gone: nothing was done."""
        weather, random = self.weather, self.server.random
        if weather is Weather.REFUSES:
            raise Gone("connection refused")
        takes = random.uniform(0.05, 0.4) if weather is Weather.SLOW else 0.003 * random.random()
        left = deadline - asyncio.get_running_loop().time()
        if weather is Weather.HANGS or takes > left:
            await asyncio.sleep(max(0.0, left))
            raise Gone("no answer in time")
        await asyncio.sleep(takes)
        if self.weather >= Weather.REFUSES:
            raise Gone("connection reset")

    async def and_back(self, deadline: float, *, changed: bool) -> None:
        """Raises Gone: it was done all the same."""
        weather = self.weather
        if weather is Weather.FINE:
            return
        if weather is Weather.FORGETS and changed:
            await asyncio.sleep(self.server.random.uniform(0.0, 0.3))
            raise Gone("connection reset")
        await self.there(deadline)

    @asynccontextmanager
    async def turn(self, deadline: float) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout_at(deadline):
                await self.server.turn.acquire()
        except TimeoutError:
            raise Gone("no answer in time") from None
        try:
            yield
        finally:
            self.server.turn.release()


class SimulatedConnection:
    """What a step is lent. Outside of a transaction each statement waits for its turn, and is committed by itself."""

    chains = False

    def __init__(self, link: DatabaseLink, deadline: float, *, in_transaction: bool) -> None:
        self._link = link
        self._deadline = deadline
        self._in_transaction = in_transaction
        self.topics: list[str] = []

    async def rows(self, statement: Statement, **values: Any) -> Sequence[Row]:
        return (await self._execute(statement, values)).rows

    async def row(self, statement: Statement, **values: Any) -> Row | None:
        return next(iter(await self.rows(statement, **values)), None)

    async def run(self, statement: Statement, **values: Any) -> int:
        return (await self._execute(statement, values)).changed

    async def run_many(self, statement: Statement, many: Sequence[Mapping[str, Any]]) -> None:
        if many:
            await self._execute(statement, many)

    async def tell(self, topic: str) -> None:
        assert self._in_transaction
        self.topics.append(topic)

    async def now(self) -> datetime:
        await self._link.there(self._deadline)
        moment = self._link.server.now(asyncio.get_running_loop().time())
        await self._link.and_back(self._deadline, changed=False)
        return moment

    async def _execute(self, statement: Statement, values: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> _Result:
        link, server = self._link, self._link.server
        await link.there(self._deadline)
        if statement in link.failing:
            raise Gone("permission denied")
        link.process.reaches("statement")
        if self._in_transaction:
            return server.execute(statement, values)
        if server.turn.locked():
            async with link.turn(self._deadline):
                pass
        result = server.execute(statement, values)
        link.process.reaches("executed")
        await link.and_back(self._deadline, changed=result.changed > 0)
        return result
