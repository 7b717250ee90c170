"""Sessions and revocations on both databases."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest

from auth_service.domain import sessions as rules
from auth_service.domain.people import Identity, Person
from auth_service.domain.sessions import Session, SessionPolicy
from auth_service.storage import people, revocations, sessions
from auth_service.storage.database import Connection, Database
from auth_service.storage.revocations import Revocation
from tests.domain.rings import NOON
from tests.storage.rivals import all_at_once, replicas

POLICY = SessionPolicy(
    idle_lifetime=timedelta(hours=12), absolute_lifetime=timedelta(days=30), replay_window=timedelta(seconds=10)
)
HERE = uuid4()
ADA = Identity("uows", "17", username="ada", display_name="Ada", user_number=17)


async def signed_in(database: Database, *, policy: SessionPolicy = POLICY) -> tuple[Session, Person]:
    async def step(connection: Connection) -> tuple[Session, Person]:
        person = await people.remember(connection, ADA, now=NOON)
        assert person is not None
        session = rules.start(person.id, now=NOON, policy=policy)
        await sessions.add(connection, session)
        return session, person

    return await database.transaction(step)


def successor_of(session: Session) -> Session:
    return replace(session, generation=session.generation + 1, rotated_at=NOON + timedelta(minutes=session.generation))


async def test_a_session_is_found_as_it_was_added_with_its_person(database: Database) -> None:
    session, person = await signed_in(database)

    assert await database.autocommit(lambda connection: sessions.find(connection, session.id)) == (session, person)
    assert await database.autocommit(lambda connection: sessions.find(connection, uuid4())) is None


@pytest.mark.parametrize("how_many_replicas", [1, 4])
async def test_of_fifty_rivals_exactly_one_spends_a_generation(database_url: str, how_many_replicas: int) -> None:
    async with replicas(database_url, how_many_replicas) as databases:
        session, _ = await signed_in(databases[0])
        for _ in range(5):
            successor = successor_of(session)

            outcomes = await all_at_once(
                databases,
                partial(sessions.rotate, successor=successor, by=HERE),
                times=50,
            )

            assert sorted(map(bool, outcomes)) == [False] * 49 + [True]
            found = await databases[-1].autocommit(partial(sessions.find, session_id=session.id))
            assert found is not None
            session = found[0]
            assert session == replace(successor, rotated_by=HERE)


async def test_rivals_without_a_transaction_of_their_own_have_one_winner_too(database_url: str) -> None:
    async with replicas(database_url, 3) as databases:
        session, _ = await signed_in(databases[0])

        async def spend(number: int) -> bool:
            successor = successor_of(session)
            return await databases[number % 3].autocommit(
                lambda connection: sessions.rotate(connection, successor, by=HERE)
            )

        outcomes = await asyncio.gather(*map(spend, range(50)))

        assert outcomes.count(True) == 1


async def test_an_ended_session_is_neither_rotated_nor_ended_again(database: Database) -> None:
    session, _ = await signed_in(database)

    async def end(connection: Connection) -> UUID | None:
        return await sessions.end(connection, session.id, reason="logout", now=NOON)

    assert await database.autocommit(end) == session.person_id
    assert await database.autocommit(end) is None
    assert not await database.autocommit(lambda connection: sessions.rotate(connection, successor_of(session), by=HERE))
    found = await database.autocommit(lambda connection: sessions.find(connection, session.id))
    assert found is not None
    assert found[0] == replace(session, ended_at=NOON)


async def test_sessions_are_swept_in_batches_once_they_expired(database: Database) -> None:
    policy = replace(POLICY, idle_lifetime=timedelta(hours=1))
    for _ in range(5):
        await signed_in(database, policy=policy)
    kept, _ = await signed_in(database)

    async def sweep(connection: Connection) -> int:
        return await sessions.sweep(connection, before=NOON + timedelta(hours=2), most=3)

    assert [await database.autocommit(sweep) for _ in range(3)] == [3, 2, 0]
    assert await database.autocommit(lambda connection: sessions.find(connection, kept.id)) is not None


async def test_revocations_are_told_from_a_moment_on_while_they_matter_and_then_swept(database: Database) -> None:
    minute = timedelta(minutes=1)
    made = [Revocation(uuid4(), NOON + age * minute, NOON + (age + 10) * minute) for age in range(4)]
    await database.transaction(lambda connection: revocations.add(connection, *made))

    async def since(connection: Connection) -> tuple[Revocation, ...]:
        return await revocations.since(connection, NOON + minute, now=NOON + 11 * minute)

    async def sweep(connection: Connection) -> int:
        return await revocations.sweep(connection, before=NOON + 12 * minute, most=1)

    assert await database.autocommit(since) == tuple(made[2:])
    assert [await database.autocommit(sweep) for _ in range(3)] == [1, 1, 0]
    assert await database.autocommit(since) == tuple(made[2:])


async def test_all_live_sessions_of_a_person_end_but_the_one_to_keep(database: Database) -> None:
    started = [(await signed_in(database))[0] for _ in range(3)]
    person_id, keep = started[0].person_id, started[2].id

    async def end_all(**which: UUID) -> set[UUID]:
        ended = await database.transaction(
            lambda connection: sessions.end_all(connection, person_id, reason="password", now=NOON, **which)
        )
        return set(ended)

    assert await end_all(only=started[0].id) == {started[0].id}
    assert await end_all(keep=keep) == {started[1].id}
    assert await end_all(only=uuid4()) == set()
    assert await end_all() == {keep}
    assert await end_all() == set()
