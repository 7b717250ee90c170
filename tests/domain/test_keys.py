"""Signing keys: what holds after any sequence of changes, and what a key is made of."""

import base64
import json
import math
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import RSAKey

from auth_service.domain import keys
from auth_service.domain.errors import KeyState, NotFound
from auth_service.domain.keys import KeyPolicy, KeyRing, SigningKey, State
from auth_service.domain.sealing import KeyEncryptionKeys, SealBroken
from tests.domain.rings import NOON, POLICY, first_ring, of_every_state, standby

# Two skews, the verifier's and ours, and the time for which a key set is cached (row 24 of the security bar).
PUBLISHED_FOR_LONGER = 2 * POLICY.clock_skew + keys.KEY_SET_MAX_AGE

SEALING = KeyEncryptionKeys([b"k" * 32])

# RFC 7638 section 3.1.
RFC_7638_MODULUS = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMst"
    "n64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajr"
    "n1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)


def modulus(encoded: str) -> int:
    return int.from_bytes(base64.urlsafe_b64decode(encoded + "=="))


@pytest.mark.row("S21")
def test_the_thumbprint_is_rfc_7638s_for_its_own_example() -> None:
    assert keys.thumbprint(modulus(RFC_7638_MODULUS)) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.fixture(scope="module")
def made() -> list[SigningKey]:
    return [keys.generate(now=NOON, policy=POLICY, sealing=SEALING) for _ in range(6)]


@pytest.mark.row("S21")
def test_others_read_our_keys_as_we_do(made: list[SigningKey]) -> None:
    for key in made:
        theirs = RSAKey.import_key({**key.jwk()})
        assert theirs.thumbprint() == key.kid == keys.thumbprint(key.modulus)
        numbers = jwt.PyJWK(key.jwk()).key.public_numbers()
        assert (numbers.n, numbers.e) == (key.modulus, 65537)


