"""The past and the plan of the ring: when each key was or will be published, signs, verifies only, and leaves.

Nothing here says what happened or what is only planned: whatever lies after `now` is a plan. The plan is the earliest
that the policy lets happen; a rotation by hand comes sooner, and one that waits for verifiers comes later. The ring
remembers of each key when it began to sign last: of one that was rolled back to, an earlier time is not told.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from auth_service.domain.keys import KeyPolicy, KeyRing, SigningKey, State, due_at, rotation_due_at


class Phase(StrEnum):
    """What a published key is there for."""

    WAITS = "waits"
    SIGNS = "signs"
    VERIFIES = "verifies"


@dataclass(frozen=True, slots=True)
class Span:
    phase: Phase
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class KeyLife:
    """One key. `kid` and `state` are None for a key that is still to be made; a moment is None where none is known."""

    kid: str | None
    state: State | None
    published_at: datetime
    signs_from: datetime | None = None
    signs_until: datetime | None = None
    leaves_at: datetime | None = None

    def spans(self, *, end: datetime) -> tuple[Span, ...]:
        """What it is there for, one after the other and without gaps; what ends at no known moment ends at `end`."""
        leaves_at = self.leaves_at or end
        signs_from = self.signs_from or leaves_at
        signs_until = self.signs_until or leaves_at
        spans = (
            Span(Phase.WAITS, self.published_at, signs_from),
            Span(Phase.SIGNS, signs_from, signs_until),
            Span(Phase.VERIFIES, max(signs_from, signs_until), leaves_at),
        )
        return tuple(span for span in spans if span.start < span.end)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Lives in the order in which the keys were or will be published.

    At `rotation_at` the standby signs and a key is published that nobody has seen yet; at `next_rotation_at` that key
    signs. So whoever copied the key set by hand copies it again between the two.
    """

    lives: tuple[KeyLife, ...]
    now: datetime
    rotation_at: datetime
    next_rotation_at: datetime

    def since(self, moment: datetime) -> "Timeline":
        """Without the keys that left before `moment`."""
        lives = tuple(life for life in self.lives if life.leaves_at is None or life.leaves_at >= moment)
        return replace(self, lives=lives)

    def at_most(self, most: int) -> "Timeline":
        """With the last `most` lives, and whatever signs, signs next or is still to be made, however old that is."""
        over = [life for life in self.lives if life.state not in (State.ACTIVE, State.STANDBY, None)]
        left_out = over[: max(len(self.lives) - most, 0)]
        return replace(self, lives=tuple(life for life in self.lives if life not in left_out))

    @property
    def begins_at(self) -> datetime:
        return min(life.published_at for life in self.lives)

    @property
    def ends_at(self) -> datetime:
        """Late enough to see the last planned key sign."""
        return self.next_rotation_at + (self.next_rotation_at - self.begins_at) / 8


def timeline(ring: KeyRing, *, now: datetime, policy: KeyPolicy) -> Timeline:
    """Of a ring that has keys."""
    # What is overdue happens as soon as a replica looks.
    rotation_at = max(rotation_due_at(ring, policy=policy), now)
    standby_hands_over = due_at(ring.standby.kid, activated_at=rotation_at, successor_at=rotation_at, policy=policy)
    lives = [_life(key, rotation_at, standby_hands_over, policy=policy) for key in ring.keys]
    to_be_made = KeyLife(None, None, published_at=rotation_at, signs_from=standby_hands_over)
    return Timeline((*sorted(lives, key=_order), to_be_made), now, rotation_at, standby_hands_over)


def lately(ring: KeyRing, plan: Timeline, *, policy: KeyPolicy) -> Timeline:
    """`plan` without the keys that left more than a rotation before the active key began."""
    assert ring.active.activated_at is not None
    return plan.since(ring.active.activated_at - policy.rotate_every)


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
