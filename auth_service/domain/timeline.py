"""The past and the plan of the ring: when each key was or will be published, signs, verifies only, and leaves.

Nothing here says what happened or what is only planned: whatever lies after `now` is a plan. The plan is the earliest
that the policy lets happen; a rotation by hand comes sooner, and one that waits for verifiers comes later.
"""

from dataclasses import dataclass
from datetime import datetime

from auth_service.domain.keys import KeyPolicy, KeyRing, SigningKey, State, due_at, rotation_due_at


@dataclass(frozen=True, slots=True)
class KeyLife:
    """One key. `kid` and `state` are None for a key that is still to be made; a moment is None where none is known."""

    kid: str | None
    state: State | None
    published_at: datetime
    signs_from: datetime | None = None
    signs_until: datetime | None = None
    leaves_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """Lives in the order in which the keys were or will be published.

    At `rotation_at` the standby signs and a key is published that nobody has seen yet; at `next_rotation_at` that key
    signs. So whoever copied the key set by hand copies it again between the two.
    """

    lives: tuple[KeyLife, ...]
    rotation_at: datetime
    next_rotation_at: datetime


def timeline(ring: KeyRing, *, now: datetime, policy: KeyPolicy) -> Timeline:
    """Of a ring that has keys."""
    # What is overdue happens as soon as a replica looks.
    rotation_at = max(rotation_due_at(ring, policy=policy), now)
    standby_hands_over = due_at(ring.standby.kid, activated_at=rotation_at, successor_at=rotation_at, policy=policy)
    lives = [_life(key, rotation_at, standby_hands_over, policy=policy) for key in ring.keys]
    to_be_made = KeyLife(None, None, published_at=rotation_at, signs_from=standby_hands_over)
    return Timeline((*sorted(lives, key=_order), to_be_made), rotation_at, standby_hands_over)


def _life(key: SigningKey, rotation_at: datetime, next_rotation_at: datetime, *, policy: KeyPolicy) -> KeyLife:
    match key.state:
        case State.ACTIVE:
            leaves_at = key.demoted(now=rotation_at, policy=policy).verifies_until
            return KeyLife(key.kid, key.state, key.published_at, key.activated_at, rotation_at, leaves_at)
        case State.STANDBY:
            leaves_at = key.demoted(now=next_rotation_at, policy=policy).verifies_until
            return KeyLife(key.kid, key.state, key.published_at, rotation_at, next_rotation_at, leaves_at)
        case _:
            leaves_at = key.withdrawn_at or key.verifies_until
            signs_until = key.demoted_at or (key.withdrawn_at if key.activated_at else None)
            return KeyLife(key.kid, key.state, key.published_at, key.activated_at, signs_until, leaves_at)


def _order(life: KeyLife) -> tuple[datetime, datetime]:
    return life.published_at, life.signs_from or life.published_at
