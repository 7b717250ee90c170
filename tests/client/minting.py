"""Keys and tokens to order, good and bad. Keys are made once a run."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import cache

from auth_client import FixedKeys, KeySet, TokenVerifier
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm

ISSUER = "https://auth.facility.example"
AUDIENCE = "facility"
NOW = 1_800_000_000
ABSENT = object()


def private_key(name: str = "first", bits: int = 2048) -> rsa.RSAPrivateKey:
    return _made(name, bits)


@cache
def _made(name: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8))


def jwk(name: str = "first", *, bits: int = 2048, **changes: object) -> dict[str, object]:
    """The public key `name` under the kid `name`."""
    numbers = private_key(name, bits).public_key().public_numbers()
    members: dict[str, object] = {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": name,
        "n": number(numbers.n),
        "e": number(numbers.e),
    }
    return _changed(members, changes)


def key_set(*names: str) -> KeySet:
    return KeySet.from_jwks({"keys": [jwk(name) for name in names or ("first",)]})


def claims(**changes: object) -> dict[str, object]:
    members: dict[str, object] = {
        "iss": ISSUER,
        "sub": "0d7f4c1e-8a51-4c2e-9a37-5d1f0c9b7e42",
        "aud": [AUDIENCE],
        "exp": NOW + 600,
        "iat": NOW,
        "jti": "b9c1d8f04f3a4d6f9a6b2c7e1d0f5a38",
        "sid": "7c0a6a1e-2f37-4b0e-8a44-0f6a3f1d9c55",
        "client_id": "facility",
        "roles": ["user", "instrument-scientist"],
        "usernumber": 1234567,
        "role": "user",
        "username": "ada",
    }
    return _changed(members, changes)


def header(**changes: object) -> dict[str, object]:
    return _changed({"alg": "RS256", "typ": "at+jwt", "kid": "first"}, changes)


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def sign(
    head: Mapping[str, object] | bytes, payload: Mapping[str, object] | bytes, *, key: str = "first", bits: int = 2048
) -> str:
    """A token with exactly these bytes, or this JSON, whatever they are, and a right RS256 signature."""
    parts = [part if isinstance(part, bytes) else compact(part) for part in (head, payload)]
    signed = ".".join(b64(part) for part in parts)
    return f"{signed}.{b64(signature(signed.encode(), key=key, bits=bits))}"


def signature(
    signed: bytes,
    *,
    key: str = "first",
    bits: int = 2048,
    scheme: padding.AsymmetricPadding | None = None,
    digest: HashAlgorithm | None = None,
) -> bytes:
    return private_key(key, bits).sign(signed, scheme or padding.PKCS1v15(), digest or SHA256())


def token(**changes: object) -> str:
    """A token whose claims are good but for `changes`; ABSENT leaves one out."""
    return sign(header(), claims(**changes))


def verifier(trusted: KeySet | None = None, **changes: object) -> TokenVerifier:
    """A verifier at NOW that expects what `token` makes."""
    arguments: dict[str, object] = {
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "keys": FixedKeys(trusted or key_set()),
        "clock": lambda: NOW,
    }
    return TokenVerifier(**(arguments | changes))  # type: ignore[arg-type] # Tests name what they change.


def _changed(members: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in (members | changes).items() if value is not ABSENT}
