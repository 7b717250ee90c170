"""Connections to PostgreSQL, lent to one step at a time.

asyncpg's own pool costs a step a task, a shield, two timers and a proxy around each method: a tenth of a refresh
(docs/decisions/0011). This one asks nothing of a connection between two loans, for no step changes a session's state.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

import asyncpg

IDLE_FOR = timedelta(minutes=5)
"""How long a connection is kept that nobody needs."""


class Pool:
    """At most `size` connections, made by `connect` when first needed. The one used last is lent first."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], *, size: int) -> None:
        self._connect = connect
        self._places = asyncio.Semaphore(size)
        self._idle: deque[tuple[asyncpg.Connection, float]] = deque()
        self._lent: set[asyncpg.Connection] = set()
        self._is_closed = False

    async def lend(self, *, within: timedelta) -> asyncpg.Connection:
        """A connection of one's own, to be given back. Raises TimeoutError, and what `connect` raises."""
        deadline = asyncio.get_running_loop().time() + within.total_seconds()
        # Where nobody waits, neither does this one, and needs no timer.
        if not self._places.locked():
            await self._places.acquire()
        else:
            async with asyncio.timeout_at(deadline):
                await self._places.acquire()
        try:
            connection = self._at_hand()
            if connection is None:
                async with asyncio.timeout_at(deadline):
                    connection = await self._connect()
        except BaseException:
            self._places.release()
            raise
        self._lent.add(connection)
        return connection

    def give_back(self, connection: asyncpg.Connection) -> None:
        """One that was cut, or left in the middle of something, is not lent again."""
        self._lent.discard(connection)
        now = asyncio.get_running_loop().time()
        if self._is_closed or connection.is_closed() or connection.is_in_transaction():
            hang_up(connection)
        else:
            self._idle.append((connection, now))
        self._places.release()
        while self._idle and now - self._idle[0][1] > IDLE_FOR.total_seconds():
            hang_up(self._idle.popleft()[0])

    async def close(self, *, within: timedelta) -> None:
        """Say goodbye to the idle ones, and cut what does not consent in time, or is still lent."""
        self._is_closed = True
        idle = [connection for connection, _ in self._idle]
        self._idle.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                await asyncio.gather(*(connection.close() for connection in idle), return_exceptions=True)
        for connection in (*idle, *self._lent):
            hang_up(connection)

    def _at_hand(self) -> asyncpg.Connection | None:
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.is_closed():
                return connection
            hang_up(connection)
        return None


def hang_up(connection: asyncpg.Connection) -> None:
    """At once and without a word: a frozen server would never consent to anything politer."""
    with suppress(asyncpg.InterfaceError):
        connection.terminate()
