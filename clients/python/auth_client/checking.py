"""The rule by which an access token is believed. No I/O and no clock: the keys and the time are arguments.

Order matters. Nothing but the header is parsed before the signature holds, and the header only picks a key from the
set: the algorithm is RS256, fixed below, whatever the token asks for (RFC 8725 sections 3.1 and 3.2).
"""

from functools import lru_cache
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from .claims import Rules, believe
from .errors import TokenInvalid, TokenRevoked
from .keys import LONGEST_KID, KeySet
from .strict import from_base64url, json_object
from .token import VerifiedToken

LARGEST_TOKEN = 8192
_LARGEST_HEADER = 1024

# Parameters that would bring in a key from outside, another kind or encoding of payload, or encryption. None is ever
# honoured, and a token of ours never carries one.
_FOREIGN = frozenset({"jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "b64", "cty", "zip", "enc"})
_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_DOT = ord(".")
_PADDING = PKCS1v15()
# Hashing with hashlib and handing over the digest saves a thirtieth of the whole check.
_HASH = Prehashed(SHA256())


def check(token: str, keys: KeySet, rules: Rules, now: float) -> tuple[VerifiedToken, RSAPublicKey]:
    """What `token` says at `now`, and the key that signed it. Raises TokenInvalid, TokenExpired or TokenRevoked."""
    if len(token) > LARGEST_TOKEN:
        raise TokenInvalid("the token is longer than 8 KiB", reason="too_large")
    # The causes below are cut off (`from None`) because their repr quotes the bytes they choked on.
    try:
        signed, _, signature_text = token.encode("ascii").rpartition(b".")
        header, dot, body = signed.partition(b".")
        if not dot or _DOT in body:
            raise TokenInvalid("the token does not have three segments", reason="malformed")
        signature = from_base64url(signature_text)
        payload = from_base64url(body)
    except ValueError:
        raise TokenInvalid("the token is not canonical base64url", reason="malformed") from None
    kid = _kid(header)
    key = keys.get(kid)
    if key is None:
        if kid in keys.revoked:
            raise TokenRevoked("the key that signed the token was revoked", reason="revoked_key")
        raise TokenInvalid("no known key has the kid of the token", reason="unknown_key")
    if not holds(signature, signed, key):
        raise TokenInvalid("the signature is wrong", reason="signature")
    return believe(payload, kid, rules, now), key


def holds(signature: bytes, signed: bytes, key: RSAPublicKey) -> bool:
    """Whether it is the one signature that RFC 8017 section 8.2.2 allows: decision 31."""
    try:
        key.verify(signature, sha256(signed).digest(), _PADDING, _HASH)
    except InvalidSignature:
        return False
    return True


# Sound because the answer depends on nothing but the argument. Refusals are not remembered, and the memory is bounded:
# 64 headers of at most 1 KiB. Strangers' headers can push ours out; that costs a few microseconds and no more.
@lru_cache(maxsize=64)
def _kid(segment: bytes) -> str:
    """The kid of a header that asks for nothing but what we do."""
    if len(segment) > _LARGEST_HEADER:
        raise TokenInvalid("the header is longer than 1 KiB", reason="header")
    try:
        header = json_object(from_base64url(segment))
    except ValueError:
        raise TokenInvalid("the header is not a base64url JSON object", reason="malformed") from None
    if header.get("alg") != "RS256":
        raise TokenInvalid("the algorithm is not RS256", reason="algorithm")
    if "crit" in header:
        raise TokenInvalid("the header has critical extensions, and none is understood", reason="crit")
    if not _FOREIGN.isdisjoint(header):
        raise TokenInvalid("the header brings its own key, encoding or encryption", reason="header")
    typ = header.get("typ")
    if not isinstance(typ, str) or typ.lower() not in _TYPES:
        raise TokenInvalid("the typ is not at+jwt", reason="typ")
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= LONGEST_KID:
        raise TokenInvalid("the header has no usable kid", reason="header")
    return kid
