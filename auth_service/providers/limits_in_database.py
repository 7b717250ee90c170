"""Limits that all replicas share through the database: failed attempts, and how often methods were called."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from auth_service.domain.attempts import Counter, Known, Tally, greater
from auth_service.domain.rates import Counted
from auth_service.storage import attempts, call_counts
from auth_service.storage.database import Connection, Database


class LimitsInDatabase:
    """See `Tallies` and `CallCounts`. It can be asked whenever a sign-in can be: what is `known` here is not needed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, counters: Sequence[Counter], *, known: Known, now: datetime) -> Mapping[bytes, Tally | None]:
        async def step(connection: Connection) -> Mapping[bytes, Tally | None]:
            return {each.key: await attempts.find(connection, each.key, now=now) for each in counters}

        return await self._database.autocommit(step)

    async def add_failure(self, counters: Sequence[Counter], *, known: Known, now: datetime) -> Known:
        return await self.add_failure_to({}, counters, now=now)

    async def add_failure_to(self, at_least: Known, counters: Sequence[Counter], *, now: datetime) -> Known:
        """As `add_failure`, to tallies that are `at_least` these."""

        async def step(connection: Connection) -> Known:
            return {each.key: await add(connection, each) for each in counters}

        async def add(connection: Connection, counter: Counter) -> Tally:
            def after(tally: Tally) -> Tally:
                return counter.limit.after_failure(greater(tally, at_least.get(counter.key)), now=now)

            return await attempts.add(connection, counter.key, account=counter.account, now=now, after=after)

        return await self._database.transaction(step)

    async def forget(self, account: bytes) -> None:
        return None

    async def share(self, counted: Sequence[Counted], *, now: datetime, heard: Callable[[Counted, int], None]) -> None:
        # Each statement commits by itself, and a step that lost a race runs again: for what is left.
        left = list(counted)

        async def step(connection: Connection) -> None:
            while left:
                each = left[-1]
                calls = each.here - each.told
                total = await call_counts.add(
                    connection, each.key, window=each.window, calls=calls, expires_at=each.ends_at
                )
                left.pop()
                heard(each, total)

        await self._database.autocommit(step)

    async def close(self) -> None:
        return None
