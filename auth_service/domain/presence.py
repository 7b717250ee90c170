"""When a replica got through to the database, and so when it did not: what the replay window waits out.

A replica that spent a refresh token is there for a while, or was cut off, or crashed. Only in the first case could the
client ask again, and the others have to know which it is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Presence:
    """A replica got through from `begun_at` on, again and again, at least until `lasts_until`."""

    begun_at: datetime
    lasts_until: datetime


@dataclass(frozen=True, slots=True)
class Absence:
    begun_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class PresencePolicy:
    """How often a replica tells that it is there, for the sake of a replay window of this length."""

    replay_window: timedelta

    @property
    def told_every(self) -> timedelta:
        return self.replay_window / 4

    @property
    def silent_at_most(self) -> timedelta:
        """A shorter silence is none. Whoever asks again when it is over still finds half of the window left."""
        return self.replay_window / 2

    @property
    def told_for(self) -> timedelta:
        """After a use: by then whoever asked for it again would be too late anyway."""
        return self.replay_window + self.silent_at_most


def absences(
    presences: Iterable[Presence], *, since: datetime, now: datetime, policy: PresencePolicy
) -> Sequence[Absence]:
    """When between the two moments the replica was silent for too long; all the time, where it told nothing."""
    silences, reached = [], since
    for each in sorted(presences, key=lambda presence: presence.begun_at):
        silences.append(Absence(reached, each.begun_at))
        reached = max(reached, each.lasts_until)
    silences.append(Absence(reached, now))
    return [each for each in silences if each.ended_at - each.begun_at > policy.silent_at_most]


def together(absent: Iterable[Absence], *, since: datetime, now: datetime) -> timedelta:
    """How much of the time between the two moments they fill. No moment counts twice."""
    total, reached = timedelta(0), since
    for each in sorted(absent, key=lambda absence: absence.begun_at):
        ended_at = min(each.ended_at, now)
        total += max(ended_at - max(each.begun_at, reached), timedelta(0))
        reached = max(reached, ended_at)
    return total
