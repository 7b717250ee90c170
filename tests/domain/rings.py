"""Keys and rings to judge rules by. The moduli are numbers like any other: nothing signs with them."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from auth_service.domain import keys
from auth_service.domain.keys import KeyPolicy, KeyRing, SigningKey, State

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = KeyPolicy(
    size_bits=2048,
    rotate_every=timedelta(days=30),
    publish_ahead=timedelta(hours=24),
    signer_lease=timedelta(seconds=60),
    token_lifetime=timedelta(minutes=10),
    clock_skew=timedelta(seconds=60),
)
_numbers = itertools.count(3, step=2)


def standby(*, now: datetime = NOON, policy: KeyPolicy = POLICY) -> SigningKey:
    """A key that no other call returns."""
    modulus = 2**2047 + next(_numbers)
    return SigningKey(
        kid=keys.thumbprint(modulus),
        state=State.STANDBY,
        modulus=modulus,
        sealed_private=modulus.to_bytes(256),
        published_at=now,
        covers_lifetime=policy.token_lifetime,
        covers_lease=policy.signer_lease,
    )


def first_ring(*, now: datetime = NOON) -> KeyRing:
    return keys.first_ring(KeyRing(version=0), active=standby(now=now), standby=standby(now=now), now=now)


def of_every_state(*, now: datetime = NOON) -> KeyRing:
    """One key in each state, every field of some key filled."""
    ring = keys.rotated(first_ring(now=now), fresh=standby(now=now), now=now, policy=POLICY)
    ring = keys.tidied(ring, now=now + timedelta(days=1), policy=POLICY)
    ring = keys.rotated(ring, fresh=standby(now=now), now=now + timedelta(days=1), policy=POLICY)
    revoked = standby(now=now).revoked(now=now + timedelta(hours=2))
    ring = replace(ring.with_keys(revoked))
    assert {key.state for key in ring.keys} == set(State)
    return ring
