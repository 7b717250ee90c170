"""Brings a database to the tables of `schema.py`, or tells whether it is there.

Several replicas may start at once: on PostgreSQL they take turns. A migration gives up a lock that it does not get in
time rather than queueing every reader behind itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import NullPool
from sqlalchemy.util import greenlet_spawn

from auth_service.storage.opening import parsed
from auth_service.storage.private_file import make_private
from auth_service.storage.schema import metadata

if TYPE_CHECKING:
    from alembic.config import Config

T = TypeVar("T")

VERSION_TABLE = "auth_alembic_version"
"""Not Alembic's own name for it: the database is shared, and another service may keep its version under that one."""

CONNECT_WITHIN = timedelta(seconds=5)
LOCK_TIMEOUT = "4s"
_TURN = 0x61757468
"""The advisory lock that migrating replicas take turns by: `auth` in ASCII."""


class DatabaseRefused(Exception):
    """The database cannot be reached, will not do it, or is of a newer release; one line, without any statement."""


async def upgrade(url: str | sa.URL) -> None:
    """Run every migration that the database lacks. Running it again does nothing. Raises DatabaseRefused."""

    def run(connection: sa.Connection) -> None:
        from alembic import command
        from alembic.util import CommandError

        try:
            command.upgrade(_config(connection), "head")
        except CommandError as error:
            raise DatabaseRefused(f"the database cannot be migrated, is it of a newer release? {error}") from error

    await _with_connection(url, run, is_change=True)


async def check(url: str | sa.URL) -> None:
    """Raises alembic.util.CommandError if `schema.py` and the migrated tables differ."""

    def run(connection: sa.Connection) -> None:
        from alembic import command

        command.check(_config(connection))

    await _with_connection(url, run, is_change=False)


async def is_current(url: str | sa.URL) -> bool:
    """Whether no migration is missing. Waits for nobody who is migrating. Raises DatabaseRefused."""

    def run(connection: sa.Connection) -> bool:
        if not sa.inspect(connection).has_table(VERSION_TABLE):
            return False
        applied = connection.execute(sa.select(sa.column("version_num")).select_from(sa.table(VERSION_TABLE))).scalar()
        return bool(applied == HEAD)

    return await _with_connection(url, run, is_change=False)


OUR_STAFF_CONSTRAINT = "uq_staff_user_number"

HEAD = "0006"
"""The newest migration. A test holds that it is; it spares every start from importing Alembic."""


async def _with_connection(url: str | sa.URL, run: Callable[[sa.Connection], T], *, is_change: bool) -> T:
    """Run `run`; a change in one transaction, which Alembic joins, and while nobody else changes anything."""
    url = parsed(url)
    first: tuple[str, ...]
    last: tuple[str, ...] = ()
    refusals: tuple[type[Exception], ...] = (sa.exc.DBAPIError,)
    if url.get_backend_name() == "sqlite":
        await asyncio.to_thread(make_private, Path(url.database or ""))
        engine = sa.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True)
        first, last = ("BEGIN IMMEDIATE",), ("COMMIT",)
    else:
        from asyncpg import PostgresError

        from auth_service.storage.postgres import dsn_of

        refusals = (sa.exc.DBAPIError, PostgresError, OSError)
        arguments = {
            "dsn": dsn_of(url),
            "timeout": CONNECT_WITHIN.total_seconds(),
            # Through PgBouncer prepared statements belong to whichever server connection came last: name none.
            "statement_cache_size": 0,
            "prepared_statement_name_func": lambda: "",
        }
        engine = sa.create_engine(
            "postgresql+asyncpg://", poolclass=NullPool, connect_args=arguments, hide_parameters=True
        )
        first = (f"SELECT pg_advisory_xact_lock({_TURN})", f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")

    def whole() -> T:
        with engine.begin() as connection:
            for statement in first if is_change else ():
                connection.exec_driver_sql(statement)
            result = run(connection)
            for statement in last if is_change else ():
                connection.exec_driver_sql(statement)
            return result

    # asyncpg waits on the loop, where SQLAlchemy's bridge takes it; `sqlalchemy.ext.asyncio` would bring the ORM along.
    away: Callable[[Callable[[], T]], Awaitable[T]] = greenlet_spawn if engine.dialect.is_async else asyncio.to_thread
    try:
        return await away(whole)
    except refusals as error:
        raise DatabaseRefused(f"{_named(url)}: {_first_line(getattr(error, 'orig', None) or error)}") from error
    finally:
        await greenlet_spawn(engine.dispose)


def _named(url: sa.URL) -> str:
    """A file by its name; of a server an operator knows which, and its address may hold a password."""
    return f"the database {url.database}" if url.get_backend_name() == "sqlite" else "the database"


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _config(connection: sa.Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    config.attributes["include_name"] = _is_ours
    return config


def _is_ours(name: str | None, kind: str, parents: Mapping[str, str | None]) -> bool:
    """The database may hold other services' tables, and `staff` what its first owner added to it (row A20)."""
    if kind == "table":
        return name in metadata.tables
    return (
        kind not in ("index", "unique_constraint") or parents["table_name"] != "staff" or name == OUR_STAFF_CONSTRAINT
    )