@pytest.mark.row("S21")
def test_a_published_key_has_its_public_members_and_no_other(made: list[SigningKey]) -> None:
    [document] = keys.jwks(made[:1])["keys"]

    assert document == {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": made[0].kid, "n": document["n"], "e": "AQAB"}
    assert "=" not in document["n"]
    assert not base64.urlsafe_b64decode(document["n"] + "==").startswith(b"\0")


@pytest.mark.row("S19")
def test_generated_keys_are_as_strong_as_asked(made: list[SigningKey]) -> None:
    primes: set[int] = set()
    for key in made:
        private = keys.opened(key, sealing=SEALING).private_numbers()
        assert key.size_bits == private.p.bit_length() * 2 == 2048
        assert private.public_numbers.e == 65537
        assert private.p * private.q == key.modulus == private.public_numbers.n
        # FIPS 186-5 A.1.3: far enough apart that Fermat's factorisation does not find them.
        assert abs(private.p - private.q) > 2 ** (1024 - 100)
        assert math.isqrt(key.modulus) ** 2 != key.modulus
        primes |= {private.p, private.q}
    assert len(primes) == 2 * len(made)
    assert len({key.kid for key in made}) == len(made)


def test_the_opened_half_signs_what_the_published_half_verifies(made: list[SigningKey]) -> None:
    for key in made[:2]:
        signature = keys.opened(key, sealing=SEALING).sign(b"words", padding.PKCS1v15(), SHA256())
        jwt.PyJWK(key.jwk()).key.verify(signature, b"words", padding.PKCS1v15(), SHA256())


def test_a_private_half_is_nowhere_in_clear_and_opens_under_its_own_kid_only(made: list[SigningKey]) -> None:
    one, other = made[:2]
    assert one.sealed_private is not None
    private = keys.opened(one, sealing=SEALING).private_numbers()
    assert private.p.to_bytes(128) not in one.sealed_private

    with pytest.raises(SealBroken):
        keys.opened(replace(one, kid=other.kid), sealing=SEALING)
    with pytest.raises(SealBroken, match="not configured"):
        keys.opened(one, sealing=KeyEncryptionKeys([b"x" * 32]))
    with pytest.raises(KeyState, match="wiped"):
        keys.opened(replace(one, sealed_private=None), sealing=SEALING)


def test_rewrapping_seals_every_private_half_with_the_first_key_and_changes_nothing_else(
    made: list[SigningKey],
) -> None:
    ring = keys.first_ring(KeyRing(0), active=made[0], standby=made[1], now=NOON)
    ring = ring.with_keys(standby().revoked(now=NOON))
    both = KeyEncryptionKeys([b"n" * 32, b"k" * 32])

    rewrapped = keys.rewrapped(ring, sealing=both)

    new = KeyEncryptionKeys([b"n" * 32])
    assert rewrapped.version == ring.version + 1
    assert keys.opened(rewrapped.active, sealing=new).private_numbers().p
    for before, after in zip(ring.keys, rewrapped.keys, strict=True):
        assert replace(after, sealed_private=before.sealed_private) == before
    assert keys.rewrapped(rewrapped, sealing=both) is rewrapped
    with pytest.raises(SealBroken):
        keys.rewrapped(ring, sealing=new)


# What follows asks for no real key.


@pytest.mark.row("S23")
def test_a_rotation_waits_for_its_day_and_for_verifiers_to_know_the_standby() -> None:
    ring = first_ring()
    never, surely = NOON + POLICY.rotate_every, NOON + POLICY.rotate_every * 1.05
    assert not keys.should_rotate(ring, now=never - timedelta(seconds=1), policy=POLICY)
    assert keys.should_rotate(ring, now=surely, policy=POLICY)

    late = ring.with_keys(standby(now=surely).revoked(now=surely), replace(ring.standby, published_at=surely))
    assert not keys.should_rotate(late, now=surely + POLICY.publish_ahead - timedelta(seconds=1), policy=POLICY)
    assert keys.should_rotate(late, now=surely + POLICY.publish_ahead, policy=POLICY)


def test_the_longest_lifetime_and_lease_of_any_replica_count() -> None:
    ring = first_ring()
    newer = replace(POLICY, token_lifetime=timedelta(minutes=60), signer_lease=timedelta(seconds=90))

    recorded = keys.tidied(ring, now=NOON, policy=newer)

    assert recorded.version == ring.version + 1
    assert {(key.covers_lifetime, key.covers_lease) for key in recorded.keys} == {
        (newer.token_lifetime, newer.signer_lease)
    }
    assert keys.tidied(recorded, now=NOON, policy=POLICY) is recorded
    rotated = keys.rotated(recorded, fresh=standby(), now=NOON, policy=POLICY)
    assert (
        rotated.get(ring.active.kid).verifies_until == NOON + timedelta(minutes=60, seconds=90) + PUBLISHED_FOR_LONGER
    )


def test_the_last_demoted_is_the_one_that_signed_before() -> None:
    ring = first_ring()
    once = keys.rotated(ring, fresh=standby(), now=NOON, policy=POLICY)
    twice = keys.rotated(once, fresh=standby(), now=NOON + timedelta(days=1), policy=POLICY)

    assert once.last_demoted.kid == ring.active.kid
    assert twice.last_demoted.kid == once.active.kid


@pytest.mark.parametrize("state", list(State))
def test_a_key_of_any_state_can_be_revoked_and_the_ring_stays_whole(state: State) -> None:
    ring, fresh = of_every_state(), standby()
    bad = next(key for key in ring.keys if key.state is state)

    after = keys.without(ring, bad.kid, fresh=fresh, now=NOON)

    assert_whole(after)
    assert after.get(bad.kid).state is State.REVOKED
    assert after.get(bad.kid).sealed_private is None
    assert bad.kid not in {key.kid for key in after.published}
    if state is State.REVOKED:
        assert after is ring
    if state is State.ACTIVE:
        assert after.active.kid == ring.standby.kid
        assert after.standby == fresh
    if state is State.STANDBY:
        assert after.active == ring.active
        assert after.standby == fresh
    if state in (State.RETIRING, State.RETIRED):
        assert (after.active, after.standby) == (ring.active, ring.standby)


def test_an_unknown_key_cannot_be_revoked() -> None:
    with pytest.raises(NotFound):
        keys.without(first_ring(), "nobody", fresh=standby(), now=NOON)


def assert_whole(ring: KeyRing) -> None:
    states = [key.state for key in ring.keys]
    assert states.count(State.ACTIVE) == states.count(State.STANDBY) == 1
    assert len({key.kid for key in ring.keys}) == len(ring.keys)
    assert ring.published
    for key in ring.keys:
        assert (key.state in (State.RETIRED, State.REVOKED)) == (key.withdrawn_at is not None)
        if key.state in (State.ACTIVE, State.STANDBY):
            assert key.sealed_private is not None
        if key.state in (State.RETIRED, State.REVOKED):
            assert key.sealed_private is None
    assert all(set(each) == {"kty", "use", "alg", "kid", "n", "e"} for each in keys.jwks(ring.published)["keys"])
    json.dumps(keys.jwks(ring.published))


class Replicas:
    """What replicas with several settings do to one ring, and the latest `exp` that each key can have signed."""

    def __init__(self) -> None:
        self.now = NOON
        self.ring = first_ring()
        self.latest_exp: dict[str, datetime] = {}
        self.seen: list[str] = []
        self._sign(self.ring.active)

    def _sign(self, key: SigningKey, *, until: timedelta = timedelta(0)) -> None:
        """A replica that has read the ring signs with `key`, at the latest a lease after the ring changed."""
        exp = self.now + until + key.covers_lifetime
        self.latest_exp[key.kid] = max(exp, self.latest_exp.get(key.kid, exp))

    def change(self, verb: str, policy: KeyPolicy) -> None:
        before = self.ring
        self._sign(before.active)
        match verb:
            case "rotate":
                after = keys.rotated(before, fresh=standby(now=self.now), now=self.now, policy=policy)
            case "revoke active":
                after = keys.without(before, before.active.kid, fresh=standby(now=self.now), now=self.now)
            case "revoke standby":
                after = keys.without(before, before.standby.kid, fresh=standby(now=self.now), now=self.now)
            case "revoke oldest":
                after = keys.without(before, before.keys[0].kid, fresh=standby(now=self.now), now=self.now)
            case "roll back":
                after = rolled_back_if_possible(before, now=self.now, policy=policy)
            case _:
                after = keys.tidied(before, now=self.now, policy=policy)
        if before.active.kid != after.active.kid:
            # The others have not noticed yet.
            self._sign(before.active, until=before.active.covers_lease)
        self.ring = after
        self.check(before, after)

    def check(self, before: KeyRing, after: KeyRing) -> None:
        assert_whole(after)
        assert (after is before) or after.version == before.version + 1
        assert {key.kid for key in before.keys} <= {key.kid for key in after.keys}
        for old in before.keys:
            new = after.get(old.kid)
            assert (old.state, new.state) in ALLOWED
            if old.is_published and not new.is_published and new.state is not State.REVOKED:
                # A verifier with a slow clock may still be asked about the last token.
                assert self.now >= self.latest_exp.get(old.kid, self.now) + PUBLISHED_FOR_LONGER
            if old.sealed_private is not None and new.sealed_private is None and new.state is not State.REVOKED:
                assert new.demoted_at is not None
                assert self.now >= new.demoted_at + new.covers_lease + POLICY.clock_skew


def rolled_back_if_possible(ring: KeyRing, *, now: datetime, policy: KeyPolicy) -> KeyRing:
    with suppress(KeyState):
        return keys.rolled_back(ring, now=now, policy=policy)
    return ring


ALLOWED = {
    *((state, state) for state in State),
    (State.STANDBY, State.ACTIVE),
    (State.ACTIVE, State.RETIRING),
    (State.RETIRING, State.ACTIVE),
    (State.RETIRING, State.RETIRED),
    *((state, State.REVOKED) for state in State),
}
VERBS = ("rotate", "revoke active", "revoke standby", "revoke oldest", "roll back", "tidy", "tidy", "tidy")
POLICIES = (
    POLICY,
    replace(POLICY, token_lifetime=timedelta(minutes=60), signer_lease=timedelta(seconds=5)),
    replace(POLICY, token_lifetime=timedelta(minutes=1), signer_lease=timedelta(minutes=5)),
    replace(POLICY, rollback_within=timedelta(hours=1)),
)
STEPS = st.tuples(
    st.sampled_from(VERBS),
    st.sampled_from(POLICIES),
    st.one_of(st.timedeltas(timedelta(0), timedelta(minutes=3)), st.timedeltas(timedelta(0), timedelta(days=40))),
)


@pytest.mark.row("S24")
@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=25))
def test_whatever_happens_in_whatever_order_the_ring_stays_whole_and_no_token_is_orphaned(
    steps: list[tuple[str, KeyPolicy, timedelta]],
) -> None:
    replicas = Replicas()
    for verb, policy, later in steps:
        replicas.now += later
        replicas.change(verb, policy)


