"""Which consumers a rotation waits for, and for how long."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_service.domain import consumers, keys
from auth_service.domain.consumers import (
    REGULAR_AFTER,
    Consumer,
    ConsumerKind,
    Due,
    EvidencePolicy,
    NotDue,
    Sighting,
    Waiting,
    activation,
    profile_of,
    version_shown,
)
from auth_service.domain.keys import KeyRing
from tests.domain.rings import NOON, POLICY, first_ring, standby

EVIDENCE = EvidencePolicy(recent_for=timedelta(hours=48), patience=timedelta(hours=24))
SECOND = timedelta(seconds=1)
RING = first_ring()
DUE_AT = keys.rotation_due_at(RING, policy=POLICY)


def seen(
    *,
    ago: timedelta = timedelta(0),
    now: datetime = DUE_AT,
    span: timedelta = REGULAR_AFTER,
    times: int = 2,
    standby_kid: str = "another",
    address: str = "192.0.2.1",
) -> Sighting:
    """A consumer that was last seen `ago` before `now`."""
    consumer = Consumer(ConsumerKind.HTTP, address, "Go-http-client/1.1")
    return Sighting(consumer, now - ago - span, now - ago, times, ring_version=1, standby_kid=standby_kid)


def decided(*sightings: Sighting, at: datetime, ring: KeyRing = RING, is_complete: bool = True) -> object:
    return activation(ring, sightings, now=at, keys=POLICY, policy=EVIDENCE, is_complete=is_complete)


def test_before_its_time_no_evidence_brings_a_rotation_about() -> None:
    holding = seen(standby_kid=RING.standby.kid)

    assert decided(holding, at=DUE_AT - SECOND) == NotDue(DUE_AT)
    assert decided(at=DUE_AT - SECOND) == NotDue(DUE_AT)


def test_at_its_time_the_standby_signs_if_all_recent_consumers_hold_it() -> None:
    assert decided(at=DUE_AT) == Due()
    assert decided(seen(standby_kid=RING.standby.kid), at=DUE_AT) == Due()


def test_who_does_not_hold_the_standby_is_waited_for_until_the_deadline_and_then_named() -> None:
    deadline = DUE_AT + EVIDENCE.patience
    late = seen(now=deadline)

    assert decided(late, at=DUE_AT) == Waiting((late,), until=deadline)
    assert decided(late, at=deadline - SECOND) == Waiting((late,), until=deadline)
    assert decided(late, at=deadline) == Due((late,))


def test_a_deadline_that_passed_while_the_database_was_away_counts_once_replicas_have_told_what_they_saw() -> None:
    deadline = DUE_AT + EVIDENCE.patience
    late = seen(now=deadline)

    assert decided(late, at=deadline, is_complete=False) == Waiting((late,), until=deadline)
    assert decided(at=deadline, is_complete=False) == Due()


def test_without_patience_nobody_is_waited_for() -> None:
    late, policy = seen(), replace(EVIDENCE, patience=timedelta(0))

    for is_complete in (True, False):
        decision = activation(RING, (late,), now=DUE_AT, keys=POLICY, policy=policy, is_complete=is_complete)
        assert decision == Due((late,))


@pytest.mark.parametrize(
    "gone",
    [
        seen(times=1, span=timedelta(0)),
        seen(times=1000, span=REGULAR_AFTER - SECOND),
        seen(ago=EVIDENCE.recent_for + SECOND),
    ],
    ids=["once", "often for a moment", "vanished"],
)
def test_neither_passers_by_nor_the_vanished_are_waited_for(gone: Sighting) -> None:
    assert decided(gone, at=DUE_AT) == Due()


def test_the_kid_of_the_standby_counts_and_not_the_version() -> None:
    """A database that was restored, or a revoked standby, brings versions that mean another key set."""
    ring = keys.without(RING, RING.standby.kid, fresh=standby(), now=NOON)
    at = keys.rotation_due_at(ring, policy=POLICY)
    ahead = replace(seen(now=at, standby_kid=RING.standby.kid), ring_version=99)

    assert isinstance(decided(ahead, at=at, ring=ring), Waiting)


def test_who_is_behind_is_told_the_latest_seen_first() -> None:
    first, second = seen(ago=timedelta(hours=2), address="192.0.2.2"), seen(ago=timedelta(hours=1))

    found = consumers.behind((first, second), ring=RING, now=DUE_AT, policy=EVIDENCE)

    assert found == (second, first)


@given(
    st.lists(st.builds(seen, ago=st.timedeltas(timedelta(0), timedelta(days=4)), times=st.integers(1, 3)), max_size=5),
    st.timedeltas(timedelta(days=-3), timedelta(days=9)),
)
def test_whatever_strangers_do_a_rotation_is_neither_early_nor_later_than_its_deadline(
    sightings: list[Sighting], off: timedelta
) -> None:
    match decided(*sightings, at=DUE_AT + off):
        case NotDue():
            assert off < timedelta(0)
        case Waiting(until=until):
            assert timedelta(0) <= off < EVIDENCE.patience
            assert until == DUE_AT + EVIDENCE.patience
        case Due(late):
            assert off >= timedelta(0)
            assert not late or off >= EVIDENCE.patience


def test_consumers_are_told_apart_by_all_that_is_known_of_them() -> None:
    one = Consumer(ConsumerKind.HTTP, "192.0.2.1", "agent", "name")
    others = [
        replace(one, kind=ConsumerKind.GRPC),
        replace(one, address="192.0.2.2"),
        replace(one, user_agent="agen", name="tname"),
        replace(one, name=""),
    ]

    assert len({one.id, *(each.id for each in others)}) == 5
    assert one.id == replace(one).id


def test_what_a_consumer_says_of_itself_is_short_and_can_be_shown() -> None:
    said = Consumer.of(
        ConsumerKind.HTTP, address="192.0.2.1", user_agent="a\0b\n" + "c" * 300, name=" edge\x1b[0m " * 9
    )

    assert said.user_agent == "ab" + "c" * 253
    assert len(said.name) <= 64
    assert said.name.startswith("edge[0m")


def test_how_often_a_consumer_comes_is_the_mean() -> None:
    assert seen(span=timedelta(minutes=40), times=5).interval == timedelta(minutes=10)
    assert seen(span=timedelta(0), times=1).interval is None


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('"7-0123456789abcdef"', 7),
        ('"x", W/"12-0123456789abcdef"', 12),
        ("t1.0123456789abcdef.12-0123456789abcdef.1700000000000000", 12),
        ("", None),
        ("*", None),
        ('"7-0123456789abcde"', None),
        ('"7-0123456789abcdef0"', None),
        ('"٧-0123456789abcdef"', None),
        (f'"{"9" * 19}-0123456789abcdef"', None),
    ],
)
def test_what_a_consumer_shows_that_it_held_is_read_from_etags_and_cursors(text: str, version: int | None) -> None:
    assert version_shown(text) == version


@pytest.mark.parametrize(
    ("name", "agent", "profile"),
    [
        ("envoy-edge-3", "", "envoy"),
        ("Istio", "envoy/1.30", "istio"),
        ("", "auth-client/1.0 aiohttp", "auth-client"),
        ("", "Python-urllib/3.11", "pyjwt"),
        ("", "curl/8.0", ""),
        ("", "", ""),
    ],
)
def test_a_profile_is_known_by_the_name_or_the_user_agent(name: str, agent: str, profile: str) -> None:
    minutes = timedelta(minutes=10)
    profiles = dict.fromkeys(("auth-client", "auth", "envoy", "istio", "pyjwt"), minutes)

    assert profile_of(Consumer(ConsumerKind.HTTP, "192.0.2.1", agent, name), profiles) == profile
