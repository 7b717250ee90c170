"""Lets expensive work begin no faster than the event loop bears, so that a crowd of it does not delay everything else.

A sign-in costs many times what a verification costs. Sixty-four that begin at once make one turn of the loop take tens
of milliseconds, and every other call needs several turns. What only waits for others costs the loop nothing: two
hundred sign-ins that hang on a silent facility are all let in, and keep nobody waiting.
"""

import asyncio
from collections import deque
from datetime import timedelta

BEARABLE_TURN = timedelta(milliseconds=1)
LONGEST_WAIT = timedelta(seconds=1)
"""Whoever has waited so long goes in whatever the turns take: the loop is busy with something else."""


class Admission:
    """`await turn()` before the expensive part. First come, first served."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._admitting: asyncio.Task[None] | None = None

    async def turn(self) -> None:
        """Returns when the loop bears one more."""
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
            await asyncio.sleep(0)
            now = loop.time()
            latest, admitted = self._waiting[0]
            if now - began < BEARABLE_TURN.total_seconds() or now >= latest:
                self._waiting.popleft()
                # Whoever went away meanwhile takes nobody's place.
                if not admitted.done():
                    admitted.set_result(None)
        self._admitting = None
