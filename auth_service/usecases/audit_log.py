"""The audit log is read: page by page, or as it grows."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from auth_service.domain import pages
from auth_service.domain.audit import AuditEvent, AuditFilter, EventType, Origin, happened
from auth_service.domain.errors import FieldViolation, InvalidInput, NotFound, Overloaded
from auth_service.domain.pages import PageTokens
from auth_service.storage import audit
from auth_service.storage.audit import Position, Recorded
from auth_service.storage.database import Connection, Database

SIGN_OF_LIFE_AFTER = timedelta(seconds=30)
READ_AT_ONCE = 200
MOST_FOLLOWERS = 64
"""At once, of one replica."""

KEPT_AT_LEAST = timedelta(days=30)
"""What the database itself refuses to delete (migration 0002)."""
PRUNED_AT_ONCE = 1000
RENUMBERED_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AuditPage:
    """`next_page_token` is empty on the last page."""

    events: Sequence[AuditEvent]
    next_page_token: str


class AuditLog:
    """`poll` has to be called again and again; it asks the database only while somebody follows."""

    def __init__(
        self,
        database: Database,
        *,
        page_tokens: PageTokens,
        sign_of_life_after: timedelta = SIGN_OF_LIFE_AFTER,
        most_followers: int = MOST_FOLLOWERS,
    ) -> None:
        self._database = database
        self._page_tokens = page_tokens
        self._sign_of_life_after = sign_of_life_after
        self._most_followers = most_followers
        self._followers = 0
        self._newest = audit.BEGINNING
        self._grown = asyncio.Event()

    @property
    def followers(self) -> int:
        return self._followers

    async def page(self, wanted: AuditFilter, *, page_size: int, page_token: str) -> AuditPage:
        """Newest first. Raises InvalidInput, DatabaseUnavailable."""
        size = pages.page_size(page_size)
        listing = _listing(wanted)
        position = self._page_tokens.read(page_token, listing=listing)
        before = _moment_and_number(position) if position is not None else None
        found = await self._database.autocommit(
            lambda connection: audit.page(connection, wanted, before=before, most=size + 1)
        )
        shown, token = self._page_tokens.cut(found, most=size, listing=listing, position=_position)
        return AuditPage([each.event for each in shown], token)

    async def follow(
        self, *, after: UUID | None, types: frozenset[EventType] | None
    ) -> AsyncGenerator[AuditEvent | None, None]:
        """Events in their order, those behind `after` or those that come.

        None comes first, from when on nothing is missed, and then wherever there was none of `types` for a while.
        Raises NotFound for an `after` that is not in the log, Overloaded, DatabaseUnavailable.
        """
        loop = asyncio.get_running_loop()
        with self._following():
            position = await self._start(after)
            yield None
            quiet_since = loop.time()
            while True:
                found = await self._database.autocommit(partial(audit.after, position=position, most=READ_AT_ONCE))
                for each in found:
                    if types is None or each.event.type in types:
                        yield each.event
                        quiet_since = loop.time()
                    position = each.position
                left = quiet_since + self._sign_of_life_after.total_seconds() - loop.time()
                if left <= 0 or not (found or await self._grows_beyond(position, within=left)):
                    yield None
                    quiet_since = loop.time()

    async def poll(self) -> None:
        """Wake those who follow if there is something new. Raises DatabaseUnavailable."""
        if self._followers == 0:
            return
        newest = await self._database.autocommit(audit.newest)
        if newest > self._newest:
            self._newest = newest
            grown, self._grown = self._grown, asyncio.Event()
            grown.set()

    async def prune(self, *, before: datetime, origin: Origin) -> int:
        """Delete what happened before `before`, except what waits for the broker; how many.

        Raises InvalidInput for a moment within the last thirty days, DatabaseUnavailable.
        """
        now = await self._database.autocommit(self._database.time)
        if before > now - KEPT_AT_LEAST:
            raise InvalidInput(FieldViolation("before", f"expected {KEPT_AT_LEAST.days} days ago or earlier"))

        async def step(connection: Connection) -> int:
            pruned = await audit.prune(connection, before=before, most=PRUNED_AT_ONCE)
            if pruned:
                event = happened(
                    EventType.AUDIT_PRUNED, origin=origin, now=now, before=before.isoformat(), count=str(pruned)
                )
                await audit.add(connection, event)
            return pruned

        total = 0
        while pruned := await self._database.transaction(step):
            total += pruned
        return total

    async def renumber(self) -> int:
        """After a restore into another server: so that followers and the broker get what comes; how many events.

        Nobody may write meanwhile. Raises DatabaseUnavailable.
        """
        return await self._database.transaction(audit.renumber, budget=RENUMBERED_WITHIN)

    @contextmanager
    def _following(self) -> Iterator[None]:
        if self._followers >= self._most_followers:
            raise Overloaded("too many callers follow the audit log at once")
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1

    async def _start(self, after: UUID | None) -> Position:
        if after is None:
            return await self._database.autocommit(audit.newest)
        found = await self._database.autocommit(lambda connection: audit.find(connection, after))
        if found is None:
            raise NotFound("after_event_id: there is no such event")
        return found

    async def _grows_beyond(self, position: Position, *, within: float) -> bool:
        """Waits until it does; False after so many seconds in which it did not."""
        try:
            async with asyncio.timeout(within):
                while self._newest <= position:
                    await self._grown.wait()
        except TimeoutError:
            return False
        return True


def _listing(wanted: AuditFilter) -> str:
    """The same words for the same filter, in every replica."""
    types = ",".join(sorted(wanted.types)) if wanted.types is not None else None
    since, until = (each.isoformat() if each else None for each in (wanted.since, wanted.until))
    return f"audit {types} {wanted.subject_id} {wanted.actor_id} {wanted.outcome} {since} {until} {wanted.request_id}"


def _position(last: Recorded) -> str:
    return f"{last.event.occurred_at.isoformat()} {last.position.number}"


def _moment_and_number(position: str) -> tuple[datetime, int]:
    moment, _, number = position.partition(" ")
    return datetime.fromisoformat(moment), int(number)
