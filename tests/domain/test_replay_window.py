"""How long an answer that got lost may be asked for again."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from auth_service.domain import sessions
from auth_service.domain.sessions import Replay, Reused, SessionPolicy, Verdict

SIGNED_IN = datetime(2026, 11, 22, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def judged(*, after: timedelta, absence: timedelta = timedelta(0), window: timedelta = 10 * SECOND) -> Verdict:
    """The verdict on a token that was spent at once, presented again `after` its successor was made."""
    policy = SessionPolicy(
        idle_lifetime=timedelta(hours=12), absolute_lifetime=timedelta(days=30), replay_window=window
    )
    session = sessions.start(uuid4(), now=SIGNED_IN, policy=policy)
    rotate = sessions.judge(session, generation=1, now=SIGNED_IN, policy=policy)
    assert isinstance(rotate, sessions.Rotate)
    return sessions.judge(rotate.successor, generation=1, now=SIGNED_IN + after, policy=policy, absence=absence)


@pytest.mark.parametrize(
    ("after", "absence", "verdict"),
    [
        (9.9 * SECOND, 0 * SECOND, Replay),
        (10 * SECOND, 0 * SECOND, Reused),
        (35 * SECOND, 30 * SECOND, Replay),
        (40 * SECOND, 30 * SECOND, Reused),
    ],
)
def test_replay_window_stands_still_while_the_database_is_away(
    after: timedelta, absence: timedelta, verdict: type[Verdict]
) -> None:
    assert isinstance(judged(after=after, absence=absence), verdict)


def test_without_a_replay_window_no_absence_makes_one() -> None:
    assert isinstance(judged(after=SECOND, absence=30 * SECOND, window=timedelta(0)), Reused)
