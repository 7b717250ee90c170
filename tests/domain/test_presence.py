"""When a replica was away, by what it told."""

from datetime import UTC, datetime, timedelta

import pytest

from auth_service.domain.presence import Absence, Presence, PresencePolicy, absences, together

BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
POLICY = PresencePolicy(timedelta(seconds=10))


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("told", "away"),
    [
        ([], [(0, 60)]),
        ([(0, 60)], []),
        ([(2, 57)], []),
        ([(-30, 20)], [(20, 60)]),
        ([(-30, 80)], []),
        ([(40, 60)], [(0, 40)]),
        ([(0, 10), (15, 56)], []),
        ([(0, 10), (16, 56)], [(10, 16)]),
        ([(30, 40), (0, 10)], [(10, 30), (40, 60)]),
        ([(0, 40), (10, 20)], [(40, 60)]),
    ],
)
def test_silence_of_more_than_half_a_window_is_absence(
    told: list[tuple[int, int]], away: list[tuple[int, int]]
) -> None:
    presences = [Presence(at(begun), at(until)) for begun, until in told]

    found = absences(presences, since=BEGIN, now=at(60), policy=POLICY)

    assert found == [Absence(at(begun), at(ended)) for begun, ended in away]


@pytest.mark.parametrize(
    ("away", "seconds"),
    [
        ([], 0),
        ([(10, 20), (30, 35)], 15),
        ([(30, 35), (10, 20)], 15),
        ([(10, 30), (20, 40)], 30),
        ([(10, 40), (20, 30)], 30),
        ([(-50, 5), (55, 80)], 10),
        ([(-50, -20), (70, 80)], 0),
    ],
)
def test_no_moment_of_absence_counts_twice(away: list[tuple[int, int]], seconds: int) -> None:
    absent = [Absence(at(begun), at(ended)) for begun, ended in away]

    assert together(absent, since=BEGIN, now=at(60)) == timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [0.1, 1, 10, 60])
def test_it_is_told_often_enough_to_be_believed(seconds: float) -> None:
    policy = PresencePolicy(timedelta(seconds=seconds))

    # With the jitter of what goes on in the background, and as much time again for the telling.
    assert policy.told_every * 1.25 * 1.5 <= policy.silent_at_most
    assert policy.told_for > policy.replay_window
