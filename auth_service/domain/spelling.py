"""Text as people type it, whatever their keyboard makes of it."""

import re
import unicodedata
from random import getrandbits

LONGEST_USER_AGENT = 255
_PLAIN_ID = re.compile(r"[A-Za-z0-9._-]{1,36}")


def plain_id(given: str) -> str:
    """`given` if it is a plain word of at most 36 letters, such as others name a request by; else nothing."""
    return given if _PLAIN_ID.fullmatch(given) else ""


def new_id() -> str:
    """A name for a request that came without one: 16 hexadecimal digits, unlike any other and no secret."""
    # `secrets` would ask the kernel at each call, and nothing hangs on its being guessed.
    return f"{getrandbits(64):016x}"


def composed(text: str, *, longest: int) -> str:
    """NFC of `text`, or as much of it as shows that it is longer than `longest` characters.

    Putting combining characters in order takes time with the square of their number: a megabyte of them, minutes. No
    composed character of a name or password that somebody typed stands for more than four.
    """
    return unicodedata.normalize("NFC", text) if len(text) <= 4 * longest else text[: longest + 1]


def printable(text: str, *, longest: int) -> str:
    """Up to `longest` characters of `text`, without what neither a database nor a screen can show, such as a NUL."""
    # It nearly always can be shown, and this is on the way of every call.
    shown = text if text.isprintable() else "".join(filter(str.isprintable, text))
    return shown[:longest]
