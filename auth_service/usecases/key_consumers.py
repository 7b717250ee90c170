"""Who takes the key set: noted in memory at each fetch, told to the database now and then, merged there.

Noting costs a look-up, whatever the database does. The memory is bounded, and so is the table. Strangers push out only
strangers: who has come regularly keeps its place, and who comes for the first time finds one as long as there is any.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from auth_service.domain.addresses import network_of
from auth_service.domain.consumers import (
    REGULAR_AFTER,
    Consumer,
    EvidencePolicy,
    Sighting,
    is_recent,
    profile_of,
    version_shown,
)
from auth_service.domain.keys import KeyRing
from auth_service.storage import key_consumers
from auth_service.storage.database import Connection, Database, DatabaseClock
from auth_service.usecases.published_keys import PublishedKeys
from auth_service.usecases.sweeping import swept

MOST_CONSUMERS = 4096
"""In the memory of one replica: 4 MB at the worst, with names and user agents as long as they may be."""
MOST_FROM_ONE = 256
"""Of those, from one IPv4 address or IPv6 /64."""
MOST_ROWS = 10_000
"""In the table; passers-by leave it when there are more, and no new ones come."""
TOLD_AT_ONCE = 500
MOST_LATE = 1000
"""How many are looked at when a rotation asks who does not hold the standby: one is enough to wait."""
GAP = timedelta(minutes=1)
"""After the database was away: until then other replicas may not have told it what they saw."""


@dataclass(slots=True)
class _Entry:
    """One consumer since this replica knows it; `untold` is how often it came since the database was told."""

    network: str
    first_seen_at: datetime
    last_seen_at: datetime
    untold: int
    keys: PublishedKeys
    showed: int | None

    @property
    def is_regular(self) -> bool:
        return self.last_seen_at - self.first_seen_at >= REGULAR_AFTER


@dataclass(frozen=True, slots=True)
class ShownConsumer:
    """`profile` is empty for a consumer of none. Whoever is recent and does not hold the standby is waited for."""

    sighting: Sighting
    profile: str
    is_recent: bool
    holds_standby: bool


class KeyConsumers:
    """`seen` at each fetch, `share` and `sweep` in the background."""

    def __init__(
        self, database: Database, *, policy: EvidencePolicy, profiles: Mapping[str, timedelta], clock: DatabaseClock
    ) -> None:
        self.policy = policy
        self.profiles = profiles
        self.unrecorded = 0
        """How often somebody came whom there was no place for."""
        self.behind = 0
        """How many recent ones do not hold the standby, when `take_stock` last counted."""
        self._database = database
        self._clock = clock
        self._regulars: dict[Consumer, _Entry] = {}
        self._newcomers: OrderedDict[Consumer, _Entry] = OrderedDict()
        self._from_network = Counter[str]()
        self._sharing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._regulars) + len(self._newcomers)

    def seen(self, consumer: Consumer, keys: PublishedKeys, *, showed: str = "") -> None:
        """`consumer` holds `keys` now. `showed` is the ETag or cursor by which it told what it held until now."""
        now = self._clock.now()
        entry = self._regulars.get(consumer) or self._newcomers.get(consumer) or self._admitted(consumer, keys, now)
        if entry is None:
            self.unrecorded += 1
            return
        entry.last_seen_at, entry.keys = now, keys
        entry.showed = version_shown(showed) if showed else None
        entry.untold += 1
        if consumer in self._newcomers:
            if entry.is_regular:
                self._regulars[consumer] = self._newcomers.pop(consumer)
            else:
                self._newcomers.move_to_end(consumer)

    async def share(self) -> None:
        """Tell the database what was seen here since it was last told. Raises DatabaseUnavailable."""
        async with self._sharing:
            self._forget_who_is_gone(self._clock.now())
            news = [(consumer, entry) for consumer, entry in self._all() if entry.untold]
            for first in range(0, len(news), TOLD_AT_ONCE):
                await self._tell(news[first : first + TOLD_AT_ONCE])

    async def lacking_standby_of(self, ring: KeyRing) -> tuple[Sighting, ...]:
        """The recent ones, up to MOST_LATE of them, that do not hold the standby. Raises DatabaseUnavailable."""
        await self.share()
        since = self.policy.counts_from(self._clock.now())
        return await self._database.autocommit(
            lambda connection: key_consumers.lacking(connection, ring.standby.kid, since=since, most=MOST_LATE)
        )

    async def holding_older(self, ring: KeyRing) -> tuple[ShownConsumer, ...]:
        """The recent ones, up to MOST_LATE of them, that were not given `ring` yet. Raises DatabaseUnavailable."""
        await self.share()
        now = self._clock.now()
        since = self.policy.counts_from(now)
        found = await self._database.autocommit(
            lambda connection: key_consumers.older(connection, ring.version, since=since, most=MOST_LATE)
        )
        return tuple(self.shown(each, ring, now=now) for each in found)

    def shown(self, sighting: Sighting, ring: KeyRing, *, now: datetime) -> ShownConsumer:
        return ShownConsumer(
            sighting,
            profile=profile_of(sighting.consumer, self.profiles),
            is_recent=is_recent(sighting, now=now, policy=self.policy),
            holds_standby=sighting.holds_standby_of(ring),
        )

    def is_complete(self) -> bool:
        """Whether every replica had the chance to tell what it saw."""
        return not self._database.absence_within(GAP)

    async def take_stock(self, ring: KeyRing) -> None:
        """Count who is behind, for whoever watches. Raises DatabaseUnavailable."""
        self.behind = len(await self.lacking_standby_of(ring)) if not ring.is_empty else 0

    async def sweep(self) -> int:
        """Delete who is gone, and passers-by where there are too many; how many."""
        before = self.policy.counts_from(self._clock.now())
        rows = await swept(
            self._database, lambda connection, most: key_consumers.sweep(connection, before=before, most=most)
        )

        async def step(connection: Connection) -> int:
            surplus = await key_consumers.count(connection) - MOST_ROWS
            return await key_consumers.sweep_passers_by(connection, most=surplus) if surplus > 0 else 0

        return rows + await self._database.autocommit(step)

    def _all(self) -> Iterator[tuple[Consumer, _Entry]]:
        yield from self._regulars.items()
        yield from self._newcomers.items()

    def _admitted(self, consumer: Consumer, keys: PublishedKeys, now: datetime) -> _Entry | None:
        network = network_of(consumer.address)
        if self._from_network[network] >= MOST_FROM_ONE:
            return None
        if len(self) >= MOST_CONSUMERS:
            if not self._newcomers:
                return None
            self._left(self._newcomers.popitem(last=False)[1])
        entry = self._newcomers[consumer] = _Entry(network, now, now, 0, keys, None)
        self._from_network[network] += 1
        return entry

    def _left(self, entry: _Entry) -> None:
        self._from_network[entry.network] -= 1
        if not self._from_network[entry.network]:
            del self._from_network[entry.network]

    def _forget_who_is_gone(self, now: datetime) -> None:
        since = self.policy.counts_from(now)
        for consumer, entry in [each for each in self._all() if each[1].last_seen_at < since and not each[1].untold]:
            del (self._regulars if consumer in self._regulars else self._newcomers)[consumer]
            self._left(entry)

    async def _tell(self, news: list[tuple[Consumer, _Entry]]) -> None:
        told = [_sighting(consumer, entry) for consumer, entry in news]

        async def step(connection: Connection) -> None:
            if await key_consumers.count(connection) < MOST_ROWS:
                await key_consumers.add(connection, told)
                return
            known = await key_consumers.known(connection, since=self.policy.counts_from(self._clock.now()))
            await key_consumers.add(connection, [each for each in told if each.consumer.id in known])

        await self._database.autocommit(step)
        for (_, entry), sighting in zip(news, told, strict=True):
            entry.untold -= sighting.times


def _sighting(consumer: Consumer, entry: _Entry) -> Sighting:
    return Sighting(
        consumer,
        first_seen_at=entry.first_seen_at,
        last_seen_at=entry.last_seen_at,
        times=entry.untold,
        ring_version=entry.keys.version,
        standby_kid=entry.keys.standby_kid,
        showed_version=entry.showed,
    )
