"""What a refresh token buys, verdict by verdict, and that a session never has two live successors."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth_service.domain import sessions
from auth_service.domain.sessions import Ahead, Ended, Expired, Replay, Reused, Rotate, Session, SessionPolicy, Verdict
from tests.domain.rings import NOON

POLICY = SessionPolicy(
    idle_lifetime=timedelta(hours=12), absolute_lifetime=timedelta(days=30), replay_window=timedelta(seconds=10)
)
SECOND, TICK = timedelta(seconds=1), timedelta(microseconds=1)
START = sessions.start(UUID(int=1), now=NOON, policy=POLICY)
FIFTH = replace(START, generation=5)


def judged(session: Session, generation: int, now: datetime, policy: SessionPolicy = POLICY) -> Verdict:
    return sessions.judge(session, generation=generation, now=now, policy=policy)


def test_a_new_session_is_at_generation_1_and_ends_if_nobody_uses_it() -> None:
    assert START.generation == 1
    assert START.expires_at == NOON + POLICY.idle_lifetime
    assert START.absolute_expires_at == NOON + POLICY.absolute_lifetime
    assert START.id != sessions.start(UUID(int=1), now=NOON, policy=POLICY).id


@pytest.mark.parametrize(
    ("generation", "after", "verdict"),
    [
        (5, SECOND, Rotate),
        (5, POLICY.idle_lifetime - TICK, Rotate),
        (5, POLICY.idle_lifetime, Expired),
        (6, SECOND, Ahead),
        (600, SECOND, Ahead),
        (6, POLICY.idle_lifetime, Expired),
        (4, timedelta(0), Replay),
        (4, POLICY.replay_window - TICK, Replay),
        (4, POLICY.replay_window, Reused),
        (4, POLICY.idle_lifetime, Expired),
        (3, timedelta(0), Reused),
        (0, timedelta(0), Reused),
    ],
)
def test_what_a_token_buys(generation: int, after: timedelta, verdict: type[Verdict]) -> None:
    assert type(judged(FIFTH, generation, NOON + after)) is verdict


@pytest.mark.parametrize("generation", [3, 4, 5, 6])
def test_an_ended_session_is_ended_whatever_is_presented(generation: int) -> None:
    assert judged(replace(FIFTH, ended_at=NOON), generation, NOON + POLICY.absolute_lifetime) == Ended()


def test_a_clock_that_is_a_little_behind_changes_no_verdict() -> None:
    assert isinstance(judged(FIFTH, 5, NOON - SECOND), Rotate)
    assert isinstance(judged(FIFTH, 4, NOON - SECOND), Replay)


def test_a_replay_gets_the_session_as_it_stands_and_changes_nothing() -> None:
    assert judged(FIFTH, 4, NOON) == Replay(FIFTH)


def test_without_a_replay_window_every_spent_token_is_reused() -> None:
    assert judged(FIFTH, 4, NOON, replace(POLICY, replay_window=timedelta(0))) == Reused()


@pytest.mark.row("S39")
def test_a_rotation_moves_the_idle_end_and_never_the_absolute_one() -> None:
    near = START.absolute_expires_at - timedelta(hours=1)
    session = replace(START, expires_at=START.absolute_expires_at)

    verdict = judged(session, 1, near)

    assert isinstance(verdict, Rotate)
    assert verdict.successor == replace(session, generation=2, rotated_at=near)
    assert verdict.successor.expires_at == START.absolute_expires_at


@pytest.mark.row("S39")
def test_used_every_hour_a_session_ends_at_its_absolute_lifetime() -> None:
    session, now = START, NOON
    while isinstance(verdict := judged(session, session.generation, now), Rotate):
        session, now = verdict.successor, now + timedelta(hours=1)

    assert now == START.absolute_expires_at
    assert verdict == Expired()


PRESENTED = st.tuples(st.integers(1, 30), st.timedeltas(timedelta(0), timedelta(hours=13)))
QUICKLY = st.tuples(st.integers(1, 30), st.timedeltas(timedelta(0), timedelta(seconds=12)))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(QUICKLY, PRESENTED), max_size=40))
def test_whatever_is_presented_whenever_one_generation_lives_and_each_is_spent_once(
    presented: list[tuple[int, timedelta]],
) -> None:
    session, now = START, NOON
    spent_at: dict[int, datetime] = {}
    for generation, later in presented:
        now += later
        match judged(session, generation, now):
            case Rotate(successor):
                assert generation not in spent_at
                assert generation == session.generation
                spent_at[generation] = now
                session = successor
            case Replay(unused):
                # The same successor as the first time, and only while that one is unused.
                assert unused == session
                assert unused.generation == generation + 1
                assert now < spent_at[generation] + POLICY.replay_window
            case Reused():
                assert generation < session.generation
                session = replace(session, ended_at=now)
            case Ended():
                assert session.ended_at is not None
        assert session.expires_at <= session.absolute_expires_at == START.absolute_expires_at
