"""Several Databases on one database, as several replicas are, and many calls at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from auth_service.storage.database import Connection, Database
from auth_service.storage.opening import open_database
from tests.conftest import BUDGET

T = TypeVar("T")


@asynccontextmanager
async def replicas(url: str, count: int) -> AsyncIterator[list[Database]]:
    opened = [open_database(url, budget=BUDGET) for _ in range(count)]
    try:
        yield opened
    finally:
        for database in opened:
            await database.close()


async def all_at_once(
    databases: list[Database], step: Callable[[Connection], Awaitable[T]], *, times: int
) -> list[T | BaseException]:
    """What each of `times` transactions came to, dealt out among `databases`."""
    dealt = [databases[number % len(databases)] for number in range(times)]
    return await asyncio.gather(*(database.transaction(step) for database in dealt), return_exceptions=True)
