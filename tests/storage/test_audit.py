"""The audit log on both databases: nobody rewrites it, and whoever follows it misses nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from auth_service.domain.audit import OPERATOR, AuditEvent, AuditFilter, EventType, Origin, happened
from auth_service.domain.errors import InvalidInput
from auth_service.domain.pages import PageTokens
from auth_service.domain.sealing import KeyEncryptionKeys
from auth_service.storage import audit, publications
from auth_service.storage.audit import BEGINNING, Position
from auth_service.storage.database import Connection, Database, Statement
from auth_service.storage.schema import audit_event
from auth_service.usecases.audit_log import AuditLog
from tests.storage.rivals import replicas

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=31)


def event(at: datetime | None = None) -> AuditEvent:
    return happened(EventType.ROLE_GRANTED, origin=Origin(), now=at or datetime.now(UTC), on=uuid4())


async def write(database: Database, *events: AuditEvent) -> None:
    async def step(connection: Connection) -> None:
        for each in events:
            await audit.add(connection, each)

    await database.transaction(step)


async def ids(database: Database) -> list[UUID]:
    found = await database.autocommit(partial(audit.page, wanted=AuditFilter(), before=None, most=1000))
    return [each.event.id for each in found]


HOLDER = uuid4()


async def held(connection: Connection) -> Position:
    await publications.begin(connection, "events")
    now = datetime.now(UTC)
    position = await publications.hold(connection, "events", holder=HOLDER, now=now, until=now)
    assert position is not None
    return position


async def published(connection: Connection, *, to: Position) -> None:
    await held(connection)
    assert await publications.advance(connection, "events", holder=HOLDER, to=to)


@asynccontextmanager
async def as_owner(url: str) -> AsyncIterator[AsyncConnection]:
    """Past the service, as somebody who may change tables."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        yield connection
    await engine.dispose()


@pytest.mark.row("E17")
async def test_an_event_is_what_was_written(database: Database) -> None:
    written = happened(
        EventType.SESSION_REFUSED,
        origin=Origin(address="192.0.2.7", request_id="a-call"),
        now=LONG_AGO,
        on=uuid4(),
        outcome="refused",
        reason="BAD_CREDENTIALS",
        name='"; drop table audit_event; --',
    )

    await write(database, written)

    (found,) = await database.autocommit(partial(audit.after, position=BEGINNING, most=10))
    assert found.event == written


async def changed(connection: Connection, statement: Statement) -> int:
    return await connection.run(statement)


@pytest.mark.row("E17")
async def test_the_log_cannot_be_rewritten(database: Database) -> None:
    young, old = event(), event(LONG_AGO)
    await write(database, young, old)

    for statement in (
        sa.update(audit_event).where(audit_event.c.event_id == old.id).values(type="nothing"),
        sa.delete(audit_event).where(audit_event.c.event_id == young.id),
        sa.delete(audit_event),
    ):
        with pytest.raises(Exception, match="audit log"):
            await database.transaction(partial(changed, statement=Statement(statement)))

    assert set(await ids(database)) == {young.id, old.id}


@pytest.mark.row("E17")
async def test_an_event_goes_with_the_transaction_that_it_tells_of(database: Database) -> None:
    async def step(connection: Connection) -> None:
        await audit.add(connection, event())
        raise LookupError

    with pytest.raises(LookupError):
        await database.transaction(step)

    assert await ids(database) == []


async def test_pruning_keeps_a_month_and_says_that_it_happened(database: Database) -> None:
    young, old = event(), [event(LONG_AGO + timedelta(minutes=number)) for number in range(1200)]
    await write(database, young, *old)
    log = AuditLog(database, page_tokens=PageTokens(KeyEncryptionKeys([b"k" * 32])))

    with pytest.raises(InvalidInput):
        await log.prune(before=datetime.now(UTC) - timedelta(days=29), origin=OPERATOR)
    pruned = await log.prune(before=datetime.now(UTC) - MONTH, origin=OPERATOR)

    assert pruned == 1200
    kept = await database.autocommit(partial(audit.page, wanted=AuditFilter(), before=None, most=1000))
    told = [each.event for each in kept if each.event.id != young.id]
    assert {each.type for each in told} == {"audit.pruned"}
    assert sum(int(each.details["count"]) for each in told) == 1200
    assert young.id in {each.event.id for each in kept}


