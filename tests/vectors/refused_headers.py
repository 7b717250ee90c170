"""Tokens that must be refused for their header: the algorithm, the type, keys from outside, the kid."""

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.client.minting import ABSENT, b64, claims, header
from tests.vectors.case import FIRST, Case, headed, refused, shown, signed_part
from tests.vectors.key_sets import HOSTILE_KIDS, jwk
from tests.vectors.rsa_keys import rsa_key

_PEM, _DER = serialization.Encoding.PEM, serialization.Encoding.DER
_SPKI, _PKCS1 = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1


def algorithms() -> Iterator[Case]:
    about = "Nothing but RS256 counts, however it is spelt, although the signature is right."
    for alg in (
        "none",
        "None",
        "nOnE",
        "HS256",
        "HS512",
        "RS384",
        "RS512",
        "PS256",
        "ES256",
        "EdDSA",
        "rs256",
        "RS256 ",
        "RS256\0",
        "",
        None,
        ["RS256"],
        {"alg": "RS256"},
        256,
        True,
    ):
        yield refused(f"alg {shown(alg)}", about, headed(alg=alg), "algorithm")
    yield refused("no alg", "The algorithm must be named.", headed(alg=ABSENT), "algorithm")
    head = header(alg="none")
    signed = signed_part(head, claims())
    yield refused("none, unsigned", "An empty signature is none at all.", f"{signed}.", "malformed")
    yield refused("none, with a dot", "Nor is anything else a signature of `none`.", f"{signed}.AAAA", "algorithm")
    yield refused("RS256, unsigned", "An empty signature.", f"{signed_part(header(), claims())}.", "malformed")
    yield from _confusions()


def _confusions() -> Iterator[Case]:
    public = rsa.RSAPublicNumbers(FIRST.e, FIRST.n).public_key()
    secrets = {
        "PEM": public.public_bytes(_PEM, _SPKI),
        "PEM without its last line break": public.public_bytes(_PEM, _SPKI).rstrip(),
        "DER": public.public_bytes(_DER, _SPKI),
        "PKCS #1 PEM": public.public_bytes(_PEM, _PKCS1),
        "modulus": b64(FIRST.n.to_bytes(FIRST.size)).encode(),
    }
    for spelling, secret in secrets.items():
        for alg, reason in (("HS256", "algorithm"), ("RS256", "signature")):
            text = _with(header(alg=alg), lambda signed, secret=secret: hmac.digest(secret, signed, "sha256"))
            yield refused(f"HMAC with our {spelling}, {alg}", "A public key is no shared secret.", text, reason)
    empty = _with(header(alg="HS256"), lambda signed: hmac.digest(b"", signed, "sha256"))
    yield refused("HMAC with nothing", "An empty secret is no secret.", empty, "algorithm")
    shared = _with(
        header(alg="HS256"), lambda signed: hmac.digest(b"worthless as a secret of 32 bytes", signed, "sha256")
    )
    yield refused(
        "HMAC with a key of the set",
        "A symmetric key in the set is not used.",
        shared,
        "algorithm",
        key_set="symmetric",
    )
    about = "The right key with another scheme."
    for scheme in ("sha1", "sha384", "sha512"):
        yield refused(
            f"RS256 by {scheme}", about, _with(header(), lambda s, scheme=scheme: FIRST.pkcs1(s, scheme)), "signature"
        )
    yield refused("RS256 by PSS", about, _with(header(), FIRST.pss), "signature")
    yield refused(
        "RS384, signed so", about, _with(header(alg="RS384"), lambda s: FIRST.pkcs1(s, "sha384")), "algorithm"
    )
    yield refused(
        "RS512, signed so", about, _with(header(alg="RS512"), lambda s: FIRST.pkcs1(s, "sha512")), "algorithm"
    )
    yield refused("PS256, signed so", about, _with(header(alg="PS256"), FIRST.pss), "algorithm")
    yield from _other_kinds()


