"""The audit log leaves for a broker: the log itself is the outbox, and nothing is written twice.

At least once, in the log's order, by one replica at a time. A request never waits for the broker: while it is away the
log grows, and of that nothing is kept in memory but one batch.
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import uuid4

import structlog

from auth_service.domain.cloud_events import Broker, BrokerUnavailable, cloud_event
from auth_service.domain.errors import Unavailable
from auth_service.storage import audit, publications
from auth_service.storage.audit import Position, Recorded
from auth_service.storage.database import Connection, Database, DatabaseClock

log = structlog.get_logger()

NAME = "events"
AT_ONCE = 200
COUNTED = 10_000

LEASE = timedelta(seconds=30)
"""Longer than a batch may take (`providers.rabbitmq`): a replica that was killed holds up the others for so long."""
RENEWED_AFTER = LEASE / 3

FIRST_DELAY = timedelta(milliseconds=250)
LONGEST_DELAY = timedelta(seconds=15)


class Publishing:
    """`run` it in the background. What it tells about itself is for metrics."""

    def __init__(
        self,
        database: Database,
        *,
        broker: Broker,
        source: str,
        clock: DatabaseClock,
        pause: timedelta,
    ) -> None:
        self._database = database
        self._broker = broker
        self._source = source
        self._clock = clock
        self._pause = pause
        self._holder = uuid4()
        self._position: Position | None = None
        self._renew_at: datetime | None = None
        self._has_begun = False
        self.waiting = 0
        """Events that the broker does not have yet; counted to `COUNTED`. 0 while another replica publishes."""
        self.published = 0
        self.unwanted = 0
        """Of those published: which nobody had asked the broker for."""
        self.last_published_at: datetime | None = None

    async def run(self) -> None:
        """For ever. However long database or broker are away, it goes on where it was."""
        failures = 0
        try:
            while True:
                pause = self._pause
                try:
                    if await self.turn():
                        pause = timedelta(0)
                    if failures:
                        log.info("publishing.back", failures=failures)
                    failures = 0
                except BrokerUnavailable as error:
                    if not failures:
                        log.warning("publishing.waits", cause=str(error), waiting=self.waiting)
                    failures += 1
                    pause = min(FIRST_DELAY * 2 ** min(failures, 10), LONGEST_DELAY)
                except Unavailable:
                    log.debug("publishing.without_database")
                except Exception as error:
                    log.error("publishing.defect", cause=type(error).__name__, exc_info=not failures)
                    failures += 1
                    pause = LONGEST_DELAY
                await asyncio.sleep(pause.total_seconds() * random.uniform(0.5, 1.0))  # noqa: S311 -- jitter
        finally:
            await self._leave()

    async def turn(self) -> bool:
        """Publish a batch; whether there may be more at once. Raises BrokerUnavailable, DatabaseUnavailable."""
        batch = await self._database.autocommit(self._next)
        if not batch:
            return False
        self.unwanted += await self._broker.publish([cloud_event(each.event, source=self._source) for each in batch])
        last = batch[-1].position
        is_ours = await self._database.autocommit(
            lambda connection: publications.advance(connection, NAME, holder=self._holder, to=last)
        )
        # Another replica may have taken over from one that was away for so long; it goes on from before this batch.
        self._position = last if is_ours else None
        if is_ours:
            self.published += len(batch)
            self.waiting -= len(batch)
            self.last_published_at = self._clock.now()
        return True

    async def _next(self, connection: Connection) -> Sequence[Recorded]:
        now = self._clock.now()
        if self._position is None or self._renew_at is None or now >= self._renew_at:
            if not self._has_begun:
                await publications.begin(connection, NAME)
                if await audit.is_ahead(connection):
                    log.error("publishing.ahead", hint="was the database restored? see `auth-service audit renumber`")
                self._has_begun = True
            self._position = await publications.hold(connection, NAME, holder=self._holder, now=now, until=now + LEASE)
            self._renew_at = now + RENEWED_AFTER
        if self._position is None:
            self.waiting = 0
            return ()
        batch = await audit.after(connection, self._position, most=AT_ONCE)
        is_all = len(batch) < AT_ONCE
        self.waiting = len(batch) if is_all else await audit.count_after(connection, self._position, most=COUNTED)
        return batch

    async def _leave(self) -> None:
        """Somebody else may go on at once."""
        await self._broker.close()
        if self._position is not None:
            with suppress(Unavailable):
                await self._database.autocommit(
                    lambda connection: publications.release(connection, NAME, holder=self._holder)
                )
