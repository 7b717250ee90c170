"""The door to the database: a step runs to its end whatever happens to the caller, within its own budget.

A step is a function of a `Connection`. It runs in a task of its own: a caller that goes away neither cuts a statement
in two nor leaves a transaction open. When the budget is spent the connection is cut, not waited for, and the caller
gets DatabaseUnavailable. When steps keep failing, the next ones fail at once until one gets through.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.sql.compiler import SQLCompiler

from auth_service.domain.errors import DatabaseUnavailable, Overloaded

T = TypeVar("T")
Row = Mapping[Any, Any]
log = structlog.get_logger()

MOST_ATTEMPTS = 4
"""The first and three more, for transactions that lost a race in the database."""

FAILURES_UNTIL_SHUT = 3
SHUT_FOR = timedelta(milliseconds=500)
ABSENCES_REMEMBERED = 64

PATIENCE = timedelta(seconds=3)
"""How long a step waits for a connection while others get their answers: a queue that moves is no absence."""


class Statement:
    """A SQLAlchemy statement, compiled once for each dialect. Values are given by the names of its bind parameters."""

    def __init__(self, executable: sa.Select[Any] | sa.UpdateBase) -> None:
        self.executable = executable
        self._compiled: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}

    def positional(self, dialect: sa.Dialect, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """The SQL text with numbered placeholders, and the arguments in their order."""
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            made = self.executable.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
            assert isinstance(made, SQLCompiler)
            # A parameter that has to be given is none of them: forgotten, it is an error and not NULL.
            constants = {name: value for name, value in made.params.items() if not made.binds[name].required}
            compiled = self._compiled[dialect.name] = (str(made), tuple(made.positiontup or ()), constants)
        text, names, constants = compiled
        return text, [values[name] if name in values else constants[name] for name in names]


class Connection(Protocol):
    """What a step may do. Values are native: aware datetimes, UUIDs, bytes.

    `chains` where one statement may write to several tables (`WITH … AS (INSERT …)`).
    """

    @property
    def chains(self) -> bool: ...

    async def rows(self, statement: Statement, **values: Any) -> Sequence[Row]: ...

    async def row(self, statement: Statement, **values: Any) -> Row | None:
        """The first row, or None."""
        ...

    async def run(self, statement: Statement, **values: Any) -> int:
        """How many rows it changed."""
        ...

    async def run_many(self, statement: Statement, many: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each of the values, in one round trip however many there are."""
        ...

    async def tell(self, topic: str) -> None:
        """Tell whoever listens, once the step is committed, that something changed. Nothing where nobody can listen."""
        ...


class LostRace(Exception):
    """The database rolled the transaction back for another one's sake (40001, 40P01, SQLITE_BUSY): try again."""


class Gone(Exception):
    """The database refused, hung up, is read-only, full, or did not answer in time."""


class Busy(Exception):
    """No connection became free in time: whether the database is away, or there is much to do, other steps know."""


class UniqueViolated(Exception):
    """A row with this key is there already."""


class Driver(Protocol):
    """One kind of database. Every failure leaves as LostRace, Gone, Busy or UniqueViolated; else it is a defect.

    `chains` as its connections do.
    """

    @property
    def chains(self) -> bool: ...

    def connection(
        self, *, in_transaction: bool, within: timedelta, budget: timedelta
    ) -> AbstractAsyncContextManager[Connection]:
        """One that is free `within` so long, and is cut after `budget` more."""
        ...

    async def now(self, connection: Connection) -> datetime:
        """The database's clock."""
        ...

    async def listen(self, heard: Callable[[str], None]) -> None:
        """See `Database.listen`."""
        ...

    async def close(self) -> None: ...