@pytest.mark.row("S24")
@settings(max_examples=50, deadline=None)
@given(st.timedeltas(timedelta(0), timedelta(days=2)))
def test_a_demoted_key_loses_its_private_half_first_and_its_place_second(later: timedelta) -> None:
    ring = first_ring()
    demoted = ring.active.kid
    ring = keys.rotated(ring, fresh=standby(), now=NOON, policy=POLICY)

    key = keys.tidied(ring, now=NOON + later, policy=POLICY).get(demoted)

    wiped_at = POLICY.signer_lease + POLICY.clock_skew
    assert (key.sealed_private is None) == (later >= wiped_at)
    retired_at = POLICY.signer_lease + POLICY.token_lifetime + PUBLISHED_FOR_LONGER
    assert (key.state is State.RETIRED) == (later >= retired_at)


def test_the_key_that_signed_before_signs_again_and_the_standby_stays() -> None:
    first = first_ring()
    ring = keys.rotated(first, fresh=standby(), now=NOON, policy=POLICY)
    later = NOON + timedelta(minutes=1)

    back = keys.rolled_back(ring, now=later, policy=POLICY)

    assert (back.version, back.active.kid, back.standby.kid) == (3, first.active.kid, ring.standby.kid)
    assert (back.active.activated_at, back.active.demoted_at, back.active.verifies_until) == (later, None, None)
    demoted = back.get(ring.active.kid)
    assert (demoted.state, demoted.demoted_at) == (State.RETIRING, later)
    assert demoted.verifies_until == later + POLICY.signer_lease + POLICY.token_lifetime + PUBLISHED_FOR_LONGER
    # It has its whole time again, or the standby would sign at the next tick.
    assert keys.rotation_due_at(back, policy=POLICY) >= later + POLICY.rotate_every
    # And a rollback can be taken back.
    assert keys.rolled_back(back, now=later, policy=POLICY).active.kid == ring.active.kid


