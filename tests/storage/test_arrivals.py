"""People whom another system vouched for, arriving: on both databases, though one of them does it in one statement."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from auth_service.domain import sessions as rules
from auth_service.domain.audit import AuditEvent, AuditFilter, EventType, Origin, happened
from auth_service.domain.people import Identity, Person
from auth_service.domain.sessions import Session, SessionPolicy
from auth_service.storage import arrivals, audit, people, sessions
from auth_service.storage.database import Connection, Database, Statement
from auth_service.storage.schema import person as people_table
from tests.domain.rings import NOON

POLICY = SessionPolicy(
    idle_lifetime=timedelta(hours=12), absolute_lifetime=timedelta(days=30), replay_window=timedelta(seconds=10)
)
ADA = Identity("uows", "17", username="Ada", display_name="Ada Łovelace", user_number=17)
EVERYTHING = AuditFilter()


async def arrive(
    database: Database, identity: Identity = ADA, *, now: datetime = NOON
) -> tuple[Person | None, Session, AuditEvent]:
    session = rules.start(uuid4(), now=now, policy=POLICY, address="192.0.2.7", user_agent="a browser")
    event = happened(
        EventType.SESSION_STARTED,
        origin=Origin(address="192.0.2.7", request_id="r1"),
        now=now,
        on=session.person_id,
        by=session.person_id,
        session_id=str(session.id),
    )
    person = await database.chained(lambda connection: arrivals.arrived(connection, identity, session, event, now=now))
    return person, session, event


async def events(database: Database) -> list[AuditEvent]:
    page = await database.autocommit(lambda connection: audit.page(connection, EVERYTHING, before=None, most=10))
    return [each.event for each in page]


def setting(column: str, value: datetime | None, of: UUID) -> Callable[[Connection], Awaitable[int]]:
    statement = Statement(
        sa.update(people_table).where(people_table.c.id == sa.bindparam("of")).values({column: sa.bindparam("value")})
    )
    return lambda connection: connection.run(statement, of=of, value=value)


async def test_whoever_arrives_has_a_session_and_an_event_of_their_own(database: Database) -> None:
    person, session, event = await arrive(database)

    assert person is not None
    found = await database.autocommit(lambda connection: sessions.find(connection, session.id))
    assert found == (replace(session, person_id=person.id), person)
    assert await events(database) == [replace(event, actor_id=person.id, subject_id=person.id)]


async def test_whoever_was_here_before_stays_who_they_are_with_what_is_new_of_them(database: Database) -> None:
    first, _, _ = await arrive(database)
    assert first is not None

    later = NOON + timedelta(days=1)
    again, session, event = await arrive(database, replace(ADA, display_name="A.", user_number=18), now=later)

    assert again == replace(first, display_name="A.", user_number=18, provider_checked_at=later)
    found = await database.autocommit(lambda connection: sessions.find(connection, session.id))
    assert found is not None
    assert found[0].person_id == first.id
    assert (await events(database))[0] == replace(event, actor_id=first.id, subject_id=first.id)


@pytest.mark.parametrize("state", ["disabled_at", "deleted_at"])
async def test_for_whoever_may_not_sign_in_nothing_is_written(database: Database, state: str) -> None:
    person, _, _ = await arrive(database)
    assert person is not None
    await database.autocommit(setting(state, NOON, person.id))

    refused, session, _ = await arrive(database, replace(ADA, display_name="Somebody else"))

    assert refused is None
    assert await database.autocommit(lambda connection: sessions.find(connection, session.id)) is None
    assert len(await events(database)) == 1
    known = await database.autocommit(lambda connection: people.identified(connection, ADA))
    assert known is not None
    assert (known.id, known.display_name, known.may_sign_in) == (person.id, ADA.display_name, False)


async def test_whoever_is_disabled_at_the_same_moment_either_has_a_session_to_be_ended_or_none(
    database: Database,
) -> None:
    person, _, _ = await arrive(database)
    assert person is not None

    async def disabled(connection: Connection) -> tuple[UUID, ...]:
        await setting("disabled_at", NOON, person.id)(connection)
        return await sessions.end_all(connection, person.id, reason="person", now=NOON)

    for _ in range(10):
        (came, session, _), ended = await asyncio.gather(arrive(database), database.transaction(disabled))

        found = await database.autocommit(partial(sessions.find, session_id=session.id))
        assert (found is not None) == (came is not None)
        assert found is None or session.id in ended
        await database.autocommit(setting("disabled_at", None, person.id))
