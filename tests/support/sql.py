"""Straight into a service's database, past the service: what only time or a database administrator brings about."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from auth_service.storage.opening import parsed


async def executed(url: str, *statements: sa.Executable, many: Sequence[Mapping[str, Any]] | None = None) -> list[Any]:
    """Run `statements` in one transaction, each with `many` if that is given; the rows of the last, if it has any."""

    def run(connection: sa.Connection) -> list[Any]:
        rows: list[Any] = []
        for statement in statements:
            result = connection.execute(statement, many) if many is not None else connection.execute(statement)
            rows = list(result.all()) if result.returns_rows else []
        return rows

    def there() -> list[Any]:
        engine = sa.create_engine(parsed(url), poolclass=NullPool)
        try:
            with engine.begin() as connection:
                return run(connection)
        finally:
            engine.dispose()

    if parsed(url).get_backend_name() == "sqlite":
        return await asyncio.to_thread(there)
    engine = create_async_engine(parsed(url), poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(run)
    finally:
        await engine.dispose()
