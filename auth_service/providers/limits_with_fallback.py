"""Limits in Valkey; while it is away failed attempts go to the database, and each replica counts calls by itself.

The first call that gets no answer says that it is away: from then on nobody waits for it, until `watch`, in the
background, gets an answer. What was owed before is not forgiven by going or coming: see docs/decisions/0028.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import structlog

from auth_service.domain.attempts import Counter, Known, Tally, greater
from auth_service.domain.rates import Counted
from auth_service.providers.limits_in_database import LimitsInDatabase
from auth_service.providers.limits_in_valkey import LimitsInValkey
from auth_service.providers.valkey import ValkeyAway, ValkeyUnfit

T = TypeVar("T")
log = structlog.get_logger()

DATABASE_ASKED_FOR = timedelta(minutes=30)
"""After it was away, by default as long as anything can be owed that was written down meanwhile."""

MOST_TO_FORGET = 1000


class LimitsWithFallback:
    """See `Tallies` and `CallCounts`. `absences` counts how often it went away."""

    def __init__(self, valkey: LimitsInValkey, database: LimitsInDatabase) -> None:
        self._valkey = valkey
        self._database = database
        self._database_asked_until = 0.0
        self._to_forget: set[bytes] = set()
        self._said = ""
        self.is_away = False
        self.absences = 0

    async def check(self) -> None:
        """At the start. Raises ValkeyUnfit; a server that is away is no reason not to start."""
        try:
            log.info("limits.shared", through=await self._valkey.check())
        except ValkeyAway as error:
            self._went(error)

    async def watch(self) -> None:
        """Find out whether it is there. For the background, again and again."""
        if not self.is_away:
            await self._unless_away(self._valkey.ping)
            return
        try:
            server = await self._valkey.check()
            for account in tuple(self._to_forget):
                await self._valkey.forget(account)
                self._to_forget.discard(account)
        except (ValkeyAway, ValkeyUnfit) as error:
            self._went(error)
            return
        self.is_away, self._said = False, ""
        self._database_asked_until = _monotonic() + DATABASE_ASKED_FOR.total_seconds()
        log.info("limits.back", through=server)

    async def find(self, counters: Sequence[Counter], *, known: Known, now: datetime) -> Mapping[bytes, Tally | None]:
        written = await self._written_meanwhile(counters, now)
        told = await self._unless_away(lambda: self._valkey.find(counters, now=now))
        if told is None:
            told = await self._database.find(counters, known={}, now=now)
            written = self._believed(known, counters)
        return {key: greater(tally, written.get(key)) for key, tally in told.items()}

    async def add_failure(self, counters: Sequence[Counter], *, known: Known, now: datetime) -> Known:
        written = await self._written_meanwhile(counters, now)
        told = await self._unless_away(lambda: self._valkey.add_failure_to(written, counters, now=now))
        if told is not None:
            return told
        return await self._database.add_failure_to(self._believed(known, counters), counters, now=now)

    async def forget(self, account: bytes) -> None:
        async def forgotten() -> bool:
            await self._valkey.forget(account)
            return True

        if not await self._unless_away(forgotten):
            log.warning("limits.forgotten_later", hint="from the command line: do it again when the server is back")
            if len(self._to_forget) < MOST_TO_FORGET:
                self._to_forget.add(account)

    async def share(self, counted: Sequence[Counted], *, now: datetime, heard: Callable[[Counted, int], None]) -> None:
        await self._unless_away(lambda: self._valkey.share(counted, now=now, heard=heard))

    async def close(self) -> None:
        await self._valkey.close()

    def _believed(self, known: Known, counters: Sequence[Counter]) -> Known:
        """While Valkey is away this replica's memory stands for it, but for what was forgiven here meanwhile."""
        believed = {each.key for each in counters if each.account not in self._to_forget}
        return {key: tally for key, tally in known.items() if key in believed}

    async def _written_meanwhile(self, counters: Sequence[Counter], now: datetime) -> Known:
        """What the database was told while Valkey was away, for as long as it may be owed."""
        if self.is_away or _monotonic() >= self._database_asked_until:
            return {}
        found = await self._database.find(counters, known={}, now=now)
        return {key: tally for key, tally in found.items() if tally is not None}

    async def _unless_away(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        if self.is_away:
            return None
        try:
            return await ask()
        except (ValkeyAway, ValkeyUnfit) as error:
            self._went(error)
            return None

    def _went(self, error: Exception) -> None:
        is_news = not self.is_away or (isinstance(error, ValkeyUnfit) and str(error) != self._said)
        self.absences += not self.is_away
        self.is_away = True
        if is_news:
            self._said = str(error)
            log.warning("limits.away", cause=self._said, meanwhile="failed attempts are counted in the database")


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
