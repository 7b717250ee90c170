"""Who takes the key set: noted in memory, merged over replicas, bounded; and the rotation that waits for them."""

from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from auth_service.domain import keys as rules
from auth_service.domain.audit import OPERATOR, AuditFilter
from auth_service.domain.consumers import REGULAR_AFTER, Consumer, ConsumerKind, EvidencePolicy, Sighting
from auth_service.domain.errors import DatabaseUnavailable, KeyState
from auth_service.domain.keys import KeyRing
from auth_service.domain.sealing import KeyEncryptionKeys
from auth_service.storage import audit
from auth_service.storage import key_consumers as storage
from auth_service.storage import signing_keys as rings
from auth_service.storage.database import Database, DatabaseClock
from auth_service.storage.opening import open_database
from auth_service.usecases import key_consumers
from auth_service.usecases.key_consumers import KeyConsumers
from auth_service.usecases.signing import SigningKeys
from tests.conftest import BUDGET
from tests.storage.rivals import replicas
from tests.support.service import captured_logs
from tests.usecases.replica import KEY_POLICY, SECRET, Ticker, signing_keys

EVIDENCE = EvidencePolicy(recent_for=timedelta(hours=48), patience=timedelta(hours=12))
GATEWAY = Consumer(ConsumerKind.HTTP, "192.0.2.1", "Go-http-client/1.1")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True)
class View:
    """What one replica knows. Its time goes on when `ticker` is turned, until it next reads the ring."""

    database: Database
    ticker: Ticker
    consumers: KeyConsumers
    keys: SigningKeys

    def seen(self, consumer: Consumer = GATEWAY, *, showed: str = "") -> None:
        self.consumers.seen(consumer, self.keys.published(), showed=showed)


async def view_of(database: Database, workers: Executor, *, policy: EvidencePolicy = EVIDENCE) -> View:
    ticker = Ticker()
    clock = DatabaseClock(ticker)
    consumers = KeyConsumers(database, policy=policy, profiles={}, clock=clock)
    return View(
        database, ticker, consumers, signing_keys(database, workers, ticker=ticker, clock=clock, consumers=consumers)
    )


async def started(database: Database, workers: Executor, *, policy: EvidencePolicy = EVIDENCE) -> View:
    view = await view_of(database, workers, policy=policy)
    await view.keys.tick()
    return view


async def known(database: Database) -> list[Sighting]:
    return [*await database.autocommit(lambda each: storage.page(each, after=("", b""), most=100_000))]