def _other_kinds() -> Iterator[Case]:
    curve = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
    elliptic = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    edwards = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"edwards").digest())
    about = "A signature of another kind of key."
    for alg, reason in (("ES256", "algorithm"), ("RS256", "signature")):
        yield refused(f"ECDSA, {alg}", about, _with(header(alg=alg), lambda s: curve.sign(s, elliptic)), reason)
    for alg, reason in (("EdDSA", "algorithm"), ("RS256", "signature")):
        yield refused(f"Ed25519, {alg}", about, _with(header(alg=alg), edwards.sign), reason)


def types() -> Iterator[Case]:
    for typ in (
        "JWT",
        "jwt",
        "rt+jwt",
        "id+jwt",
        "logout+jwt",
        "application/jwt",
        "at+jwt ",
        "at+jwt\0",
        "text/at+jwt",
        "application/application/at+jwt",
        "at+jwt;v=1",
        "applİcation/at+jwt",
        "",
        None,
        ["at+jwt"],
        1,
        True,
    ):
        yield refused(f"typ {shown(typ)}", "Another type of token is no access token.", headed(typ=typ), "typ")
    yield refused("no typ", "The type must be named.", headed(typ=ABSENT), "typ")


def injections() -> Iterator[Case]:
    for crit in (["b64"], ["exp"], [], None, "b64", ["http://example.com/unknown"], 0):
        about = "No critical extension is understood, and the member itself must be sound."
        yield refused(f"crit {shown(crit)}", about, headed(crit=crit, b64=True), "crit")
    own = jwk("canary")
    for member in (
        {"jwk": own},
        {"jku": "http://canary.example/jwks.json"},
        {"x5u": "http://canary.example/chain.pem"},
        {"x5c": ["MIIB"]},
        {"x5t": "abc"},
        {"x5t#S256": "abc"},
        {"cty": "JWT"},
        {"b64": False},
        {"b64": True},
        {"zip": "DEF"},
        {"enc": "A256GCM"},
        {"jku": None},
    ):
        name, value = next(iter(member.items()))
        yield refused(
            f"{name} {shown(value)}", "A token brings neither keys nor encodings.", headed(**member), "header"
        )
    text = _with(header(jwk=own), rsa_key("canary").pkcs1)
    yield refused("jwk, and signed by it", "Its own key does not vouch for a token.", text, "header")
    encrypted = b64(b'{"alg":"RSA-OAEP","enc":"A256GCM","typ":"at+jwt","kid":"first"}')
    yield refused("encrypted", "Five segments are an encrypted token.", f"{encrypted}.AAAA.AAAA.AAAA.AAAA", "malformed")
    yield refused("encrypted, cut", "Three of its segments are none of ours.", f"{encrypted}.AAAA.AAAA", "algorithm")


def kids() -> Iterator[Case]:
    no_kids: Sequence[object] = ("", "x" * 129, None, 1, ["first"], {}, True)
    for no_kid in no_kids:
        yield refused(f"kid {shown(no_kid)}", "A kid is a text of 1 to 128 letters.", headed(kid=no_kid), "header")
    yield refused("no kid", "A kid must be there.", headed(kid=ABSENT), "header")
    for name, kid in HOSTILE_KIDS.items():
        yield refused(
            f"unknown kid, {name}", "A kid is a word to look up, and nothing else.", headed(kid=kid), "unknown_key"
        )
    for kid in ("First", "first ", "first\0", "firs", "first/", "ﬁrst", "é"):
        yield refused(
            f"unknown kid {shown(kid)}", "A kid is compared letter by letter.", headed(kid=kid), "unknown_key"
        )
    yield refused("header over 1 KiB", "A header is short.", headed(note="x" * 1000), "header")


def _with(head: dict[str, object], signature: Any) -> str:
    signed = signed_part(head, claims())
    return f"{signed}.{b64(signature(signed.encode()))}"
