"""The keys a verifier trusts, read from a JSON Web Key Set. Keys that could not have signed our tokens are left out."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from .errors import KeySetRefused
from .strict import from_base64url, json_object

LONGEST_KID = 128
LARGEST_KEY_SET = 256 * 1024
"""Bytes, of what a source may be sent."""
_SMALLEST, _LARGEST = 2048, 8192  # Bits. A larger key only serves to make verifying slow.
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_MOST_LEFT_OUT = 20
_log = logging.getLogger("auth_client")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A key that no token is judged by, and why. `kid` is as the document has it, but for its end; "" without one."""

    kid: str
    why: str

    def __str__(self) -> str:
        # As a literal, because whoever wrote the document chose what is in it.
        return f"{self.kid!r} {self.why}"


@dataclass(frozen=True, slots=True, init=False)
class KeySet:
    """Public keys by kid; never changes. Every key is for RS256 and nothing else, whatever a token's header says.

    `revoked` names keys that were withdrawn for cause, where the source tells: their tokens are revoked, not unknown.
    `left_out` are those that the document had besides, or the first of them.
    """

    version: str
    revoked: frozenset[str]
    left_out: tuple[LeftOut, ...]
    _keys: Mapping[str, RSAPublicKey]

    def __init__(
        self,
        keys: Mapping[str, RSAPublicKey] | None = None,
        version: str = "",
        revoked: frozenset[str] = frozenset(),
        left_out: Iterable[LeftOut] = (),
    ) -> None:
        object.__setattr__(self, "revoked", revoked)
        object.__setattr__(self, "_keys", MappingProxyType(dict(keys or {})))
        object.__setattr__(self, "version", version)
        object.__setattr__(self, "left_out", tuple(left_out))

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
        usable: list[tuple[str, RSAPublicKey]] = []
        left_out: list[LeftOut] = []
        for entry in _entries(document):
            told = entry.get("kid")
            kid = told if isinstance(told, str) else ""
            try:
                usable.append((kid, _key(entry, kid)))
            except _Unusable as error:
                left_out.append(LeftOut(kid[:LONGEST_KID], str(error)))
        uses = Counter(kid for kid, _ in usable)
        left_out += [LeftOut(kid, f"is the kid of {times} keys") for kid, times in uses.items() if times > 1]
        keys = {kid: key for kid, key in usable if uses[kid] == 1 and kid not in revoked}
        return cls(keys, version, revoked, left_out[:_MOST_LEFT_OUT])

    def without(self, revoked: frozenset[str]) -> "KeySet":
        """The same set, of which these keys are known to be revoked as well."""
        keys = {kid: key for kid, key in self._keys.items() if kid not in revoked}
        return KeySet(keys, self.version, self.revoked | revoked, self.left_out)

    def refuse_if_empty(self) -> None:
        """Raises KeySetRefused. A set without keys would refuse every token, so no source takes one."""
        if not self._keys:
            raise KeySetRefused("; ".join(["the key set holds no usable key", *map(str, self.left_out[:3])]))

    def get(self, kid: str) -> RSAPublicKey | None:
        return self._keys.get(kid)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __contains__(self, kid: object) -> bool:
        return kid in self._keys


def report_left_out(source: str, keys: KeySet, *, before: KeySet | None) -> None:
    """Log what a set leaves out, unless the one `before` it did alike."""
    for each in keys.left_out if before is None or before.left_out != keys.left_out else ():
        _log.warning("keys from %s: %s, and is left out", source, each)


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


class _Unusable(ValueError):
    """Says why, as what follows the key's name."""


def _key(entry: Mapping[str, object], kid: str) -> RSAPublicKey:
    if not 0 < len(kid) <= LONGEST_KID:
        raise _Unusable(f"has no kid of 1 to {LONGEST_KID} characters")
    if private := _PRIVATE & entry.keys():
        raise _Unusable(f"has the private members {', '.join(sorted(private))}")
    if entry.get("kty") != "RSA":
        raise _Unusable("is no RSA key")
    if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        raise _Unusable("is not for RS256 signatures")
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list | tuple) or "verify" not in operations:
        raise _Unusable("is not for verifying")
    try:
        n, e = _number(entry.get("n")), _number(entry.get("e"))
        if e != 65537 or n % 2 == 0 or not _SMALLEST <= n.bit_length() <= _LARGEST:
            raise _Unusable(f"is not of {_SMALLEST} to {_LARGEST} bits with the exponent 65537")
        return RSAPublicNumbers(e, n).public_key()
    except _Unusable:
        raise
    except ValueError:
        raise _Unusable("has no canonical modulus and exponent") from None


def _number(text: object) -> int:
    """A Base64urlUInt: big-endian, no leading zero octet (RFC 7518 section 2)."""
    if not isinstance(text, str):
        raise ValueError("not a string")
    octets = from_base64url(text.encode("ascii"))
    if not octets or octets[0] == 0:
        raise ValueError("not a minimal number")
    return int.from_bytes(octets)