class Database:
    """See the module. `budget` bounds a step's wait for a connection, and then its statements and retries."""

    def __init__(self, driver: Driver, *, budget: timedelta) -> None:
        self._driver = driver
        self._budget = budget
        self._steps: set[asyncio.Task[Any]] = set()
        self._failures = 0
        self._shut_until = 0.0
        self._answered_at = 0.0
        self._away_from: float | None = None
        self._absences: deque[tuple[float, float]] = deque(maxlen=ABSENCES_REMEMBERED)
        self._is_closed = False

    async def transaction(self, step: Callable[[Connection], Awaitable[T]], *, budget: timedelta | None = None) -> T:
        """Run `step` in a transaction and commit it; an error rolls it back. It may run more than once.

        Raises DatabaseUnavailable, Overloaded, UniqueViolated, and what `step` raises.
        """
        return await self._to_its_end(step, in_transaction=True, budget=budget or self._budget)

    async def autocommit(self, step: Callable[[Connection], Awaitable[T]], *, budget: timedelta | None = None) -> T:
        """As `transaction`, but each statement commits by itself: for steps of one statement, and for reading."""
        return await self._to_its_end(step, in_transaction=False, budget=budget or self._budget)

    async def chained(self, step: Callable[[Connection], Awaitable[T]]) -> T:
        """As `transaction`, for a step that is a single statement wherever its connection `chains`."""
        return await self._to_its_end(step, in_transaction=not self._driver.chains, budget=self._budget)

    async def time(self, connection: Connection) -> datetime:
        """The database's clock, within a step."""
        return await self._driver.now(connection)

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call `heard` with each topic that a step somewhere told of; never returns where there is something to hear.

        A courtesy that saves waiting for the next poll: what is told while nobody is connected is lost.
        """
        await self._driver.listen(heard)

    def absence_within(self, past: timedelta) -> timedelta:
        """For how much of the `past` until now the database gave no answer here."""
        return sum((begun - ended for begun, ended in self.absences_within(past)), timedelta(0))

    def absences_within(self, past: timedelta) -> Sequence[tuple[timedelta, timedelta]]:
        """How long ago each began and ended, oldest first; none of longer ago than `past`."""
        now = asyncio.get_running_loop().time()
        since = now - past.total_seconds()
        absences = [*self._absences, *([(self._away_from, now)] if self._away_from is not None else [])]
        return [
            (timedelta(seconds=now - max(since, begun)), timedelta(seconds=now - until))
            for begun, until in absences
            if until > since
        ]

    async def close(self) -> None:
        """Let the steps under way end, then close. Later steps get DatabaseUnavailable."""
        self._is_closed = True
        if self._steps:
            await asyncio.wait(self._steps, timeout=self._budget.total_seconds())
        await self._driver.close()

    async def _to_its_end(
        self, step: Callable[[Connection], Awaitable[T]], *, in_transaction: bool, budget: timedelta
    ) -> T:
        task = asyncio.create_task(self._attempts(step, in_transaction=in_transaction, budget=budget))
        self._steps.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._steps.discard(task)
        if not task.cancelled():
            task.exception()  # Seen, so that a step whose caller went away does not complain of it.

    async def _attempts(
        self, step: Callable[[Connection], Awaitable[T]], *, in_transaction: bool, budget: timedelta
    ) -> T:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        deadline = free_until = begun + budget.total_seconds()
        if self._is_closed:
            raise DatabaseUnavailable
        self._refuse_while_shut(begun)
        patient_until = begun + PATIENCE.total_seconds()
        attempt = 1
        while True:
            now = loop.time()
            within, left = _until(free_until, now=now), _until(deadline, now=now)
            try:
                async with self._driver.connection(
                    in_transaction=in_transaction, within=within, budget=left
                ) as connection:
                    result = await step(connection)
            except LostRace as error:
                self._answered(loop.time())
                if attempt == MOST_ATTEMPTS or loop.time() >= deadline:
                    log.warning("database.lost_race", attempts=attempt)
                    raise DatabaseUnavailable from error
                await asyncio.sleep(random.uniform(0.2, 1.0) * 0.01 * 2**attempt)  # noqa: S311 -- jitter, not a secret
                attempt += 1
            except Busy as error:
                now = loop.time()
                if self._answered_at <= begun:
                    self._failed(now, begun=begun)
                    log.warning("database.gone", cause="no connection became free")
                    raise DatabaseUnavailable from error
                if now >= patient_until:
                    log.warning("database.busy")
                    raise Overloaded("too many calls need the database at once") from error
                begun, deadline = now, now + budget.total_seconds()
                # From the last answer on: a database that has gone away since is not waited for a second time.
                free_until = self._answered_at + budget.total_seconds()
            except Gone as error:
                self._failed(loop.time(), begun=begun)
                log.warning("database.gone", cause=str(error))
                raise DatabaseUnavailable from error
            except Exception:
                # Whatever the step made of it, the database answered.
                self._answered(loop.time())
                raise
            else:
                self._answered(loop.time())
                return result

    def _refuse_while_shut(self, now: float) -> None:
        if self._failures >= FAILURES_UNTIL_SHUT:
            if now < self._shut_until:
                raise DatabaseUnavailable
            # This caller tries whether the database is back; the others go on being refused meanwhile.
            self._shut_until = now + self._budget.total_seconds() + SHUT_FOR.total_seconds()

    def _answered(self, now: float) -> None:
        self._failures = 0
        self._answered_at = now
        if self._away_from is not None:
            self._absences.append((self._away_from, now))
            self._away_from = None

    def _failed(self, now: float, *, begun: float) -> None:
        if self._answered_at > begun:
            # Slow to this step, but not away: others were answered meanwhile, and go on being answered.
            return
        self._failures += 1
        self._shut_until = now + SHUT_FOR.total_seconds()
        if self._away_from is None:
            # Steps overlap: no moment may count twice.
            self._away_from = max(begun, self._absences[-1][1]) if self._absences else begun


def _until(moment: float, *, now: float) -> timedelta:
    return timedelta(seconds=max(0.001, moment - now))


class DatabaseClock:
    """The database's time without asking it: its last answer plus what has passed here since, on the monotonic clock.

    Replicas agree with one another however wrong their own clocks are, and no jump of theirs ends a session. The clock
    that counts is the PostgreSQL server's, whose jumps are followed, or what `Sqlite.now` makes of this machine's.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._told: datetime | None = None
        self._told_at = 0.0

    def told(self, moment: datetime, *, asked_at: float) -> None:
        """Take the database's `moment`, which answers a question put at `asked_at` on the monotonic clock.

        When within that time the database looked is not known, and a slow answer may tell little. So it moves this
        clock only as far as it must, and never ahead: a token's `iat` must not lie in the future of those who read it.
        """
        answered_at = self._monotonic()
        earliest = moment.astimezone(UTC)
        latest = earliest + timedelta(seconds=answered_at - asked_at)
        now = earliest if self._told is None else min(max(self.now(), earliest), latest)
        self._told, self._told_at = now, answered_at

    def now(self) -> datetime:
        """Raises DatabaseUnavailable until the database has told its time: this machine's own may be hours off."""
        if self._told is None:
            raise DatabaseUnavailable
        return self._told + timedelta(seconds=self._monotonic() - self._told_at)

    def timestamp(self) -> float:
        """`now`, in seconds since 1970."""
        return self.now().timestamp()
