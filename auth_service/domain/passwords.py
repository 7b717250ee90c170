"""Passwords: which ones people may choose (NIST SP 800-63B-4 section 3.1.1.2), and how they are spelt.

Length and guessability decide, never which kinds of characters there are; nothing is cut off and no letter changes its
case. How hard a password is to guess, `providers/password_strength.py` estimates.
"""

import re
import unicodedata
from collections.abc import Iterable

from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.spelling import composed

LONGEST_PASSWORD = 1024
SHORTEST_WORD = 3
"""Shorter parts of a name are in too many good passwords."""

LONGEST_JUDGED = 48
MOST_SIGNS_JUDGED = 10
_SIGNS_FOR_LETTERS = frozenset("4@8({[<3691!|70$5+%2")


def normalised_password(text: str, *, field: str = "password") -> str:
    """NFC of `text`. NUL is refused because some hashes take `pw` and `pw\\0` as one. Raises InvalidInput."""
    password = composed(text, longest=LONGEST_PASSWORD)
    if not password or len(password) > LONGEST_PASSWORD:
        raise InvalidInput(FieldViolation(field, f"expected 1 to {LONGEST_PASSWORD} characters"))
    if any(character == "\0" or unicodedata.category(character) == "Cs" for character in password):
        raise InvalidInput(FieldViolation(field, "expected UTF-8 without NUL"))
    return password


def new_password(text: str, *, field: str, shortest: int) -> str:
    """NFC of `text`, of a length that may be chosen now. Raises InvalidInput."""
    password = normalised_password(text, field=field)
    if len(password) < shortest:
        raise InvalidInput(FieldViolation(field, f"expected {shortest} to {LONGEST_PASSWORD} characters"))
    return password


def context_words(texts: Iterable[str]) -> list[str]:
    """Names and addresses, whole and in their parts: what somebody who knows the person guesses first."""
    words: dict[str, None] = {}
    for text in texts:
        whole = unicodedata.normalize("NFC", text).lower()
        for word in (whole, *re.split(r"[^\w.-]+", whole), *re.split(r"[\W_]+", whole)):
            if len(word) >= SHORTEST_WORD:
                words[word] = None
    return list(words)


def judged_part(password: str) -> str:
    """The beginning of `password`, as much of it as an estimate has to see: the whole is no easier to guess.

    The estimator tries what each sign may stand for (4 or @ for a, 1 for i or l) in every combination: 100 signs of 20
    kinds take it 3 seconds, these bounds 20 milliseconds at most.
    """
    kinds: set[str] = set()
    for index, character in enumerate(password[:LONGEST_JUDGED]):
        if character in _SIGNS_FOR_LETTERS:
            kinds.add(character)
        if len(kinds) > MOST_SIGNS_JUDGED:
            return password[:index]
    return password[:LONGEST_JUDGED]
