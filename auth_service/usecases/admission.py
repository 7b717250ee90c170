"""Lets expensive work begin no faster than the event loop bears, so that a crowd of it does not delay everything else.

A sign-in costs many times what a verification costs. Sixty-four that begin at once make one turn of the loop take tens
of milliseconds, and every other call needs several turns. What only waits for others costs the loop nothing: two
hundred sign-ins that hang on a silent facility are all let in, and keep nobody waiting.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from auth_service.domain.errors import Overloaded

ALWAYS_IN = 2
"""So many at a time go in unasked: a lone sign-in waits for nothing."""

PROBE = timedelta(milliseconds=3)
"""How far apart those who waited go in: about as fast as a core can sign people in (300 a second), and spread out, so
that the facility's answers do not come back in one wave either."""

BEARABLE_LAG = timedelta(milliseconds=1)
"""How late the loop may be with a probe for one more to begin."""

LONGEST_WAIT = timedelta(seconds=1)
"""Whoever has waited so long goes in however late the loop is: it is busy with something else."""

MOST_WAITING = 512
"""Whoever comes then is told to come again: at the pace of PROBE the last of them goes in after a second and a half."""


class Admission:
    """`async with entered():` around the expensive part. First come, first served."""

    def __init__(self) -> None:
        self._inside = 0
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._admitting: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """Waits until the loop bears one more. Raises Overloaded if too many wait already."""
        if len(self._waiting) >= MOST_WAITING:
            raise Overloaded("too many people are signing in at once", retry_after=2 * MOST_WAITING * PROBE)
        if self._waiting or self._inside >= ALWAYS_IN:
            await self._turn()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        admitted = loop.create_future()
        self._waiting.append((loop.time() + LONGEST_WAIT.total_seconds(), admitted))
        if self._admitting is None:
            self._admitting = asyncio.create_task(self._admit())
        await admitted

    async def _admit(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            began = loop.time()
            await asyncio.sleep(PROBE.total_seconds())
            now = loop.time()
            lag = now - began - PROBE.total_seconds()
            latest, admitted = self._waiting[0]
            if lag < BEARABLE_LAG.total_seconds() or now >= latest or self._inside < ALWAYS_IN:
                self._waiting.popleft()
                # Whoever went away meanwhile takes nobody's place.
                if not admitted.done():
                    admitted.set_result(None)
        self._admitting = None
