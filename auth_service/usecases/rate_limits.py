"""How often methods may be called, from one address and by everybody: counted in memory, summed up for all replicas.

A call costs a look-up. Several times a second each replica adds what it counted to the sums and reads what the others
did; a count that is far below its limit it keeps to itself, so that a deployment that nobody floods tells nothing.
Where the sums cannot be reached, each replica goes on by itself.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from auth_service.domain.addresses import network_of
from auth_service.domain.errors import DatabaseUnavailable, RateLimited
from auth_service.domain.rates import CallCounts, Counted, Rate
from auth_service.storage import call_counts
from auth_service.storage.database import Database, DatabaseClock
from auth_service.usecases.sweeping import swept

SHARED_FROM = 0.05
"""Of a limit: from there on other replicas hear of a count. So many replicas may exceed a limit by so much each."""

MOST_COUNTS = 100_000
"""Kept at a time; addresses beyond are let through, and count for everybody's limits."""


@dataclass(slots=True)
class _Count:
    """Calls let through in one window: here, of them told to the others, and elsewhere as far as they told."""

    here: int = 0
    told: int = 0
    elsewhere: int = 0


_Window = tuple[Rate, int, str]
"""A rate, the number of its window since 1970, and the network that is counted, "" for everybody."""


class RateLimits:
    """`check` for each call, `share` in the background."""

    def __init__(self, database: Database, *, shared: CallCounts, rates: Sequence[Rate], clock: DatabaseClock) -> None:
        self.rates = tuple(rates)
        self._database = database
        self._shared = shared
        self._clock = clock
        self._counts: dict[_Window, _Count] = {}

    def of(self, method: str) -> tuple[Rate, ...]:
        """Those that a call of `method` counts for."""
        return tuple(each for each in self.rates if each.covers(method))

    def check(self, rates: Sequence[Rate], *, address: str) -> None:
        """One call more. Raises RateLimited; a call that is refused does not count."""
        try:
            now = self._clock.timestamp()
        except DatabaseUnavailable:
            # Nobody has told the time yet. What needs the database is refused anyway.
            return
        network = network_of(address)
        counts = [self._count(each, now, network) for each in rates]
        for each, count in zip(rates, counts, strict=True):
            if count.here + count.elsewhere >= each.calls:
                seconds = each.per.total_seconds()
                raise RateLimited(retry_after=timedelta(seconds=seconds - now % seconds))
        for count in counts:
            count.here += 1

    async def share(self) -> None:
        """Tell the others what was counted here, and learn what was counted elsewhere. Raises DatabaseUnavailable."""
        now = self._clock.timestamp()
        self._counts = {window: count for window, count in self._counts.items() if window[1] == _number(window[0], now)}
        news = {
            _counted(window, count): count
            for window, count in self._counts.items()
            if count.here > count.told and count.here >= SHARED_FROM * window[0].calls
        }

        def heard(each: Counted, total: int) -> None:
            news[each].told, news[each].elsewhere = each.here, total - each.here

        if news:
            await self._shared.share(tuple(news), now=self._clock.now(), heard=heard)

    async def sweep(self) -> int:
        """Delete the database's sums whose window is over; how many."""
        now = self._clock.now()
        return await swept(
            self._database, lambda connection, most: call_counts.sweep(connection, before=now, most=most)
        )

    def _count(self, rate: Rate, now: float, network: str) -> _Count:
        window = (rate, _number(rate, now), network if rate.by_address else "")
        count = self._counts.get(window)
        if count is None:
            count = _Count()
            if len(self._counts) < MOST_COUNTS or not rate.by_address:
                self._counts[window] = count
        return count


def _number(rate: Rate, now: float) -> int:
    return int(now // rate.per.total_seconds())


def _counted(window: _Window, count: _Count) -> Counted:
    rate, number, network = window
    ends_at = datetime.fromtimestamp((number + 1) * rate.per.total_seconds(), UTC)
    key = hashlib.sha256(f"{rate}\0{network}".encode()).digest()
    return Counted(key, number, ends_at, here=count.here, told=count.told)
