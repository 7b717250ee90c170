"""How fast a token is checked in process, next to the bare RSA operation and to other libraries.

Rounds are interleaved and the median counts, so that a noisy neighbour harms all of them
alike; time is the thread's own.
"""

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence

import jwt
from auth_client import FixedKeys, KeySet, TokenVerifier
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import RSAKey

from bench.figures import Figure, ratios

ISSUER, AUDIENCE, KID = "https://auth.facility.example", "facility", "xPnN2Vb0hKpYp4sMtmGqnH5E4dY0tVgqRkT1oJw3c9A"
ROUNDS, CALLS = 40, 150


def _number(value: int) -> str:
    return urlsafe_b64encode(value.to_bytes((value.bit_length() + 7) // 8)).rstrip(b"=").decode()


def _rate(call: Callable[[], object]) -> float:
    start = time.thread_time()
    for _ in range(CALLS):
        call()
    return CALLS / (time.thread_time() - start)


def measure() -> Sequence[Figure]:
    rates = {name: tuple(values) for name, values in _rates().items()}
    raw, cold, warm = (rates[name] for name in ("raw RSA verify", "auth_client", "auth_client, token remembered"))
    return (
        Figure("local verify, cold : raw RSA verify", ratios(cold, raw), at_least=0.75, raw=rates),
        Figure("local verify, remembered : cold", ratios(warm, cold), at_least=20),
        Figure("PyJWT : raw RSA verify", ratios(rates["PyJWT"], raw)),
        Figure("joserfc : raw RSA verify", ratios(rates["joserfc"], raw)),
    )


def _rates() -> dict[str, list[float]]:
    """Verifications per second on one core, by contestant and round."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public, numbers = key.public_key(), key.public_key().public_numbers()
    jwk = {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": KID,
        "n": _number(numbers.n),
        "e": _number(numbers.e),
    }
    now = int(time.time())
    # As our issuer writes them.
    claims = {
        "iss": ISSUER,
        "sub": "0d7f4c1e-8a51-4c2e-9a37-5d1f0c9b7e42",
        "exp": now + 600,
        "iat": now,
        "jti": "b9c1d8f04f3a4d6f9a6b2c7e1d0f5a38",
        "sid": "7c0a6a1e-2f37-4b0e-8a44-0f6a3f1d9c55",
        "client_id": "facility",
        "aud": AUDIENCE,
        "roles": ["user", "instrument-scientist"],
        "role": "user",
        "username": "ada.lovelace@facility.example",
        "usernumber": 1234567,
    }
    token = jwt.encode(claims, key, algorithm="RS256", headers={"typ": "at+jwt", "kid": KID})
    signed, _, tail = token.encode().rpartition(b".")
    signature = urlsafe_b64decode(tail + b"==")
    pkcs, sha = padding.PKCS1v15(), SHA256()
    source = FixedKeys(KeySet.from_jwks(json.dumps({"keys": [jwk]})))
    cold = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=source)
    warm = TokenVerifier(issuer=ISSUER, audience=AUDIENCE, keys=source, cache_size=100)
    joserfc_key = RSAKey.import_key(public)
    registry = joserfc_jwt.JWTClaimsRegistry(
        leeway=60, iss={"essential": True, "value": ISSUER}, aud={"essential": True, "value": AUDIENCE}
    )

    def with_joserfc() -> None:
        registry.validate(joserfc_jwt.decode(token, joserfc_key, algorithms=["RS256"]).claims)

    def with_pyjwt() -> None:
        jwt.decode(token, public, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER, leeway=60)

    contestants: dict[str, Callable[[], object]] = {
        "raw RSA verify": lambda: public.verify(signature, signed, pkcs, sha),
        "auth_client": lambda: cold.verify_now(token),
        "auth_client, token remembered": lambda: warm.verify_now(token),
        "PyJWT": with_pyjwt,
        "joserfc": with_joserfc,
    }
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, call in contestants.items():
            rates[name].append(_rate(call))
    return rates
