"""Signing keys: their states, the ring they form, and which change is due when.

    standby -> active -> retiring -> retired          and from any published state -> revoked
                 ^----------/    while the private half is held (`rolled_back`)

A ring is a value: every change gives a new ring at the next version. Storage swaps it in only if the version in the
database is still the old one, so replicas need neither a leader nor a lock.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from auth_service.domain.errors import KeyState as KeyStateRefused
from auth_service.domain.errors import NotFound
from auth_service.domain.sealing import KeyEncryptionKeys

PURPOSE = "signing key"
PUBLIC_EXPONENT = 65537
KEY_SET_MAX_AGE = timedelta(minutes=5)
"""How long verifiers may take a key set that they fetched for the current one."""


class State(StrEnum):
    STANDBY = "standby"
    ACTIVE = "active"
    RETIRING = "retiring"
    RETIRED = "retired"
    REVOKED = "revoked"


PUBLISHED = frozenset({State.STANDBY, State.ACTIVE, State.RETIRING})


@dataclass(frozen=True, slots=True)
class KeyPolicy:
    """The timers of keys-and-sessions §1. `settings` refuses sets that contradict each other."""

    size_bits: int
    rotate_every: timedelta
    publish_ahead: timedelta
    signer_lease: timedelta
    token_lifetime: timedelta
    clock_skew: timedelta
    rollback_within: timedelta = timedelta(0)
    """How long a key that stopped signing keeps its private half, if that is longer than a replica may sign with it."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key. `modulus` is the public half; `sealed_private` is wiped when no replica may sign with it any more.

    `covers_lifetime` and `covers_lease` are the longest that any replica signed with this key for; a replica records
    its own before it signs, so they tell the latest `exp` that the key can have signed.
    """

    kid: str
    state: State
    modulus: int
    sealed_private: bytes | None = field(repr=False)
    published_at: datetime
    covers_lifetime: timedelta
    covers_lease: timedelta
    activated_at: datetime | None = None
    demoted_at: datetime | None = None
    verifies_until: datetime | None = None
    withdrawn_at: datetime | None = None

    @property
    def size_bits(self) -> int:
        return self.modulus.bit_length()

    @property
    def is_published(self) -> bool:
        return self.state in PUBLISHED

    def jwk(self) -> dict[str, str]:
        """The public half as a verifier reads it (RFC 7517)."""
        return {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.kid,
            "n": _b64(self.modulus),
            "e": _b64(PUBLIC_EXPONENT),
        }

    def public_pem(self) -> str:
        """The public half as X.509 has it (SubjectPublicKeyInfo), for programs that read no JWK."""
        public = rsa.RSAPublicNumbers(PUBLIC_EXPONENT, self.modulus).public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")

    def demoted(self, *, now: datetime, policy: KeyPolicy) -> "SigningKey":
        """This key once it signs no more: another replica may do so for a lease, and what it signs lives a lifetime.

        It stays published for two skews longer (the verifier's clock and ours), and for as long as a key set is cached.
        """
        verifies_until = self.latest_exp(stopped_at=now) + 2 * policy.clock_skew + KEY_SET_MAX_AGE
        return replace(self, state=State.RETIRING, demoted_at=now, verifies_until=verifies_until)

    def latest_exp(self, *, stopped_at: datetime) -> datetime:
        """When the last token is over that it can have signed, if it was told to stop at `stopped_at`."""
        return stopped_at + self.covers_lease + self.covers_lifetime

    @property
    def tokens_until(self) -> datetime | None:
        """When the last token is over that it can have signed; None for a key that still signs, or never did."""
        stopped_at = self.demoted_at or self.withdrawn_at
        if self.activated_at is None or stopped_at is None:
            return None
        return self.latest_exp(stopped_at=stopped_at)

    def held_until(self, policy: KeyPolicy) -> datetime:
        """Until when a key that stopped signing keeps its private half, and so may sign again."""
        assert self.demoted_at is not None
        assert self.verifies_until is not None
        held_for = max(self.covers_lease + policy.clock_skew, policy.rollback_within)
        return min(self.demoted_at + held_for, self.verifies_until)

    def revoked(self, *, now: datetime) -> "SigningKey":
        withdrawn_at = self.withdrawn_at or now
        return replace(self, state=State.REVOKED, sealed_private=None, withdrawn_at=withdrawn_at)


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Every key there ever was, at one version. Version 0 is the ring before the first key."""

    version: int
    keys: tuple[SigningKey, ...] = ()

    @property
    def active(self) -> SigningKey:
        return next(key for key in self.keys if key.state is State.ACTIVE)

    @property
    def standby(self) -> SigningKey:
        return next(key for key in self.keys if key.state is State.STANDBY)

    @property
    def last_demoted(self) -> SigningKey:
        """The key that signed before the active one. Ask only of a ring that was rotated."""
        demoted = [(key.demoted_at, key) for key in self.keys if key.demoted_at is not None]
        return max(demoted, key=lambda each: each[0])[1]

    @property
    def previous(self) -> SigningKey | None:
        """The key that signed before the active one, whatever became of it."""
        stopped = [
            (stopped_at, key)
            for key in self.keys
            if key.activated_at is not None
            and key.state is not State.ACTIVE
            and (stopped_at := key.demoted_at or key.withdrawn_at) is not None
        ]
        return max(stopped, key=lambda each: each[0])[1] if stopped else None

    @property
    def is_empty(self) -> bool:
        return not self.keys

    @property
    def published(self) -> tuple[SigningKey, ...]:
        """Keys a verifier may need now or soon; never empty once the ring exists."""
        return tuple(key for key in self.keys if key.is_published)

    def get(self, kid: str) -> SigningKey:
        """Raises NotFound."""
        for key in self.keys:
            if key.kid == kid:
                return key
        raise NotFound("kid: no such signing key")

    def with_keys(self, *changed: SigningKey) -> "KeyRing":
        """The next version of this ring, in which `changed` replace the keys of the same kid or come new."""
        new = {key.kid: key for key in changed}
        kept = tuple(new.pop(key.kid, key) for key in self.keys)
        return KeyRing(self.version + 1, (*kept, *new.values()))


def generate(*, now: datetime, policy: KeyPolicy, sealing: KeyEncryptionKeys) -> SigningKey:
    """A new standby key, sealed. Takes 40 ms to seconds of CPU: run it off the event loop."""
    private_key = rsa.generate_private_key(public_exponent=PUBLIC_EXPONENT, key_size=policy.size_bits)
    modulus = private_key.public_key().public_numbers().n
    kid = thumbprint(modulus)
    der = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return SigningKey(
        kid=kid,
        state=State.STANDBY,
        modulus=modulus,
        sealed_private=sealing.seal(der, kid=kid, purpose=PURPOSE),
        published_at=now,
        covers_lifetime=policy.token_lifetime,
        covers_lease=policy.signer_lease,
    )


def opened(key: SigningKey, *, sealing: KeyEncryptionKeys) -> rsa.RSAPrivateKey:
    """The private half. Raises SealBroken, KeyStateRefused if it was wiped."""
    if key.sealed_private is None:
        raise KeyStateRefused("the private half of this key was wiped")
    der = sealing.open(key.sealed_private, kid=key.kid, purpose=PURPOSE)
    # Validation holds the GIL for 55 ms, and these bytes come out of our own authenticated ciphertext.
    private_key = load_der_private_key(der, password=None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(private_key, rsa.RSAPrivateKey)
    return private_key


def thumbprint(modulus: int) -> str:
    """The RFC 7638 SHA-256 thumbprint of the RSA key with our exponent."""
    members = {"e": _b64(PUBLIC_EXPONENT), "kty": "RSA", "n": _b64(modulus)}
    canonical = json.dumps(members, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()


def first_ring(empty: KeyRing, *, active: SigningKey, standby: SigningKey, now: datetime) -> KeyRing:
    """The ring that the service starts its life with."""
    return empty.with_keys(replace(active, state=State.ACTIVE, activated_at=now), standby)


def rotated(ring: KeyRing, *, fresh: SigningKey, now: datetime, policy: KeyPolicy) -> KeyRing:
    """The standby signs, the active verifies, `fresh` is the next standby."""
    promoted = replace(ring.standby, state=State.ACTIVE, activated_at=now)
    return ring.with_keys(ring.active.demoted(now=now, policy=policy), promoted, fresh)


def without(ring: KeyRing, kid: str, *, fresh: SigningKey, now: datetime) -> KeyRing:
    """The ring with `kid` revoked. `fresh` becomes the standby if the old one was revoked or promoted.

    Raises NotFound. A ring in which it is revoked already comes back unchanged.
    """
    bad = ring.get(kid)
    revoked = bad.revoked(now=now)
    match bad.state:
        case State.REVOKED:
            return ring
        case State.ACTIVE:
            return ring.with_keys(revoked, replace(ring.standby, state=State.ACTIVE, activated_at=now), fresh)
        case State.STANDBY:
            return ring.with_keys(revoked, fresh)
        case _:
            return ring.with_keys(revoked)


def rolled_back(ring: KeyRing, *, now: datetime, policy: KeyPolicy) -> KeyRing:
    """The key that signed before signs again, the one that signed verifies, and the standby stays. Raises KeyState."""
    previous = ring.previous
    if previous is None:
        raise KeyStateRefused("no key signed before the one that signs now")
    if previous.state is State.REVOKED:
        raise KeyStateRefused(
            f"the key that signed before, {previous.kid}, was revoked: expected one that is published"
        )
    assert previous.verifies_until is not None
    if previous.sealed_private is None or now >= previous.verifies_until:
        raise KeyStateRefused(
            f"the key that signed before, {previous.kid}, cannot sign again: its private half was kept until"
            f" {previous.held_until(policy):%FT%TZ}"
        )
    # As if it began now: its time would be over otherwise, and the standby would sign at the next tick.
    again = replace(previous, state=State.ACTIVE, activated_at=now, demoted_at=None, verifies_until=None)
    return ring.with_keys(ring.active.demoted(now=now, policy=policy), again)


def rollback_until(ring: KeyRing, *, now: datetime, policy: KeyPolicy) -> datetime | None:
    """Until when `rolled_back` lets the key that signed before sign again; None if it cannot."""
    previous = ring.previous
    if previous is None or previous.sealed_private is None or now >= previous.held_until(policy):
        return None
    return previous.held_until(policy)


def is_published_ahead(ring: KeyRing, *, now: datetime, policy: KeyPolicy) -> bool:
    """Whether every verifier has had the time to learn of the standby."""
    return now >= ring.standby.published_at + policy.publish_ahead


def should_rotate(ring: KeyRing, *, now: datetime, policy: KeyPolicy) -> bool:
    """Whether the active key has signed for long enough and the standby was published long enough ago."""
    return now >= rotation_due_at(ring, policy=policy)


def rotation_due_at(ring: KeyRing, *, policy: KeyPolicy) -> datetime:
    """When the standby is to sign: the active key has had its time, and every verifier has had its own."""
    active, standby = ring.active, ring.standby
    assert active.activated_at is not None
    return due_at(active.kid, activated_at=active.activated_at, successor_at=standby.published_at, policy=policy)


def due_at(kid: str, *, activated_at: datetime, successor_at: datetime, policy: KeyPolicy) -> datetime:
    """When `kid` hands over to the key that was published at `successor_at`."""
    had_its_time = activated_at + policy.rotate_every + _jitter(kid, up_to=policy.rotate_every / 20)
    return max(had_its_time, successor_at + policy.publish_ahead)


def tidied(ring: KeyRing, *, now: datetime, policy: KeyPolicy) -> KeyRing:
    """The ring after what time alone brings about: lifetimes recorded, private halves wiped, keys retired.

    Comes back unchanged, at the same version, when nothing is due.
    """
    changed = tuple(after for key in ring.keys if (after := _aged(key, now=now, policy=policy)) != key)
    return ring.with_keys(*changed) if changed else ring


def _aged(key: SigningKey, *, now: datetime, policy: KeyPolicy) -> SigningKey:
    match key.state:
        case State.STANDBY | State.ACTIVE:
            # Two replicas may run with different settings while an upgrade rolls: the longest counts.
            return replace(
                key,
                covers_lifetime=max(key.covers_lifetime, policy.token_lifetime),
                covers_lease=max(key.covers_lease, policy.signer_lease),
            )
        case State.RETIRING:
            assert key.verifies_until is not None
            if now >= key.verifies_until:
                return replace(key, state=State.RETIRED, sealed_private=None, withdrawn_at=now)
            if now >= key.held_until(policy):
                return replace(key, sealed_private=None)
            return key
        case _:
            return key


def rewrapped(ring: KeyRing, *, sealing: KeyEncryptionKeys) -> KeyRing:
    """The ring with every private half sealed by the first key-encryption key. Raises SealBroken."""
    changed: list[SigningKey] = []
    for key in ring.keys:
        if key.sealed_private is None or sealing.is_sealed_by_first(key.sealed_private):
            continue
        der = sealing.open(key.sealed_private, kid=key.kid, purpose=PURPOSE)
        changed.append(replace(key, sealed_private=sealing.seal(der, kid=key.kid, purpose=PURPOSE)))
    return ring.with_keys(*changed) if changed else ring


def jwks(keys: Iterable[SigningKey]) -> dict[str, list[dict[str, str]]]:
    """The key set document (RFC 7517 section 5) of `keys`."""
    return {"keys": [key.jwk() for key in keys]}


def _jitter(kid: str, *, up_to: timedelta) -> timedelta:
    """The same for every replica, so that they agree on when; another for every key, so that rotations drift apart."""
    return up_to * (hashlib.sha256(kid.encode()).digest()[0] / 255)


def _b64(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
