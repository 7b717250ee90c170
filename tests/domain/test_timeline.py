"""The past and the plan of the ring: judged against what the rules of the ring then really do."""

from datetime import timedelta

import pytest

from auth_service.domain import keys
from auth_service.domain.keys import KeyRing, State
from auth_service.domain.timeline import KeyLife, Phase, timeline
from tests.domain.rings import NOON, POLICY, first_ring, of_every_state, standby

LATER = NOON + timedelta(days=3)


def life_of(ring: KeyRing, kid: str) -> KeyLife:
    return next(life for life in timeline(ring, now=LATER, policy=POLICY).lives if life.kid == kid)


def test_the_plan_is_what_then_happens() -> None:
    ring = first_ring()
    plan = timeline(ring, now=LATER, policy=POLICY)

    for due in (plan.rotation_at, plan.next_rotation_at):
        moment_before = due - timedelta(microseconds=1)
        assert not keys.should_rotate(ring, now=moment_before, policy=POLICY)
        assert keys.should_rotate(ring, now=due, policy=POLICY)
        ring = keys.rotated(ring, fresh=standby(now=due), now=due, policy=POLICY)

    first, second, third = plan.lives
    assert first.signs_until == ring.get(first.kid or "").demoted_at
    assert first.leaves_at == ring.get(first.kid or "").verifies_until
    assert second.leaves_at == ring.get(second.kid or "").verifies_until
    assert (third.kid, third.published_at) == (None, ring.active.published_at)
    assert third.signs_from == ring.active.activated_at


def test_what_is_overdue_is_planned_for_now() -> None:
    ring = first_ring()
    late = keys.rotation_due_at(ring, policy=POLICY) + timedelta(days=9)

    assert timeline(ring, now=late, policy=POLICY).rotation_at == late


def test_the_past_is_told_of_keys_in_every_state() -> None:
    ring = of_every_state()
    states = {key.state: key for key in ring.keys}

    retired = life_of(ring, states[State.RETIRED].kid)
    retiring = life_of(ring, states[State.RETIRING].kid)
    revoked = life_of(ring, states[State.REVOKED].kid)

    assert (retired.signs_until, retired.leaves_at) == (NOON, NOON + timedelta(days=1))
    assert retiring.leaves_at == states[State.RETIRING].verifies_until
    assert (revoked.signs_from, revoked.signs_until, revoked.leaves_at) == (None, None, NOON + timedelta(hours=2))


def test_a_key_that_was_revoked_while_it_signed_signed_until_then() -> None:
    ring = first_ring()
    bad = ring.active.kid
    ring = keys.without(ring, bad, fresh=standby(), now=NOON + timedelta(hours=1))

    assert life_of(ring, bad).signs_until == life_of(ring, bad).leaves_at == NOON + timedelta(hours=1)


@pytest.mark.parametrize("ring", [first_ring(), of_every_state()], ids=["new", "old"])
def test_phases_follow_one_another_without_a_gap(ring: KeyRing) -> None:
    plan = timeline(ring, now=LATER, policy=POLICY)

    for life in plan.lives:
        spans = life.spans(end=plan.ends_at)
        assert spans[0].start == life.published_at
        assert spans[-1].end == (life.leaves_at or plan.ends_at)
        assert [earlier.end for earlier in spans[:-1]] == [later.start for later in spans[1:]]
        order = [span.phase for span in spans]
        assert order == sorted(order, key=[*Phase].index)
    signing = [span for life in plan.lives for span in life.spans(end=plan.ends_at) if span.phase is Phase.SIGNS]
    assert [earlier.end for earlier in signing[:-1]] == [later.start for later in signing[1:]], (
        "one key at a time signs"
    )


def test_keys_that_left_long_ago_can_be_left_out() -> None:
    plan = timeline(of_every_state(), now=LATER, policy=POLICY)

    lately = plan.since(NOON + timedelta(days=1, minutes=1))

    assert [life.state for life in lately.lives] == [State.RETIRING, State.ACTIVE, State.STANDBY, None]
    assert len(plan.lives) == 6


def test_a_shortened_timeline_keeps_what_signs_and_signs_next_however_old_they_are() -> None:
    ring = first_ring()
    for hour in range(20):
        # A standby that leaked is replaced, again and again, and the key that signs grows old.
        moment = NOON + timedelta(hours=hour)
        ring = keys.without(ring, ring.standby.kid, fresh=standby(now=moment), now=moment)
    plan = timeline(ring, now=LATER, policy=POLICY)
    assert len(plan.lives) == 23

    short = plan.at_most(5)

    assert short.lives[0].kid == ring.active.kid
    assert [life.state for life in short.lives][-2:] == [State.STANDBY, None]
    assert len(short.lives) == 5
    assert plan.at_most(100) == plan
