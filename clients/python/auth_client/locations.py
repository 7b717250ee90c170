"""Paths of requests, and patterns of them. What two programs could read in two ways is no path here.

A gateway asks about a request, and another program answers it. Each may decode, merge and resolve a path by its own
lights, so a path is taken to pieces only if everybody takes it to the same pieces: the rest is refused, not mended.
"""

import re
import unicodedata
from urllib.parse import unquote_to_bytes

LONGEST_TARGET = 8192
ANYTHING_BELOW = "*"

_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,=:@|\[\]^%-]+/)*[A-Za-z0-9._~!$&'()*+,=:@|\[\]^%-]*")
"""Without `//`, which some merge and some take for a host; without `;`, after which some see parameters; no backslash,
no fragment, nothing beyond ASCII. An absolute address, `*`, and the `host:port` of CONNECT do not begin with `/`."""
_ESCAPES = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_DIVIDERS = re.compile(r"[/\\;?#]")
_PARAMETER = re.compile(r"\{[a-z][a-z0-9_]*\}")


class Ambiguous(ValueError):
    """A target that not everybody reads alike. The text says why, and repeats nothing of it."""


def segments_of(target: str) -> tuple[str, ...]:
    """What is between the slashes of a request's target, each decoded once; the query is left out.

    A slash at the end makes no difference; upper and lower case do. Raises Ambiguous.
    """
    if len(target) > LONGEST_TARGET:
        raise Ambiguous(f"expected at most {LONGEST_TARGET} characters")
    path = target.partition("?")[0]
    if not _PATH.fullmatch(path):
        raise Ambiguous("expected a path that begins with /, without // ; \\ # or characters that belong encoded")
    segments = path[1:].removesuffix("/").split("/") if len(path) > 1 else []
    if "%" in path:
        segments = [_decoded(each) for each in segments]
    if "." in segments or ".." in segments:
        raise Ambiguous("expected neither . nor .. in a path")
    return tuple(segments)


def pattern_of(location: str) -> tuple[str | None, ...]:
    """The segments of a location in a policy, None for one that may be anything, ANYTHING_BELOW only at the end.

    `/me` is that path, `/users/{id}` has any one segment there, `/docs/*` is `/docs` and whatever is below it. Written
    as people read it, not encoded. Raises ValueError, which says what was expected.
    """
    if not location.startswith("/"):
        raise ValueError("expected a path that begins with /")
    if location != "/" and "//" in location:
        raise ValueError("expected no //")
    segments = location[1:].removesuffix("/").split("/") if len(location) > 1 else []
    return tuple(_part(each, is_last=number == len(segments)) for number, each in enumerate(segments, 1))


def _decoded(segment: str) -> str:
    if not _ESCAPES.fullmatch(segment):
        raise Ambiguous("expected two hexadecimal digits after each %")
    try:
        decoded = unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        # Overlong forms of / and . are no UTF-8 either.
        raise Ambiguous("expected UTF-8 behind %") from None
    # Some programs fold what looks alike before they look for slashes and dots: a wide solidus, a leader of two dots.
    folded = unicodedata.normalize("NFKC", decoded)
    if _DIVIDERS.search(folded) or _ESCAPE.search(folded) or any(map(_is_control, decoded)):
        raise Ambiguous("expected no / \\ ; ? # control character or further escape behind %")
    return folded if folded in (".", "..") else decoded


def _part(segment: str, *, is_last: bool) -> str | None:
    if segment == ANYTHING_BELOW and is_last:
        return ANYTHING_BELOW
    if _PARAMETER.fullmatch(segment):
        return None
    if not segment or segment in (".", "..") or re.search(r"[\\;?#%*{}]", segment) or any(map(_is_control, segment)):
        raise ValueError("expected plain segments, {name} for any one, and * at the end for all below")
    return segment


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