def at(number: int) -> Consumer:
    """Somebody at an address of their own."""
    return replace(GATEWAY, address=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")


async def test_what_replicas_saw_is_one_row_with_what_the_consumer_was_given_last(
    database_url: str, workers: Executor
) -> None:
    async with replicas(database_url, 2) as databases:
        one, other = [await started(database, workers) for database in databases]
        old = one.keys.published()
        one.seen()
        one.ticker.turn(MINUTE)
        one.seen(showed=f'"{old.etag}"')
        # The other replica has a newer ring; it saw the consumer last, and tells so first.
        await other.keys.rotate(origin=OPERATOR)
        other.ticker.turn(2 * MINUTE)
        other.seen(showed=f'"{old.etag}"')

        await other.consumers.share()
        await one.consumers.share()
        await one.consumers.share()

        (seen,) = await known(databases[0])
        new = other.keys.published()
        assert seen.consumer == GATEWAY
        assert (seen.times, seen.ring_version, seen.standby_kid) == (3, new.version, new.standby_kid)
        assert seen.showed_version == old.version
        assert MINUTE < seen.last_seen_at - seen.first_seen_at <= 3 * MINUTE


async def test_noting_needs_no_database_and_nothing_is_lost_when_it_comes_back(
    database_url: str, workers: Executor
) -> None:
    database = open_database(database_url, budget=BUDGET)
    view = await started(database, workers)
    await database.close()
    view.seen()
    with pytest.raises(DatabaseUnavailable):
        await view.consumers.share()
    view.seen()

    back = open_database(database_url, budget=BUDGET)
    view.consumers._database = back  # The same database, reached again.
    await view.consumers.share()

    assert [each.times for each in await known(back)] == [2]
    await back.close()


async def test_a_flood_of_strangers_fills_no_memory_and_pushes_out_no_regular_consumer(
    sqlite_url: str, workers: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_consumers, "MOST_CONSUMERS", 100)
    monkeypatch.setattr(key_consumers, "MOST_FROM_ONE", 10)
    database = open_database(sqlite_url, budget=BUDGET)
    view = await started(database, workers)
    view.seen()
    view.ticker.turn(REGULAR_AFTER)
    view.seen()
    first_stranger, last_stranger = at(0), at(999)

    for number in range(1000):
        view.seen(at(number))
    for number in range(1000):
        # All from one address, each time under another name.
        view.seen(replace(GATEWAY, address="198.51.100.1", name=str(number)))
    view.seen()

    assert len(view.consumers) == 100
    assert view.consumers.unrecorded == 990
    await view.consumers.share()
    rows = {each.consumer: each.times for each in await known(database)}
    assert rows[GATEWAY] == 3
    assert last_stranger in rows
    assert first_stranger not in rows
    assert sum(consumer.address == "198.51.100.1" for consumer in rows) == 10
    await database.close()


async def test_once_the_regular_ones_fill_the_memory_newcomers_are_counted_and_not_kept(
    sqlite_url: str, workers: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_consumers, "MOST_CONSUMERS", 3)
    database = open_database(sqlite_url, budget=BUDGET)
    view = await started(database, workers)
    for _ in range(2):
        for number in range(3):
            view.seen(at(number))
        view.ticker.turn(REGULAR_AFTER)

    view.seen(at(3))
    assert (len(view.consumers), view.consumers.unrecorded) == (3, 1)

    # Who stays away for long makes room again.
    await view.consumers.share()
    view.ticker.turn(EVIDENCE.recent_for)
    await view.consumers.share()
    view.seen(at(3))
    assert (len(view.consumers), view.consumers.unrecorded) == (1, 1)
    await database.close()


async def test_the_table_is_bounded_too_and_keeps_the_regular_ones(
    database: Database, workers: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_consumers, "MOST_ROWS", 5)
    view = await started(database, workers)
    view.seen()
    await view.consumers.share()
    view.ticker.turn(REGULAR_AFTER)
    view.seen()
    for number in range(20):
        view.seen(at(number))
    await view.consumers.share()

    # It is full: what is known is brought up to date, and nobody comes new.
    view.seen()
    view.seen(at(20))
    await view.consumers.share()
    rows = {each.consumer: each.times for each in await known(database)}
    assert (len(rows), rows[GATEWAY]) == (21, 3)

    assert await view.consumers.sweep() == 16
    kept = {each.consumer for each in await known(database)}
    assert len(kept) == 5
    assert GATEWAY in kept
    view.ticker.turn(EVIDENCE.recent_for + MINUTE)
    assert await view.consumers.sweep() == 5


def ring_due(*, since: timedelta) -> KeyRing:
    """A ring whose rotation has been due for so long: its standby was published a day, and so long, ago."""
    now = datetime.now(UTC)
    old, standby = (
        rules.generate(now=made_at, policy=KEY_POLICY, sealing=KeyEncryptionKeys([SECRET]))
        for made_at in (now - timedelta(days=60), now - KEY_POLICY.publish_ahead - since)
    )
    return rules.first_ring(KeyRing(0), active=old, standby=standby, now=now - timedelta(days=60))


def silent_since(
    ago: timedelta, *, holds: str = "former", consumer: Consumer = GATEWAY, span: timedelta = HOUR
) -> Sighting:
    """A consumer whose last fetch was so long ago."""
    last = datetime.now(UTC) - ago
    return Sighting(consumer, last - span, last, times=7, ring_version=1, standby_kid=holds)


async def prepared(database: Database, ring: KeyRing, *seen: Sighting) -> None:
    async def step(connection: object) -> None:
        await rings.swap(connection, old=KeyRing(0), new=ring)  # type: ignore[arg-type]  # what a step is given
        await storage.add(connection, seen)  # type: ignore[arg-type]  # what a step is given

    await database.transaction(step)


async def rotations(database: Database) -> list[dict[str, str]]:
    """The details that the audit log holds of each, newest first."""
    found = await database.autocommit(lambda connection: audit.page(connection, AuditFilter(), before=None, most=10))
    return [dict(each.event.details) for each in found if each.event.type == "signing_key.rotated"]


async def test_a_rotation_that_is_due_waits_for_who_fell_silent_before_the_standby_was_published(
    database: Database, workers: Executor
) -> None:
    ring = ring_due(since=HOUR)
    await prepared(database, ring, silent_since(30 * HOUR))
    view = await view_of(database, workers)

    with captured_logs() as logs:
        for _ in range(3):
            await view.keys.tick()

    assert view.keys.ring.active.kid == ring.active.kid
    # Told once, not twice a second for as long as it lasts.
    (line,) = logs.named("keys.rotation_waits")
    assert (line["behind"], line["names"]) == (1, "Go-http-client/1.1 (http, 192.0.2.1)")

    # It comes again, and so holds the standby: nobody is left to wait for.
    view.seen()
    await view.keys.tick()
    assert view.keys.ring.active.kid == ring.standby.kid
    assert await rotations(database) == [{"kid": ring.standby.kid, "demoted_kid": ring.active.kid}]


async def test_replicas_that_saw_different_things_agree(database_url: str, workers: Executor) -> None:
    ring = ring_due(since=HOUR)
    async with replicas(database_url, 2) as databases:
        await prepared(databases[0], ring, silent_since(30 * HOUR))
        one, other = [await view_of(database, workers) for database in databases]
        for view in (one, other):
            await view.keys.tick()
        # Only the other one sees it come; and the first one decides.
        other.seen()
        await other.consumers.share()

        await one.keys.tick()
        await other.keys.tick()

        assert one.keys.ring.version == other.keys.ring.version == 2
        assert one.keys.ring.active.kid == ring.standby.kid
        assert len(await rotations(databases[0])) == 1


@pytest.mark.parametrize(
    "passer_by",
    [
        silent_since(30 * HOUR, span=REGULAR_AFTER - MINUTE),
        silent_since(EVIDENCE.recent_for + HOUR),
    ],
    ids=["seldom", "long gone"],
)
async def test_nobody_waits_for_passers_by_or_for_who_is_long_gone(
    database: Database, workers: Executor, passer_by: Sighting
) -> None:
    ring = ring_due(since=HOUR)
    await prepared(database, ring, passer_by)

    view = await started(database, workers)

    assert view.keys.ring.active.kid == ring.standby.kid


async def test_at_the_deadline_it_rotates_and_says_who_was_left_behind(database: Database, workers: Executor) -> None:
    ring = ring_due(since=EVIDENCE.patience + HOUR)
    others = [silent_since(40 * HOUR, consumer=at(number)) for number in range(6)]
    await prepared(database, ring, silent_since(39 * HOUR), *others)

    with captured_logs() as logs:
        view = await started(database, workers)

    assert view.keys.ring.active.kid == ring.standby.kid
    assert [line["behind"] for line in logs.named("keys.rotated_without")] == [7]
    (told,) = await rotations(database)
    assert told["behind"] == "7"
    assert told["behind_consumers"].startswith("Go-http-client/1.1 (http, 192.0.2.1), ")
    assert told["behind_consumers"].endswith(" and 2 more")


async def test_without_patience_nobody_is_waited_for(database: Database, workers: Executor) -> None:
    ring = ring_due(since=MINUTE)
    await prepared(database, ring, silent_since(30 * HOUR))

    view = await started(database, workers, policy=replace(EVIDENCE, patience=timedelta(0)))

    assert view.keys.ring.active.kid == ring.standby.kid


async def test_a_deadline_that_passed_while_the_database_was_away_waits_for_what_replicas_have_to_tell(
    database_url: str, workers: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(database_url, budget=BUDGET)
    ring = ring_due(since=EVIDENCE.patience + HOUR)
    await prepared(database, ring, silent_since(39 * HOUR))
    monkeypatch.setattr(database, "absence_within", lambda _past: MINUTE)

    view = await started(database, workers)
    assert view.keys.ring.active.kid == ring.active.kid

    monkeypatch.undo()
    await view.keys.tick()
    assert view.keys.ring.active.kid == ring.standby.kid
    await database.close()


async def test_a_rotation_by_hand_is_refused_with_who_is_behind_only_if_that_was_asked(
    database: Database, workers: Executor
) -> None:
    ring = ring_due(since=HOUR)
    await prepared(database, ring, silent_since(30 * HOUR))
    view = await started(database, workers)

    with pytest.raises(KeyState, match=r"1 recent consumers .* Go-http-client/1.1 \(http, 192.0.2.1\)"):
        await view.keys.rotate(origin=OPERATOR, require_published_ahead=True)
    assert view.keys.ring.version == 1

    await view.keys.rotate(origin=OPERATOR)
    assert view.keys.ring.active.kid == ring.standby.kid


async def test_a_rollback_is_one_change_of_the_ring_for_all_replicas(database_url: str, workers: Executor) -> None:
    async with replicas(database_url, 2) as databases:
        one, other = [await started(database, workers) for database in databases]
        first = one.keys.ring.active.kid
        with pytest.raises(KeyState, match="no key signed before"):
            await one.keys.roll_back(origin=OPERATOR)
        rotated = await one.keys.rotate(origin=OPERATOR)

        back = await other.keys.roll_back(origin=OPERATOR, ring_version=rotated.version)
        await one.keys.tick()

        assert one.keys.ring.version == back.version == rotated.version + 1
        assert one.keys.signer().kid == other.keys.signer().kid == first
        assert back.standby.kid == rotated.standby.kid
        assert {rotated.active.kid, first} < set(one.keys.verifying.current())


async def test_nobody_rolls_back_to_a_key_that_cannot_be_opened(database: Database, workers: Executor) -> None:
    view = await started(database, workers)
    await view.keys.rotate(origin=OPERATOR)
    ring = view.keys.ring
    previous = ring.last_demoted
    sealed = KeyEncryptionKeys([b"o" * 32]).seal(b"key", kid=previous.kid, purpose=rules.PURPOSE)
    unreadable = ring.with_keys(replace(previous, sealed_private=sealed))
    await database.transaction(lambda connection: rings.swap(connection, old=ring, new=unreadable))

    with pytest.raises(KeyState, match="cannot be opened"):
        await view.keys.roll_back(origin=OPERATOR)

    assert view.keys.ring.active.kid == ring.active.kid
    assert view.keys.signer().kid == ring.active.kid
