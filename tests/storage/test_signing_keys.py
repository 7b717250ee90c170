"""The key ring on both databases: what is written is read, and of rival changes one wins."""

from dataclasses import replace
from datetime import UTC, timedelta, timezone
from functools import partial

import pytest

from auth_service.domain import keys
from auth_service.domain.errors import RingChanged
from auth_service.domain.keys import KeyRing, State
from auth_service.storage import signing_keys
from auth_service.storage.database import Connection, Database, UniqueViolated
from tests.domain.rings import NOON, POLICY, first_ring, of_every_state, standby
from tests.storage.rivals import all_at_once, replicas

NOTHING = KeyRing(version=0)


async def written(database: Database, ring: KeyRing) -> KeyRing:
    """`ring`'s keys, put into a database that has none."""
    await database.transaction(lambda connection: signing_keys.swap(connection, old=NOTHING, new=ring))
    return await database.autocommit(signing_keys.read)


async def test_before_the_first_ring_there_is_version_0_and_no_key(database: Database) -> None:
    assert await database.autocommit(signing_keys.read) == NOTHING
    assert await database.autocommit(signing_keys.version) == 0


async def test_a_ring_is_read_as_it_was_written(database: Database) -> None:
    ring = of_every_state()

    read = await written(database, ring)

    assert read.version == 1
    assert {key.kid: key for key in read.keys} == {key.kid: key for key in ring.keys}
    assert [key.published_at for key in read.keys] == sorted(key.published_at for key in ring.keys)
    for key in read.keys:
        assert type(key.sealed_private) in (bytes, type(None))
        moments = (key.published_at, key.activated_at, key.demoted_at, key.verifies_until, key.withdrawn_at)
        assert {moment.tzinfo for moment in moments if moment is not None} <= {UTC}


async def test_a_moment_keeps_its_microseconds_and_loses_its_zone(database: Database) -> None:
    here = (NOON + timedelta(microseconds=123_456)).astimezone(timezone(timedelta(hours=5, minutes=30)))
    ring = first_ring(now=here)

    read = await written(database, ring)

    assert read.active.activated_at == here
    assert read.active.activated_at is not None
    assert read.active.activated_at.utcoffset() == timedelta(0)


async def test_only_what_changed_is_written_and_the_version_goes_up_by_one(database: Database) -> None:
    ring = await written(database, first_ring())
    rotated = keys.rotated(ring, fresh=standby(), now=NOON + timedelta(days=31), policy=POLICY)

    await database.transaction(lambda connection: signing_keys.swap(connection, old=ring, new=rotated))

    read = await database.autocommit(signing_keys.read)
    assert await database.autocommit(signing_keys.version) == read.version == 2
    assert (read.active, read.standby) == (rotated.active, rotated.standby)
    assert read.get(ring.active.kid).state is State.RETIRING


async def test_a_ring_that_changed_meanwhile_is_not_replaced(database: Database) -> None:
    ring = await written(database, first_ring())
    stale = replace(ring, version=7)
    new = keys.rotated(stale, fresh=standby(), now=NOON, policy=POLICY)

    with pytest.raises(RingChanged, match="at version 1, not at 7"):
        await database.transaction(lambda connection: signing_keys.swap(connection, old=stale, new=new))

    assert await database.autocommit(signing_keys.read) == ring


@pytest.mark.parametrize("start", ["from nothing", "from a ring"])
async def test_of_rival_changes_exactly_one_wins(database_url: str, start: str) -> None:
    async with replicas(database_url, 3) as databases:
        ring = NOTHING if start == "from nothing" else await written(databases[0], first_ring())

        async def swap(connection: Connection) -> KeyRing:
            if ring.is_empty:
                new = keys.first_ring(ring, active=standby(), standby=standby(), now=NOON)
            else:
                new = keys.rotated(ring, fresh=standby(), now=NOON, policy=POLICY)
            await signing_keys.swap(connection, old=ring, new=new)
            return new

        outcomes = await all_at_once(databases, swap, times=30)

        [winner] = [outcome for outcome in outcomes if isinstance(outcome, KeyRing)]
        assert {type(outcome) for outcome in outcomes if outcome is not winner} == {RingChanged}
        read = await databases[1].autocommit(signing_keys.read)
        assert read.version == winner.version
        assert {key.kid: key for key in read.keys} == {key.kid: key for key in winner.keys}


@pytest.mark.parametrize("state", [State.ACTIVE, State.STANDBY])
async def test_the_database_refuses_a_second_signer_and_a_second_successor(database: Database, state: State) -> None:
    ring = await written(database, first_ring())
    second = ring.with_keys(replace(standby(), state=state))

    with pytest.raises(UniqueViolated):
        await database.transaction(lambda connection: signing_keys.swap(connection, old=ring, new=second))

    assert await database.autocommit(signing_keys.read) == ring


async def test_a_promotion_never_stumbles_over_the_order_of_its_rows(database: Database) -> None:
    """The unique indexes look at each row as it is written."""
    ring = await written(database, first_ring())
    for change in ("rotate", "revoke the active", "revoke the standby", "rotate"):
        if change == "rotate":
            new = keys.rotated(ring, fresh=standby(), now=NOON, policy=POLICY)
        else:
            bad = ring.active if change == "revoke the active" else ring.standby
            new = keys.without(ring, bad.kid, fresh=standby(), now=NOON)
        await database.transaction(partial(signing_keys.swap, old=ring, new=new))
        ring = await database.autocommit(signing_keys.read)
        assert {key.kid: key for key in ring.keys} == {key.kid: key for key in new.keys}