async def test_pruning_keeps_what_waits_for_the_broker(database: Database) -> None:
    sent, waiting = event(LONG_AGO), event(LONG_AGO)
    await write(database, sent)
    await write(database, waiting)
    first, _ = await database.autocommit(partial(audit.after, position=BEGINNING, most=2))
    await database.transaction(partial(published, to=first.position))

    pruned = await database.transaction(partial(audit.prune, before=datetime.now(UTC) - MONTH, most=10))

    assert pruned == 1
    assert await ids(database) == [waiting.id]


async def test_whoever_follows_waits_for_the_oldest_transaction(postgres_url: str) -> None:
    async with replicas(postgres_url, 2) as (here, there):
        late, early, later = event(), event(), event()
        has_written, may_commit = asyncio.Event(), asyncio.Event()

        async def slow(connection: Connection) -> None:
            await audit.add(connection, late)
            has_written.set()
            await may_commit.wait()

        writing = asyncio.create_task(here.transaction(slow))
        await has_written.wait()
        await write(there, early)

        assert await there.autocommit(partial(audit.after, position=BEGINNING, most=10)) == []
        assert await there.autocommit(audit.newest) == BEGINNING
        may_commit.set()
        await writing
        await write(there, later)

        found = await there.autocommit(partial(audit.after, position=BEGINNING, most=10))
        assert [each.event.id for each in found] == [late.id, early.id, later.id]


async def test_a_log_from_another_server_is_followed_again_once_it_is_renumbered(postgres_url: str) -> None:
    async with replicas(postgres_url, 1) as (database,):
        await write(database, *(event() for _ in range(3)))
        raised = sa.text("UPDATE audit_event SET transaction_number = transaction_number + 1000000000")
        async with as_owner(postgres_url) as owner:
            # What a dump brings along, trigger or no trigger.
            await owner.execute(sa.text("ALTER TABLE audit_event DISABLE TRIGGER audit_event_is_append_only"))
            await owner.execute(raised)
            await owner.execute(sa.text("ALTER TABLE audit_event ENABLE TRIGGER audit_event_is_append_only"))
        rows = await database.autocommit(partial(audit.page, wanted=AuditFilter(), before=None, most=10))
        first, second, third = sorted(rows, key=lambda each: each.position)
        await database.transaction(partial(published, to=first.position))
        assert await database.autocommit(audit.is_ahead)
        assert await database.autocommit(partial(audit.after, position=BEGINNING, most=10)) == []

        assert await database.transaction(audit.renumber) == 3

        new = event()
        await write(database, new)
        assert not await database.autocommit(audit.is_ahead)
        cursor = await database.transaction(held)
        followed = await database.autocommit(partial(audit.after, position=cursor, most=10))
        assert [each.event.id for each in followed] == [second.event.id, third.event.id, new.id]


async def test_following_batch_by_batch_finds_everything_that_many_write_at_once(database_url: str) -> None:
    async with replicas(database_url, 3) as databases:
        written = [[event() for _ in range(40)] for _ in databases]
        found: list[UUID] = []

        async def writes(database: Database, events: list[AuditEvent]) -> None:
            for each in events:
                await write(database, each)

        async def follows() -> None:
            position: Position = BEGINNING
            while len(found) < 120:
                batch = await databases[0].autocommit(partial(audit.after, position=position, most=7))
                found.extend(each.event.id for each in batch)
                position = batch[-1].position if batch else position

        async with asyncio.timeout(60):
            await asyncio.gather(follows(), *(writes(*each) for each in zip(databases, written, strict=True)))

        assert len(set(found)) == 120
        for mine in written:
            order = [each.id for each in mine]
            assert [each for each in found if each in set(order)] == order