@pytest.mark.parametrize("within", [timedelta(0), timedelta(minutes=15)])
def test_whoever_rolls_back_too_late_is_told_until_when_it_was_possible(within: timedelta) -> None:
    policy = replace(POLICY, rollback_within=within)
    ring = keys.rotated(first_ring(), fresh=standby(), now=NOON, policy=policy)
    until = NOON + max(within, policy.signer_lease + policy.clock_skew)

    in_time = keys.tidied(ring, now=until - timedelta(seconds=1), policy=policy)
    assert keys.rolled_back(in_time, now=until - timedelta(seconds=1), policy=policy).active.kid == ring.keys[0].kid
    for late in (until, until + timedelta(days=1)):
        with pytest.raises(KeyState, match=f"cannot sign again: .* until {until:%FT%TZ}"):
            keys.rolled_back(keys.tidied(ring, now=late, policy=policy), now=late, policy=policy)


def test_neither_a_revoked_key_signs_again_nor_one_that_never_did() -> None:
    ring = first_ring()
    with pytest.raises(KeyState, match="no key signed before"):
        keys.rolled_back(ring, now=NOON, policy=POLICY)
    with pytest.raises(KeyState, match="no key signed before"):
        keys.rolled_back(keys.without(ring, ring.standby.kid, fresh=standby(), now=NOON), now=NOON, policy=POLICY)

    rotated = keys.rotated(ring, fresh=standby(), now=NOON, policy=POLICY)
    later = NOON + timedelta(seconds=1)
    for kid in (rotated.active.kid, ring.active.kid):
        revoked = keys.without(rotated, kid, fresh=standby(), now=later)
        with pytest.raises(KeyState, match=f"{kid}, was revoked"):
            keys.rolled_back(revoked, now=later, policy=POLICY)
