"""What leaves for the broker: everything, at least once, in order, and without anybody waiting for it."""

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from auth_service.background import in_background
from auth_service.domain.audit import AuditEvent, EventType, Origin, happened
from auth_service.domain.cloud_events import BrokerUnavailable, CloudEvent, cloud_event
from auth_service.storage import audit
from auth_service.storage.database import Connection, Database, DatabaseClock
from auth_service.usecases.publishing import LEASE, Publishing
from tests.domain.rings import NOON
from tests.storage.rivals import replicas
from tests.support.conditions import eventually

SOURCE = "https://auth.facility.example"
MOMENTS = timedelta(milliseconds=5)


class Shelf:
    """A broker that keeps what it takes, and is away when it is told to."""

    def __init__(self) -> None:
        self.taken: list[CloudEvent] = []
        self.is_away = False
        self.loses_the_answer = False

    async def publish(self, events: Sequence[CloudEvent]) -> int:
        if self.is_away:
            raise BrokerUnavailable("away")
        self.taken += events
        if self.loses_the_answer:
            self.loses_the_answer = False
            raise BrokerUnavailable("it took them, but who knows")
        return 0

    async def close(self) -> None:
        return None

    @property
    def ids(self) -> list[UUID]:
        return [UUID(each.id) for each in self.taken]


class Noon:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def clock(self) -> DatabaseClock:
        clock = DatabaseClock(lambda: self.seconds)
        clock.told(NOON, asked_at=0.0)
        return clock


def publishing(database: Database, broker: Any, time: Noon | None = None) -> Publishing:
    clock = (time or Noon()).clock()
    return Publishing(database, broker=broker, source=SOURCE, clock=clock, pause=MOMENTS)


async def write(database: Database, *events: AuditEvent) -> None:
    async def step(connection: Connection) -> None:
        for event in events:
            await audit.add(connection, event)

    await database.transaction(step)


def events(count: int, *, on: UUID | None = None) -> list[AuditEvent]:
    return [
        happened(
            EventType.ROLE_GRANTED, origin=Origin(request_id=f"call-{number}"), now=NOON, on=on or uuid4(), role="r"
        )
        for number in range(count)
    ]


@pytest.mark.row("E19")
async def test_a_new_deployment_publishes_the_whole_log_in_its_order(database: Database) -> None:
    written, shelf = events(450), Shelf()
    await write(database, *written)
    mine = publishing(database, shelf)

    while await mine.turn():
        pass

    assert shelf.ids == [each.id for each in written]
    assert (mine.published, mine.waiting) == (450, 0)


@pytest.mark.row("E19")
async def test_a_broker_that_is_away_loses_nothing(database: Database) -> None:
    written, shelf = events(250), Shelf()
    mine = publishing(database, shelf)
    shelf.is_away = True
    await write(database, *written[:100])
    for _ in range(3):
        with pytest.raises(BrokerUnavailable):
            await mine.turn()
    assert mine.waiting == 100

    await write(database, *written[100:])
    shelf.is_away = False
    while await mine.turn():
        pass

    assert shelf.ids == [each.id for each in written]


async def test_what_may_have_been_taken_is_sent_again(database: Database) -> None:
    written, shelf = events(3), Shelf()
    await write(database, *written)
    mine = publishing(database, shelf)
    shelf.loses_the_answer = True

    with pytest.raises(BrokerUnavailable):
        await mine.turn()
    await mine.turn()

    assert shelf.ids == [each.id for each in written] * 2


async def test_another_replica_goes_on_where_one_left(database_url: str) -> None:
    async with replicas(database_url, 2) as (here, there):
        written, shelf, time = events(3), Shelf(), Noon()
        one, other = publishing(here, shelf, time), publishing(there, shelf, time)
        await write(here, written[0])
        await one.turn()
        await write(here, written[1])

        assert not await other.turn()
        assert shelf.ids == [written[0].id]
        time.seconds = LEASE.total_seconds() + 1
        assert await other.turn()
        await write(here, written[2])
        assert not await one.turn()
        assert await other.turn()

        assert shelf.ids == [each.id for each in written]


async def test_a_replica_that_leaves_holds_nobody_up(database_url: str) -> None:
    async with replicas(database_url, 2) as (here, there):
        shelf, time = Shelf(), Noon()
        one, other = publishing(here, shelf, time), publishing(there, shelf, time)
        first, second = events(2)
        await write(here, first)
        async with in_background(one.run()):
            await eventually(lambda: bool(shelf.taken))
        await write(here, second)

        assert await other.turn()

        assert shelf.ids == [first.id, second.id]


async def test_a_transaction_that_commits_late_is_not_passed_over(postgres_url: str) -> None:
    """Its number and its row's are the smaller ones; it appears behind those that committed meanwhile."""
    async with replicas(postgres_url, 2) as (here, there):
        late, early = events(2)
        has_written, may_commit = asyncio.Event(), asyncio.Event()
        shelf = Shelf()
        mine = publishing(there, shelf)

        async def slow(connection: Connection) -> None:
            await audit.add(connection, late)
            has_written.set()
            await may_commit.wait()

        writing = asyncio.create_task(here.transaction(slow))
        await has_written.wait()
        await write(there, early)
        assert not await mine.turn()
        may_commit.set()
        await writing
        assert await mine.turn()

        assert shelf.ids == [late.id, early.id]


async def test_events_are_cloud_events(database: Database) -> None:
    person = uuid4()
    (written,) = events(1, on=person)

    sent = cloud_event(written, source=SOURCE)

    assert json.loads(sent.body) == {
        "specversion": "1.0",
        "id": str(written.id),
        "source": SOURCE,
        "type": "auth.role.granted",
        "subject": str(person),
        "time": NOON.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {
            "outcome": "success",
            "reason": "",
            "actor": {"kind": "anonymous", "id": ""},
            "address": "",
            "request_id": "call-0",
            "details": {"role": "r"},
        },
    }
