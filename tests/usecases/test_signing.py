"""The key ring among several replicas: one ring, one signer, whatever happens at once or halfway."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from auth_service.domain import keys as rules
from auth_service.domain.audit import OPERATOR, AuditFilter
from auth_service.domain.errors import DatabaseUnavailable, KeyState, NotFound, RingChanged, SigningUnavailable
from auth_service.domain.keys import KeyRing, State
from auth_service.domain.sealing import KeyEncryptionKeys
from auth_service.storage import audit
from auth_service.storage import signing_keys as storage
from auth_service.storage.database import Connection, Database
from auth_service.storage.opening import open_database
from auth_service.usecases.published_keys import CAREFUL_FOR
from auth_service.usecases.signing import SigningKeys
from tests.conftest import BUDGET
from tests.storage.rivals import replicas
from tests.usecases.replica import KEY_POLICY, SECRET, Ticker, signing_keys, signing_threads

T = TypeVar("T")
SEALING = KeyEncryptionKeys([SECRET])


async def stored(database: Database) -> KeyRing:
    return await database.autocommit(storage.read)


async def assert_agreed(database: Database, *views: SigningKeys) -> KeyRing:
    """After a tick of each they hold the ring of the database and sign with its active key."""
    for view in views:
        await view.tick()
    ring = await stored(database)
    for view in views:
        assert view.ring.version == ring.version
        assert {key.kid: key.state for key in view.ring.keys} == {key.kid: key.state for key in ring.keys}
        assert view.signer().kid == ring.active.kid
        assert {each["kid"] for each in json.loads(view.published().document)["keys"]} == {
            key.kid for key in ring.published
        }
        assert set(view.verifying.current()) == {key.kid for key in ring.published}
    states = [key.state for key in ring.keys]
    assert states.count(State.ACTIVE) == states.count(State.STANDBY) == 1
    return ring


async def told_of(database: Database) -> list[tuple[str, str, Mapping[str, str]]]:
    """What the audit log holds, newest first: what, what kind of actor, details."""
    found = await database.autocommit(lambda connection: audit.page(connection, AuditFilter(), before=None, most=10))
    return [(each.event.type, each.event.actor_kind, each.event.details) for each in found]


async def test_before_there_is_a_ring_nothing_is_signed_published_or_changed(
    database: Database, workers: Executor
) -> None:
    keys = signing_keys(database, workers)

    for attempt in (keys.signer, keys.published):
        with pytest.raises(SigningUnavailable):
            attempt()
    for change in (keys.rotate(origin=OPERATOR), keys.revoke("kid", origin=OPERATOR), keys.rewrap()):
        with pytest.raises(SigningUnavailable):
            await change
    assert not keys.has_lease


async def test_replicas_that_start_at_once_on_an_empty_database_make_one_ring(
    database_url: str, workers: Executor
) -> None:
    async with replicas(database_url, 3) as databases:
        views = [signing_keys(database, workers) for database in databases]

        await asyncio.gather(*(view.tick() for view in views))

        ring = await assert_agreed(databases[0], *views)
        assert ring.version == 1
        assert len(ring.keys) == 2


@pytest.mark.row("S25")
async def test_of_replicas_that_rotate_one_version_exactly_one_wins(database_url: str, workers: Executor) -> None:
    async with replicas(database_url, 3) as databases:
        views = [signing_keys(database, workers) for database in databases]
        before = await assert_agreed(databases[0], *views)

        outcomes = await asyncio.gather(
            *(view.rotate(origin=OPERATOR, ring_version=1) for view in views), return_exceptions=True
        )

        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["KeyRing", "RingChanged", "RingChanged"]
        ring = await assert_agreed(databases[0], *views)
        assert ring.version == 2
        assert ring.active.kid == before.standby.kid
        assert len(ring.keys) == 3
        # Those that lost have told nothing.
        assert [(what, who) for what, who, _ in await told_of(databases[0])] == [("signing_key.rotated", "operator")]


@pytest.mark.row("S25")
async def test_a_rotation_that_is_due_is_made_once_however_many_replicas_notice(
    database_url: str, workers: Executor
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=60)
    old = [rules.generate(now=long_ago, policy=KEY_POLICY, sealing=SEALING) for _ in range(2)]
    ring = rules.first_ring(KeyRing(0), active=old[0], standby=old[1], now=long_ago)
    async with replicas(database_url, 3) as databases:
        await databases[0].transaction(lambda connection: storage.swap(connection, old=KeyRing(0), new=ring))
        views = [signing_keys(database, workers) for database in databases]

        await asyncio.gather(*(view.tick() for view in views))

        after = await assert_agreed(databases[0], *views)
        assert after.version == 2
        assert after.active.kid == old[1].kid
        assert after.get(old[0].kid).state is State.RETIRING
        ((what, who, details),) = await told_of(databases[0])
        assert (what, who) == ("signing_key.rotated", "system")
        assert details == {"kid": old[1].kid, "demoted_kid": old[0].kid}


async def test_the_lease_ends_the_signing_and_not_the_publishing(database: Database, workers: Executor) -> None:
    ticker = Ticker()
    keys = signing_keys(database, workers, ticker=ticker)
    await keys.tick()

    ticker.turn(KEY_POLICY.signer_lease - timedelta(seconds=1))
    assert keys.signer().kid == keys.ring.active.kid
    ticker.turn(timedelta(seconds=1))

    assert not keys.has_lease
    with pytest.raises(SigningUnavailable):
        keys.signer()
    assert len(keys.published().keys) == len(keys.verifying.current()) == 2
    await keys.tick()
    assert keys.signer().kid == keys.ring.active.kid


async def test_without_the_database_a_replica_signs_from_memory_until_its_lease_ends(
    database_url: str, workers: Executor
) -> None:
    database, ticker = open_database(database_url, budget=BUDGET), Ticker()
    keys = signing_keys(database, workers, ticker=ticker)
    await keys.tick()
    await database.close()

    ticker.turn(timedelta(seconds=59))
    with pytest.raises(DatabaseUnavailable):
        await keys.tick()
    assert keys.signer()

    ticker.turn(timedelta(seconds=1))
    with pytest.raises(SigningUnavailable):
        keys.signer()
    assert keys.published()


async def test_a_replica_never_signs_for_longer_than_any_lease_that_the_others_count_on(
    database: Database, workers: Executor
) -> None:
    await signing_keys(database, workers).tick()
    ticker = Ticker()
    longer = LostSwap(database, when="before")
    keys = signing_keys(longer, workers, ticker=ticker, policy=replace(KEY_POLICY, signer_lease=timedelta(hours=1)))

    with pytest.raises(DatabaseUnavailable):
        await keys.tick()

    ticker.turn(timedelta(seconds=60))
    assert not keys.has_lease


async def test_a_replica_without_the_sealing_key_signs_nothing_and_publishes_everything(
    database: Database, workers: Executor
) -> None:
    await signing_keys(database, workers).tick()
    stranger = signing_keys(database, workers, sealing=KeyEncryptionKeys([b"x" * 32]))

    await stranger.tick()

    with pytest.raises(SigningUnavailable):
        stranger.signer()
    assert not stranger.has_lease
    ring = await stored(database)
    assert {key.kid for key in stranger.published().keys} == {key.kid for key in ring.published}
    assert set(stranger.verifying.current()) == {key.kid for key in ring.published}


class LostSwap(Database):
    """The same database, but transactions fail: `before` they begin, or with the answer lost `after` the commit."""

    def __init__(self, database: Database, *, when: str) -> None:
        super().__init__(database._driver, budget=BUDGET)
        self._when = when

    async def transaction(self, step: Callable[[Connection], Awaitable[T]], *, budget: timedelta | None = None) -> T:
        if self._when == "before":
            raise DatabaseUnavailable
        result = await super().transaction(step, budget=budget)
        if self._when == "after":
            raise DatabaseUnavailable
        return result


async def test_a_longer_lifetime_is_recorded_before_anything_is_signed_for_it(
    database: Database, workers: Executor
) -> None:
    old = signing_keys(database, workers)
    await old.tick()
    longer = replace(KEY_POLICY, token_lifetime=timedelta(hours=1))

    cannot_write = signing_keys(LostSwap(database, when="before"), workers, policy=longer)
    with pytest.raises(DatabaseUnavailable):
        await cannot_write.tick()
    assert cannot_write.signer().lifetime == timedelta(minutes=10)

    newer = signing_keys(database, workers, policy=longer)
    await newer.tick()
    assert newer.signer().lifetime == timedelta(hours=1)
    assert (await stored(database)).active.covers_lifetime == timedelta(hours=1)
    await old.tick()
    assert old.signer().lifetime == timedelta(minutes=10)


async def test_revoking_the_active_key_lets_the_standby_sign_and_asks_verifiers_to_look_again_soon(
    database: Database, workers: Executor
) -> None:
    views = [signing_keys(database, workers) for _ in range(2)]
    before = await assert_agreed(database, *views)

    await views[0].revoke(before.active.kid, ring_version=1, origin=OPERATOR)

    after = await assert_agreed(database, *views)
    assert after.active.kid == before.standby.kid
    assert after.get(before.active.kid).state is State.REVOKED
    revoked_at = after.get(before.active.kid).withdrawn_at
    assert revoked_at is not None
    for view in views:
        assert before.active.kid not in view.verifying.current()
        assert view.published().is_careful(revoked_at + CAREFUL_FOR - timedelta(seconds=1))
        assert not view.published().is_careful(revoked_at + CAREFUL_FOR)
    assert (await views[0].revoke(before.active.kid, origin=OPERATOR)).version == after.version


async def test_an_operator_who_looked_at_another_version_or_names_no_key_changes_nothing(
    database: Database, workers: Executor
) -> None:
    keys = signing_keys(database, workers)
    await keys.tick()

    with pytest.raises(RingChanged, match="at version 1, not at 9"):
        await keys.rotate(origin=OPERATOR, ring_version=9)
    with pytest.raises(RingChanged):
        await keys.revoke(keys.ring.active.kid, ring_version=9, origin=OPERATOR)
    with pytest.raises(NotFound):
        await keys.revoke("nobody", origin=OPERATOR)
    with pytest.raises(KeyState, match="published too recently"):
        await keys.rotate(origin=OPERATOR, require_published_ahead=True)

    assert (await stored(database)).version == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("change", ["rotate", "revoke"])
async def test_a_change_whose_answer_is_lost_happened_wholly_or_not_at_all(
    database: Database, workers: Executor, when: str, change: str
) -> None:
    keys = signing_keys(database, workers)
    await keys.tick()
    before = keys.ring
    crashing = signing_keys(LostSwap(database, when=when), workers)
    await crashing._read()

    with pytest.raises(DatabaseUnavailable):
        await (
            crashing.rotate(origin=OPERATOR)
            if change == "rotate"
            else crashing.revoke(before.active.kid, origin=OPERATOR)
        )

    after = await assert_agreed(database, keys)
    assert after.version == (2 if when == "after" else 1)
    assert after.active.kid == (before.standby if when == "after" else before.active).kid
    # Not again: what was committed is read, not repeated.
    assert (await assert_agreed(database, keys, signing_keys(database, workers))).version == after.version


async def test_a_caller_who_leaves_while_the_new_key_is_opened_leaves_no_replica_signing_with_the_old_one(
    database: Database,
) -> None:
    with signing_threads() as workers:
        keys = signing_keys(database, workers)
        await keys.tick()
        demoted = keys.ring.active.kid
        hold = threading.Event()
        held = [workers.submit(hold.wait) for _ in range(2)]

        rotating = asyncio.create_task(keys.rotate(origin=OPERATOR))
        for _ in range(3):  # The commit shows before its answer arrives.
            while await database.autocommit(storage.version) != 2:  # noqa: ASYNC110 -- a commit rings no bell
                await asyncio.sleep(0)
        rotating.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rotating
        hold.set()
        await asyncio.gather(*map(asyncio.wrap_future, held))
        await keys.tick()

        assert keys.ring.version == 2
        assert keys.signer().kid == keys.ring.active.kid != demoted


class SlowSealing(KeyEncryptionKeys):
    """Makes every key take half a minute, by the clock that the test turns."""

    def __init__(self, ticker: Ticker) -> None:
        super().__init__([SECRET])
        self._ticker = ticker

    def seal(self, plain: bytes, *, kid: str, purpose: str) -> bytes:
        self._ticker.turn(timedelta(seconds=30))
        return super().seal(plain, kid=kid, purpose=purpose)


async def test_a_key_counts_as_demoted_when_it_was_and_not_when_its_successor_was_begun(
    database: Database, workers: Executor
) -> None:
    await signing_keys(database, workers).tick()
    ticker = Ticker()
    clock_before = signing_keys(database, workers, ticker=ticker, sealing=SlowSealing(ticker))
    await clock_before.tick()
    begun = clock_before._clock.now()
    demoted = clock_before.ring.active.kid

    ring = await clock_before.rotate(origin=OPERATOR)

    demoted_at = ring.get(demoted).demoted_at
    assert demoted_at is not None
    assert demoted_at >= begun + timedelta(seconds=30)


async def test_rewrapping_moves_every_private_half_to_the_first_sealing_key(
    database: Database, workers: Executor
) -> None:
    await signing_keys(database, workers).tick()
    both = signing_keys(database, workers, sealing=KeyEncryptionKeys([b"n" * 32, SECRET]))
    await both.tick()

    assert await both.rewrap() == 2
    assert await both.rewrap() == 0

    new = signing_keys(database, workers, sealing=KeyEncryptionKeys([b"n" * 32]))
    await assert_agreed(database, new, both)
