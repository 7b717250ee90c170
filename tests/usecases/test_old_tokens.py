"""Tokens of the service before this one: what is taken for one, what it must say, and no way around our own keys."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from auth_service.domain.errors import AccessTokenRefused
from auth_service.usecases.old_tokens import LONGEST_LIFE, OldTokens

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
UNTIL = NOW + timedelta(days=30)
LEEWAY = timedelta(seconds=60)
SECRET = "the secret of the service before"
CLAIMS = {"usernumber": 1001, "role": "staff", "username": "Ada L", "exp": int(NOW.timestamp()) + 600}
PUBLIC = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def old_tokens(clock: Clock) -> OldTokens:
    return old(clock)


def old(clock: Clock) -> OldTokens:
    return OldTokens(secret=SECRET.encode(), until=UNTIL, leeway=LEEWAY, clock=clock)


def token(claims: dict[str, Any] | None = None, *, secret: str = SECRET, **changes: Any) -> str:
    """As the old service makes them."""
    return jwt.encode((CLAIMS if claims is None else claims) | changes, secret.encode(), algorithm="HS256")


def spelt(header: object, payload: object, *, secret: bytes = SECRET.encode()) -> str:
    """Rightly signed, whatever it says; bytes stay as they are."""
    parts = (
        each if isinstance(each, bytes) else json.dumps(each, separators=(",", ":")).encode()
        for each in (header, payload)
    )
    signed = b".".join(b64(part) for part in parts)
    return (signed + b"." + b64(hmac.digest(secret, signed, "sha256"))).decode()


def b64(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def refused(old_tokens: OldTokens, token: str) -> tuple[str, str]:
    assert old_tokens.concerns(token)
    with pytest.raises(AccessTokenRefused) as caught:
        old_tokens.verify(token)
    assert token not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize("number", [1001, "1001"])
def test_a_token_of_the_old_service_says_who_it_is(old_tokens: OldTokens, clock: Clock, number: object) -> None:
    found = old_tokens.verify(token(usernumber=number))

    assert (found.user_number, found.role, found.username) == (1001, "staff", "Ada L")
    assert found.expires_at == NOW + timedelta(minutes=10)
    assert (old_tokens.accepted, old_tokens.last_seen_at) == (1, NOW)


def test_both_spellings_of_its_header_are_known_and_no_other_is(old_tokens: OldTokens) -> None:
    assert old_tokens.concerns(spelt(b'{"alg":"HS256","typ":"JWT"}', CLAIMS))
    assert old_tokens.concerns(spelt(b'{"typ":"JWT","alg":"HS256"}', CLAIMS))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256"},
        {"alg": "HS256", "typ": "JWT", "kid": "any"},
        {"alg": "HS256", "typ": "JWT", "jwk": {"kty": "oct", "k": "c2VjcmV0"}},
        {"alg": "HS256", "typ": "JWT", "crit": []},
        {"alg": "HS256", "typ": "at+jwt"},
        {"alg": "HS384", "typ": "JWT"},
        {"alg": "HS512", "typ": "JWT"},
        {"alg": "hs256", "typ": "JWT"},
        {"alg": "none", "typ": "JWT"},
        {"alg": "RS256", "typ": "JWT"},
        {"alg": "RS256", "typ": "at+jwt", "kid": "any"},
        b'{"alg": "HS256", "typ": "JWT"}',
        b'{"alg":"HS256","typ":"JWT","alg":"HS256"}',
        b'\xef\xbb\xbf{"alg":"HS256","typ":"JWT"}',
        b"",
    ],
)
def test_whatever_else_a_header_asks_for_is_not_our_business_here(old_tokens: OldTokens, header: object) -> None:
    assert not old_tokens.concerns(spelt(header, CLAIMS))


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "\ud800.b.c", "é.b.c", "eyJ", "\0"])
def test_what_is_no_token_is_not_our_business_either(old_tokens: OldTokens, text: str) -> None:
    assert not old_tokens.concerns(text)


@pytest.mark.parametrize(
    "secret",
    [
        PUBLIC.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        PUBLIC.public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        PUBLIC.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        PUBLIC.public_bytes(Encoding.DER, PublicFormat.PKCS1),
        json.dumps(jwt.algorithms.RSAAlgorithm.to_jwk(PUBLIC, as_dict=True)).encode(),
        b"",
        b"\0" * 32,
        SECRET.upper().encode(),
        SECRET.encode() + b"\0",
        hashlib.sha256(SECRET.encode()).digest(),
    ],
)
def test_no_key_but_the_secret_signs_one(old_tokens: OldTokens, secret: bytes) -> None:
    forged = spelt({"alg": "HS256", "typ": "JWT"}, CLAIMS, secret=secret)

    # HMAC fills a short key up with zeros: of a secret and of the same with a zero after it, it makes one key.
    if secret == SECRET.encode() + b"\0":
        assert old_tokens.verify(forged)
    else:
        assert refused(old_tokens, forged) == ("TOKEN_INVALID", "hs256_signature")


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": CLAIMS["exp"]},
        {name: value for name, value in CLAIMS.items() if name != "exp"},
        {name: value for name, value in CLAIMS.items() if name != "role"},
        CLAIMS | {"exp": str(CLAIMS["exp"])},
        CLAIMS | {"exp": True},
        CLAIMS | {"exp": None},
        CLAIMS | {"exp": -1},
        CLAIMS | {"exp": 1e30},
        CLAIMS | {"usernumber": 0},
        CLAIMS | {"usernumber": -5},
        CLAIMS | {"usernumber": 1001.5},
        CLAIMS | {"usernumber": "01001"},
        CLAIMS | {"usernumber": "1001\n"},
        CLAIMS | {"usernumber": "١٢"},
        CLAIMS | {"usernumber": 2**53},
        CLAIMS | {"role": "admin"},
        CLAIMS | {"role": ["staff"]},
        CLAIMS | {"username": ""},
        CLAIMS | {"username": "a\0b"},
        CLAIMS | {"username": "a" * 256},
        CLAIMS | {"sub": "somebody"},
        CLAIMS | {"roles": ["admin"]},
        [CLAIMS],
        b'{"usernumber":1001,"role":"user","role":"staff","username":"a","exp":1795349000}',
        b'{"usernumber":1001,"role":"staff","username":"\\ud800","exp":1795349000}',
        b'{"usernumber":1001,"role":"staff","username":"a","exp":NaN}',
        json.dumps(CLAIMS).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode(),
        b"not JSON",
    ],
)
def test_a_token_says_what_the_old_service_wrote_and_nothing_else(old_tokens: OldTokens, claims: object) -> None:
    assert refused(old_tokens, spelt({"alg": "HS256", "typ": "JWT"}, claims)) == ("TOKEN_INVALID", "hs256_claim")
    assert old_tokens.accepted == 0


def test_times_are_held_to_the_edge(old_tokens: OldTokens, clock: Clock) -> None:
    at = token()
    clock.now = NOW + timedelta(minutes=10) + LEEWAY - timedelta(microseconds=1)
    assert old_tokens.verify(at)
    clock.now += timedelta(microseconds=1)
    assert refused(old_tokens, at) == ("TOKEN_EXPIRED", "hs256_expired")

    clock.now = NOW
    longest = int((NOW + LONGEST_LIFE + LEEWAY).timestamp())
    assert old_tokens.verify(token(exp=longest))
    assert refused(old_tokens, token(exp=longest + 1)) == ("TOKEN_INVALID", "hs256_lifetime")


def test_on_the_day_it_is_over(old_tokens: OldTokens, clock: Clock) -> None:
    fresh = token(exp=int(UNTIL.timestamp()) + 600)

    clock.now = UNTIL - timedelta(microseconds=1)
    assert old_tokens.verify(fresh)
    clock.now = UNTIL
    assert refused(old_tokens, fresh) == ("TOKEN_INVALID", "hs256_over")
    assert old_tokens.last_seen_at == UNTIL - timedelta(microseconds=1)


def test_a_token_is_bounded_before_it_is_looked_at(old_tokens: OldTokens) -> None:
    assert refused(old_tokens, token() + "A" * 8192) == ("TOKEN_INVALID", "hs256_too_large")


@pytest.mark.parametrize(
    "cut", ["{0}", "{0}.", "{0}.{1}", "{0}.{1}.", "{0}..{2}", "{0}.{1}.{2}.", "{0}.{1}.{2}=", "{0}.{1}.{2}é"]
)
def test_segments_are_three_and_canonical(old_tokens: OldTokens, cut: str) -> None:
    assert refused(old_tokens, cut.format(*token().split("."))) == ("TOKEN_INVALID", "hs256_malformed")


def test_spare_bits_make_no_second_spelling(old_tokens: OldTokens) -> None:
    good = token()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = good[:-1] + alphabet[alphabet.index(good[-1]) ^ 1]

    assert refused(old_tokens, other) == ("TOKEN_INVALID", "hs256_malformed")


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=40), st.integers(min_value=37))
def test_no_change_anywhere_is_taken(noise: bytes, where: int) -> None:
    tokens, good = old(Clock()), token()
    where %= len(good)
    changed = good[:where] + noise.decode("latin-1") + good[where + len(noise) :]

    if changed != good and tokens.concerns(changed):
        assert refused(tokens, changed)[0] == "TOKEN_INVALID"
    assert tokens.accepted == 0


def test_the_log_tells_of_it_once_a_minute(old_tokens: OldTokens, clock: Clock) -> None:
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            old_tokens.verify(token())
        clock.now += timedelta(seconds=61)
        old_tokens.verify(token())

    assert [(each["event"], each["accepted_since_start"]) for each in logs] == [
        ("hs256.accepted", 1),
        ("hs256.accepted", 4),
    ]
    assert "Ada" not in str(logs)
