"""The database's clock as a replica knows it, whatever its answers took."""

from datetime import UTC, datetime, timedelta

import pytest

from auth_service.storage.database import DatabaseClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Replica:
    """A clock that asks; `ahead` is how far the database is ahead of the monotonic clock."""

    def __init__(self) -> None:
        self.monotonic = 100.0
        self.ahead = timedelta(0)
        self.clock = DatabaseClock(lambda: self.monotonic)

    @property
    def right(self) -> datetime:
        return NOON + timedelta(seconds=self.monotonic) + self.ahead

    def ask(self, *, way_there: float, way_back: float) -> None:
        asked_at = self.monotonic
        self.monotonic += way_there
        moment = self.right
        self.monotonic += way_back
        self.clock.told(moment, asked_at=asked_at)


@pytest.mark.parametrize(("way_there", "way_back"), [(0.0, 0.0), (0.7, 0.0), (0.0, 0.7), (0.3, 0.3)])
def test_clock_is_never_ahead_of_the_database_nor_further_behind_than_the_answer_took(
    way_there: float, way_back: float
) -> None:
    replica = Replica()

    for _ in range(5):
        replica.ask(way_there=way_there, way_back=way_back)

        behind = replica.right - replica.clock.now()
        assert timedelta(0) <= behind <= timedelta(seconds=way_there + way_back)


def test_slow_answers_do_not_make_a_clock_worse_that_a_quick_one_put_right() -> None:
    replica = Replica()
    replica.ask(way_there=0.0, way_back=0.0)

    for _ in range(5):
        replica.monotonic += 10
        replica.ask(way_there=0.4, way_back=0.4)

    assert abs(replica.clock.now() - replica.right) < timedelta(milliseconds=1)


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)])
def test_databases_clock_is_followed_when_it_jumps(jump: timedelta) -> None:
    replica = Replica()
    replica.ask(way_there=0.01, way_back=0.01)

    replica.ahead += jump
    replica.ask(way_there=0.01, way_back=0.01)

    assert abs(replica.clock.now() - replica.right) <= timedelta(milliseconds=20)
