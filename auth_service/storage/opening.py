"""From a database's address to its door."""

from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from auth_service.storage.database import Database, Driver

_DRIVERS = {
    "sqlite": "sqlite",
    # The former services' spelling.
    "sqlite+aiosqlite": "sqlite",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


def open_database(
    url: str | sa.URL, *, connections: int = 10, caches_statements: bool = True, budget: timedelta
) -> Database:
    """The database at `url`; nothing is connected yet. `connections` and `caches_statements` are PostgreSQL's.

    Raises ValueError for an address that is not PostgreSQL's or a SQLite file's.
    """
    url = parsed(url)
    driver: Driver
    # Only the one that is needed: the other would cost every process 4 to 9 MB and a tenth of a second.
    if url.get_backend_name() == "sqlite":
        from auth_service.storage.sqlite import Sqlite

        driver = Sqlite(Path(url.database or ""))
    else:
        from auth_service.storage.postgres import Postgres

        driver = Postgres(url, connections=connections, caches_statements=caches_statements)
    return Database(driver, budget=budget)


def parsed(url: str | sa.URL) -> sa.URL:
    """`url` with the drivers of this service. Raises ValueError, which does not repeat the address or its password."""
    try:
        given = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        given = None
    drivername = _DRIVERS.get(given.drivername) if given is not None else None
    if given is None or drivername is None:
        raise ValueError("database address: expected `postgresql://user@host:port/database` or `sqlite:///path`")
    if drivername.startswith("sqlite") and (given.database or ":memory:").startswith((":", "file:")):
        raise ValueError("database address: expected the path of a file, as in `sqlite:////var/lib/auth/auth.db`")
    return given.set(drivername=drivername)
