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
from time import monotonic

from auth_service.domain.errors import Overloaded

ALWAYS_IN = 2
"""So many at a time go in unasked: a lone sign-in waits for nothing."""

PROBE = timedelta(milliseconds=4)
"""How far apart those who waited go in: 250 a second, two thirds of what a core can do, so that the rest of it answers
everybody else; and spread out, so that the facility's answers do not come back in one wave either."""

PROBE_ALONE = timedelta(milliseconds=1)
"""The same while nobody but those who sign in calls: then nobody is kept waiting, and a core does all it can."""

FEW_INSIDE = 8
"""Only up to so many: what more of them wait for comes in waves, and somebody may call at any moment."""

OTHERS_LATELY = timedelta(milliseconds=500)
"""How long somebody's call is a reason to expect the next."""

BEARABLE_LAG = timedelta(milliseconds=1)
"""How late the loop may be with a probe for one more to begin."""

LONGEST_WAIT = timedelta(seconds=1)
"""Whoever has waited so long goes in however late the loop is, for it is busy with something else."""

MOST_INSIDE, MOST_INSIDE_LATE = 256, 64
"""More would not end before their deadlines. Those that hang on a silent facility cost the loop nothing; where it is
late, those inside are what delays it.
"""

MOST_WAITING = 512
"""Whoever comes then is told to come again; as is, after LONGEST_WAIT, whoever still finds too many inside."""

SOONEST_AGAIN, LATEST_AGAIN = timedelta(seconds=1), timedelta(seconds=60)
"""In between, each who is told to come again has a moment of their own: all at once they would only be told again."""


class Admission:
    """`async with entered():` around the expensive part. First come, first served."""

    def __init__(self) -> None:
        self._inside = 0
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()
        self._admitting: asyncio.Task[None] | None = None
        self._pace = PROBE.total_seconds()
        self._last_in = self._promised_until = 0.0
        self._others_called_at = float("-inf")

    def others_call(self) -> None:
        """Say so at each call that is no sign-in: they are whom the crowd must not delay."""
        self._others_called_at = monotonic()

    @asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        """Waits until the loop bears one more. Raises Overloaded where that would take too long."""
        if self._waiting or self._inside >= ALWAYS_IN:
            await self._turn()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    async def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        if len(self._waiting) >= MOST_WAITING:
            raise self._too_many(loop.time())
        admitted = loop.create_future()
        self._waiting.append((loop.time() + LONGEST_WAIT.total_seconds(), admitted))
        if self._admitting is None:
            self._admitting = asyncio.create_task(self._admit())
        await admitted

    async def _admit(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            began, probe = loop.time(), self._probe()
            await asyncio.sleep(probe)
            now = loop.time()
            is_late = now - began - probe >= BEARABLE_LAG.total_seconds()
            latest, admitted = self._waiting[0]
            has_room = self._inside < (MOST_INSIDE_LATE if is_late else MOST_INSIDE)
            if self._inside < ALWAYS_IN or (has_room and (not is_late or now >= latest)):
                self._waiting.popleft()
                # Whoever went away meanwhile takes nobody's place.
                if not admitted.done():
                    admitted.set_result(None)
                    self._note_pace(now)
            elif now >= latest:
                self._waiting.popleft()
                if not admitted.done():
                    admitted.set_exception(self._too_many(now))
        self._admitting = None

    def _probe(self) -> float:
        others_call = monotonic() - self._others_called_at < OTHERS_LATELY.total_seconds()
        return (PROBE if others_call or self._inside >= FEW_INSIDE else PROBE_ALONE).total_seconds()

    def _note_pace(self, now: float) -> None:
        """Seconds from one who goes in to the next, about, while somebody waits."""
        self._pace += 0.05 * (min(now - self._last_in, 1.0) - self._pace)
        self._last_in = now

    def _too_many(self, now: float) -> Overloaded:
        soonest, latest = now + SOONEST_AGAIN.total_seconds(), now + LATEST_AGAIN.total_seconds()
        self._promised_until = min(max(soonest, self._promised_until + self._pace), latest)
        again = timedelta(seconds=self._promised_until - now)
        return Overloaded("too many people are signing in at once", retry_after=again)
