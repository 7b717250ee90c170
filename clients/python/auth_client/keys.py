"""The keys a verifier trusts, read from a JSON Web Key Set. Keys that could not have signed our tokens are left out."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from .errors import KeySetRefused
from .strict import from_base64url, json_object

LONGEST_KID = 128
_SMALLEST, _LARGEST = 2048, 8192  # Bits. A larger key only serves to make verifying slow.
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


@dataclass(frozen=True, slots=True, init=False)
class KeySet:
    """Public keys by kid; never changes. Every key is for RS256 and nothing else, whatever a token's header says.

    `revoked` names keys that were withdrawn for cause, where the source tells: their tokens are revoked, not unknown.
    """

    version: str
    revoked: frozenset[str]
    _keys: Mapping[str, RSAPublicKey]

    def __init__(
        self,
        keys: Mapping[str, RSAPublicKey] | None = None,
        version: str = "",
        revoked: frozenset[str] = frozenset(),
    ) -> None:
        object.__setattr__(self, "revoked", revoked)
        object.__setattr__(self, "_keys", MappingProxyType(dict(keys or {})))
        object.__setattr__(self, "version", version)

    @classmethod
    def from_jwks(
        cls,
        document: Mapping[str, object] | bytes | str,
        version: str = "",
        revoked: frozenset[str] = frozenset(),
    ) -> Self:
        """The usable keys of `document` (RFC 7517 section 5); possibly none.

        Left out without harm to their neighbours: other key types, keys for encryption or for other algorithms, RSA
        keys under 2048 bits or with an exponent other than 65537, keys that carry private members. A kid that two
        usable keys share is ambiguous, so both go. Raises KeySetRefused if there is no list of keys at all.
        """
        entries = _entries(document)
        usable = [(str(entry["kid"]), key) for entry in entries if (key := _usable(entry)) is not None]
        uses = Counter(kid for kid, _ in usable)
        return cls({kid: key for kid, key in usable if uses[kid] == 1 and kid not in revoked}, version, revoked)

    def get(self, kid: str) -> RSAPublicKey | None:
        return self._keys.get(kid)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __contains__(self, kid: object) -> bool:
        return kid in self._keys


def _entries(document: Mapping[str, object] | bytes | str) -> list[Mapping[str, object]]:
    try:
        if isinstance(document, str):
            document = document.encode("utf-8")
        members = json_object(document) if isinstance(document, bytes) else document
        keys = members["keys"]
    except (ValueError, LookupError, TypeError) as error:
        raise KeySetRefused("the document is not a JSON Web Key Set") from error
    if not isinstance(keys, list | tuple):
        raise KeySetRefused("the member 'keys' is not a list")
    return [entry for entry in keys if isinstance(entry, Mapping)]


def _usable(entry: Mapping[str, object]) -> RSAPublicKey | None:
    kid = entry.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= LONGEST_KID:
        return None
    if entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list | tuple) or "verify" not in operations or _PRIVATE & entry.keys():
        return None
    try:
        n, e = _number(entry.get("n")), _number(entry.get("e"))
        if e != 65537 or n % 2 == 0 or not _SMALLEST <= n.bit_length() <= _LARGEST:
            return None
        return RSAPublicNumbers(e, n).public_key()
    except ValueError:
        return None


def _number(text: object) -> int:
    """A Base64urlUInt: big-endian, no leading zero octet (RFC 7518 section 2)."""
    if not isinstance(text, str):
        raise ValueError("not a string")
    octets = from_base64url(text.encode("ascii"))
    if not octets or octets[0] == 0:
        raise ValueError("not a minimal number")
    return int.from_bytes(octets)
