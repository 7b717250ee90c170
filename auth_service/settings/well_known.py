"""Secrets that are none, because everybody knows them."""

import re

_WORDS_OF_EXAMPLES = (
    "shh secret change changeit me replace this password passwd pass phrase test dev development prod "
    "production local default example sample demo dummy todo placeholder insecure admin root user auth "
    "service fia api key token my your the a an not so very super top foo bar baz qwerty letmein welcome xxx "
    "jwt hs hmac private signing string at least bit bits long"
)
_EXAMPLE = re.compile(f"(?:{'|'.join(_WORDS_OF_EXAMPLES.split())})*")
_COUNTING = "0123456789" * 12
_FEWEST_CHARACTERS = 6
_COPIED = frozenset({"09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"})
"""Of the tutorials that most copy from: FastAPI's."""


def is_well_known(secret: str) -> bool:
    """Whether `secret` is of the words that examples are made of, or a few characters again and again."""
    letters = re.sub(r"[^a-z]", "", secret.lower())
    return (
        secret in _COPIED
        or secret in _COUNTING
        or secret in _COUNTING[::-1]
        or len(set(secret)) < _FEWEST_CHARACTERS
        or bool(letters and _EXAMPLE.fullmatch(letters))
    )
