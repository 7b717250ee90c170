"""Who takes the key set, which one they hold, and whether the standby may sign yet.

Evidence is what replicas saw: a consumer that was answered holds what it was given. It is no proof. Whoever fetches
through a cache is seen as that cache, and several behind one address look like one unless they name themselves. So
evidence may delay a rotation, up to a deadline, and never brings one about before its time.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from auth_service.domain.keys import KEY_SET_MAX_AGE, KeyPolicy, KeyRing, rotation_due_at
from auth_service.domain.spelling import LONGEST_USER_AGENT, printable

NAME_HEADER = "x-consumer-name"
"""By this header, or metadata over gRPC, a consumer may say what it is called."""
LONGEST_NAME = 64
REGULAR_AFTER = KEY_SET_MAX_AGE
"""Between its first fetch and its last: whoever looked at the key set once is no consumer."""


class ConsumerKind(StrEnum):
    """How it takes the key set: the document over HTTP, the trust stream, or GetJwks."""

    HTTP = "http"
    STREAM = "stream"
    GRPC = "grpc"


@dataclass(frozen=True, slots=True)
class Consumer:
    """Whoever takes the key set, as far as a replica can tell them apart. `name` is what it calls itself, or empty."""

    kind: ConsumerKind
    address: str
    user_agent: str = ""
    name: str = ""

    @classmethod
    def of(cls, kind: ConsumerKind, *, address: str, user_agent: str, name: str) -> "Consumer":
        """As it says of itself, without what cannot be shown."""
        return cls(
            kind,
            address,
            printable(user_agent, longest=LONGEST_USER_AGENT),
            printable(name, longest=LONGEST_NAME).strip(),
        )

    @property
    def id(self) -> bytes:
        """Of these four, and the same at every replica."""
        parts = (self.kind.value, self.address, self.user_agent, self.name)
        return hashlib.sha256("\0".join(parts).encode()).digest()

    def __str__(self) -> str:
        return f"{self.name or self.user_agent or 'unnamed'} ({self.kind}, {self.address})"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A consumer, seen so many `times` by all replicas together. Streams are seen with every message.

    It holds the key set of `ring_version`, in which `standby_kid` is the standby. Not the version decides what a
    consumer holds, for a database that was restored counts through the same versions again. `showed_version` is what
    it said, when it was last seen, that it had held until then; None if it did not say.
    """

    consumer: Consumer
    first_seen_at: datetime
    last_seen_at: datetime
    times: int
    ring_version: int
    standby_kid: str
    showed_version: int | None = None

    @property
    def is_regular(self) -> bool:
        return self.times > 1 and self.last_seen_at - self.first_seen_at >= REGULAR_AFTER

    @property
    def interval(self) -> timedelta | None:
        """How often it came, on average; None while it came once."""
        return (self.last_seen_at - self.first_seen_at) / (self.times - 1) if self.times > 1 else None

    def holds_standby_of(self, ring: KeyRing) -> bool:
        return self.standby_kid == ring.standby.kid


@dataclass(frozen=True, slots=True)
class EvidencePolicy:
    """Who came within `recent_for` is waited for, until `patience` has passed since the rotation was due."""

    recent_for: timedelta
    patience: timedelta

    def counts_from(self, now: datetime) -> datetime:
        """Who was last seen before, at `now`, is gone: nobody waits for it."""
        return now - self.recent_for


def is_recent(sighting: Sighting, *, now: datetime, policy: EvidencePolicy) -> bool:
    """Whether it is a consumer, and no passer-by, that still seems to be there."""
    return sighting.is_regular and sighting.last_seen_at >= policy.counts_from(now)


def behind(seen: Iterable[Sighting], *, ring: KeyRing, now: datetime, policy: EvidencePolicy) -> tuple[Sighting, ...]:
    """The recent ones that do not hold the standby, those seen last first."""
    found = (each for each in seen if is_recent(each, now=now, policy=policy) and not each.holds_standby_of(ring))
    return tuple(sorted(found, key=lambda each: each.last_seen_at, reverse=True))


@dataclass(frozen=True, slots=True)
class NotDue:
    """The standby signs at `due_at` at the earliest."""

    due_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """It is time, and `behind` do not hold the standby. At `until` it signs all the same."""

    behind: tuple[Sighting, ...]
    until: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """The standby is to sign now. `behind` were waited for long enough; mostly there are none."""

    behind: tuple[Sighting, ...] = ()


def activation(
    ring: KeyRing,
    seen: Iterable[Sighting],
    *,
    now: datetime,
    keys: KeyPolicy,
    policy: EvidencePolicy,
    is_complete: bool = True,
) -> NotDue | Waiting | Due:
    """Whether the clock and the evidence let the standby sign.

    `is_complete` is False while replicas may not have written down yet what they saw, because the database was away:
    the time it was away is nobody's fault, so a deadline that passed meanwhile does not count yet.
    """
    due_at = rotation_due_at(ring, policy=keys)
    if now < due_at:
        return NotDue(due_at)
    late = behind(seen, ring=ring, now=now, policy=policy)
    until = due_at + policy.patience
    if late and policy.patience and (now < until or not is_complete):
        return Waiting(late, until)
    return Due(late)


NAMED_IN_SHORT = 5


def named_in_short(sightings: Sequence[Sighting]) -> str:
    """The first few of them, and how many more there are: for a log, a refusal, an event."""
    names = ", ".join(str(each.consumer) for each in sightings[:NAMED_IN_SHORT])
    more = len(sightings) - NAMED_IN_SHORT
    return f"{names} and {more} more" if more > 0 else names


_ETAG = re.compile(r"(?<![\w-])(\d{1,18})-[0-9a-f]{16}(?![\w-])", re.ASCII)


def version_shown(text: str) -> int | None:
    """The ring version in an If-None-Match header or a cursor of the trust stream, which both hold an ETag of ours."""
    found = _ETAG.search(text)
    return int(found[1]) if found else None


_MARKS = {"pyjwt": "python-urllib/"}
"""What stands in the user agents of consumers that do not say their name there."""


def profile_of(consumer: Consumer, profiles: Mapping[str, timedelta]) -> str:
    """The profile that its name begins with, else one that its user agent betrays; empty if none."""
    name, agent = consumer.name.lower(), consumer.user_agent.lower()
    longest_first = sorted(profiles, key=len, reverse=True)
    by_name = (profile for profile in longest_first if name.startswith(profile))
    by_agent = (profile for profile in longest_first if _MARKS.get(profile, profile) in agent)
    return next(by_name, next(by_agent, ""))
