"""Roles: what they are called, how strong they are, and which of them nobody can grant."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from auth_service.domain.errors import FieldViolation, InvalidInput, WrongAccountState
from auth_service.domain.policy import STAFF, STRONGEST_LEVEL, USER, WEAKEST_LEVEL

NEVER_GRANTED = frozenset({STAFF, USER})
"""Roles that follow from what the facility and the `staff` table say."""
LONGEST_DESCRIPTION = 1000
MOST_LETTERS = 1024
"""Of all roles that one person is granted: they travel in access tokens, and one of more than 8 KiB is refused."""
_NAME = re.compile(r"[a-z][a-z0-9._:-]{0,63}")


@dataclass(frozen=True, slots=True)
class Role:
    """`level` is no other role's; 0 is the strongest. A role that is `built_in` stays as it is."""

    name: str
    level: int
    description: str
    built_in: bool
    created_at: datetime


def valid_role_name(name: str, *, field: str) -> str:
    """`name` itself: one word, which no list of roles can be mistaken for. Raises InvalidInput."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(FieldViolation(field, "expected a lower-case word of up to 64 of a-z 0-9 . _ : -"))
    return name


def valid_role(name: str, *, field: str = "role") -> str:
    """`name` itself: that of a role which can be granted, if there is one. Raises InvalidInput."""
    if valid_role_name(name, field=field) in NEVER_GRANTED:
        following = " and ".join(sorted(NEVER_GRANTED))
        expected = f"expected a role that is granted; {following} follow from what the facility says"
        raise InvalidInput(FieldViolation(field, expected))
    return name


def check_fit_into_a_token(roles: Iterable[str]) -> None:
    """Holds that one person may be granted all of them. Raises WrongAccountState."""
    if sum(map(len, roles)) > MOST_LETTERS:
        raise WrongAccountState(
            f"user_id: expected somebody whose roles have at most {MOST_LETTERS} letters together, for they travel in"
            " every access token; take one away first"
        )


def valid_level(level: int, *, field: str = "level") -> int:
    """`level` itself. Raises InvalidInput."""
    if not STRONGEST_LEVEL <= level <= WEAKEST_LEVEL:
        raise InvalidInput(FieldViolation(field, f"expected {STRONGEST_LEVEL} to {WEAKEST_LEVEL}"))
    return level


def valid_remark(text: str, *, field: str, longest: int) -> str:
    """NFC of `text`, which people write for people; empty is fine. Raises InvalidInput."""
    if len(text) > longest:
        raise InvalidInput(FieldViolation(field, f"expected up to {longest} characters"))
    if any(unicodedata.category(character) in ("Cc", "Cs") and character != "\n" for character in text):
        raise InvalidInput(FieldViolation(field, "expected no control characters"))
    return unicodedata.normalize("NFC", text)
