"""What the ring will do next, for operators: the timeline, and until when which change is good for what."""

from dataclasses import dataclass
from datetime import datetime

from auth_service.domain.keys import KeyPolicy, rollback_until
from auth_service.domain.timeline import Timeline, lately, timeline
from auth_service.storage.database import DatabaseClock
from auth_service.usecases.signing import SigningKeys

MOST_LIVES = 100


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """`standby_known_at`: every verifier has had its time to learn of the standby. `rollback_until`: None if the former
    key cannot sign again. `tokens_until`: when the active key's last token would be over, if it stopped now.
    """

    timeline: Timeline
    ring_version: int
    standby_known_at: datetime
    rollback_until: datetime | None
    tokens_until: datetime


class KeyPlans:
    def __init__(self, keys: SigningKeys, *, policy: KeyPolicy, clock: DatabaseClock) -> None:
        self._keys = keys
        self._policy = policy
        self._clock = clock

    def now(self) -> KeyPlan:
        """As this replica last read the ring. Raises SigningUnavailable until there is one."""
        self._keys.published()
        ring, now = self._keys.ring, self._clock.now()
        recent = lately(ring, timeline(ring, now=now, policy=self._policy), policy=self._policy)
        return KeyPlan(
            recent.at_most(MOST_LIVES),
            ring.version,
            standby_known_at=ring.standby.published_at + self._policy.publish_ahead,
            rollback_until=rollback_until(ring, now=now, policy=self._policy),
            tokens_until=ring.active.latest_exp(stopped_at=now),
        )
