"""Rows that nobody asks for any more are deleted a few at a time, so that other steps come in between."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from auth_service.storage.database import Connection, Database

SWEPT_AT_ONCE = 500
MOST_BATCHES = 100
"""In one turn: of each kind 50,000, more than sign-ins make in the minute until the next."""
BETWEEN_BATCHES = timedelta(milliseconds=10)

Deletion = Callable[[Connection, int], Awaitable[int]]
"""Deletes as many rows as it is told at most, and says how many it did."""


async def swept(database: Database, *deletions: Deletion) -> int:
    """How many rows were deleted. What is left after the last batch waits for the next turn."""
    rows = 0

    async def step(connection: Connection) -> list[int]:
        return [await delete(connection, SWEPT_AT_ONCE) for delete in deletions]

    for _ in range(MOST_BATCHES):
        batch = await database.autocommit(step)
        rows += sum(batch)
        if max(batch) < SWEPT_AT_ONCE:
            break
        await asyncio.sleep(BETWEEN_BATCHES.total_seconds())
    return rows
