"""Password hashes from other systems: how they are spelt, and how dear one may be to check.

Passlib's and everybody's bcrypt, werkzeug's `pbkdf2:` and `scrypt:`, and argon2. The bounds keep a hash that somebody
imports from occupying a thread for longer than half a second, or more than 64 MiB.
"""

import re
from dataclasses import dataclass
from typing import Literal

from auth_service.domain.errors import FieldViolation, InvalidInput

DEAREST_BCRYPT = 13
MOST_PBKDF2_ITERATIONS = 1_000_000
LARGEST_MEMORY_KIB = 64 * 1024
MOST_ARGON2_PASSES = 12
MOST_LANES = 4

_BCRYPT = re.compile(r"\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_PBKDF2 = re.compile(
    r"pbkdf2:(?P<digest>sha256|sha512):(?P<iterations>[1-9]\d{0,8})\$(?P<salt>[!-#%-~]{1,64})\$(?P<hash>[0-9a-f]+)"
)
_SCRYPT = re.compile(
    r"scrypt:(?P<n>[1-9]\d{0,8}):(?P<r>[1-9]\d?):(?P<p>[1-9]\d?)\$(?P<salt>[!-#%-~]{1,64})\$(?P<hash>[0-9a-f]{128})"
)
_ARGON2 = re.compile(
    r"\$argon2(id|i|d)\$v=19\$m=(?P<memory>[1-9]\d{0,8}),t=(?P<passes>[1-9]\d{0,4}),p=(?P<lanes>[1-9]\d?)"
    r"\$(?P<salt>[A-Za-z0-9+/]{11,86})\$(?P<hash>[A-Za-z0-9+/]{16,172})"
)
_HEX_DIGITS = {"sha256": 64, "sha512": 128}


@dataclass(frozen=True, slots=True)
class Bcrypt:
    cost: int


@dataclass(frozen=True, slots=True)
class Pbkdf2:
    digest: Literal["sha256", "sha512"]
    iterations: int
    salt: str
    hash: str

    @property
    def cost(self) -> tuple[str, int]:
        return self.digest, self.iterations


@dataclass(frozen=True, slots=True)
class Scrypt:
    n: int
    r: int
    p: int
    salt: str
    hash: str

    @property
    def cost(self) -> tuple[int, int, int]:
        return self.n, self.r, self.p


Foreign = Bcrypt | Pbkdf2 | Scrypt
"""Hashes of kinds that we never make. `cost` is all that decides how dear it is to check."""


def foreign(encoded: str) -> Foreign | None:
    """What `encoded` is; None for anything else, argon2's included, and for what costs more than the bounds."""
    if match := _BCRYPT.fullmatch(encoded):
        cost = int(match["cost"])
        return Bcrypt(cost) if 4 <= cost <= DEAREST_BCRYPT else None
    if match := _PBKDF2.fullmatch(encoded):
        digest: Literal["sha256", "sha512"] = "sha256" if match["digest"] == "sha256" else "sha512"
        iterations = int(match["iterations"])
        is_in_order = iterations <= MOST_PBKDF2_ITERATIONS and len(match["hash"]) == _HEX_DIGITS[digest]
        return Pbkdf2(digest, iterations, match["salt"], match["hash"]) if is_in_order else None
    if match := _SCRYPT.fullmatch(encoded):
        n, r, p = (int(match[name]) for name in "nrp")
        is_power_of_two = n >= 2 and n & (n - 1) == 0
        # RFC 7914 section 2: the block of 16 * r bits has to hold any number below n.
        is_block_wide_enough = n.bit_length() <= 16 * r
        is_bearable = n * r // 8 <= LARGEST_MEMORY_KIB and p <= MOST_LANES
        is_in_order = is_power_of_two and is_block_wide_enough and is_bearable
        return Scrypt(n, r, p, match["salt"], match["hash"]) if is_in_order else None
    return None


def valid_imported_hash(text: str, *, field: str = "password_hash") -> str:
    """`text` itself, a hash that can be checked within the bounds. Raises InvalidInput, which does not quote it."""
    if foreign(text) is None and not _is_bearable_argon2(text):
        expected = (
            f"expected argon2 ($argon2id$…; up to {LARGEST_MEMORY_KIB} KiB, {MOST_ARGON2_PASSES} passes, {MOST_LANES} "
            f"lanes), bcrypt ($2b$…; cost 4 to {DEAREST_BCRYPT}), or werkzeug's pbkdf2:sha256:… or pbkdf2:sha512:… (up"
            f" to {MOST_PBKDF2_ITERATIONS} iterations) or scrypt:… (up to {LARGEST_MEMORY_KIB} KiB)"
        )
        raise InvalidInput(FieldViolation(field, expected))
    return text


def _is_bearable_argon2(text: str) -> bool:
    match = _ARGON2.fullmatch(text)
    return (
        match is not None
        and 8 * int(match["lanes"]) <= int(match["memory"]) <= LARGEST_MEMORY_KIB
        and int(match["passes"]) <= MOST_ARGON2_PASSES
        and int(match["lanes"]) <= MOST_LANES
        # No base64 has one character over.
        and all(len(match[part]) % 4 != 1 for part in ("salt", "hash"))
    )
