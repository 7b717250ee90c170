"""JSON and base64url as RFC 7515 and RFC 7519 mean them: one spelling, no duplicate members, UTF-8 only.

Both functions raise ValueError and nothing else.
"""

import json
import math
from typing import NoReturn

import msgspec

_BASE64URL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
# To the standard alphabet; whatever does not belong into base64url ('+', '/', '=', quotes, spaces) becomes '!'.
_FOREIGN = ord("!")
_STANDARD = bytes(c if c in _BASE64URL else _FOREIGN for c in range(256)).translate(bytes.maketrans(b"-_", b"+/"))
_ALPHABET = _BASE64URL.translate(_STANDARD)
# By the length modulo 4: which last characters leave the spare bits zero, and what completes the text. No text of
# base64 has length 1 modulo 4.
_LAST = (_ALPHABET, b"", _ALPHABET[::16], _ALPHABET[::4])
_PADDING = (b'"', b"", b'=="', b'="')
_base64_decode = msgspec.json.Decoder(bytes).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def from_base64url(segment: bytes) -> bytes:
    """The bytes (one at least) behind unpadded base64url (RFC 7515 section 2), spelt in its one canonical way."""
    # Only letters of the alphabet, a possible length and no stray bits at the end: then the spelling is canonical,
    # however lenient the decoder. msgspec reads base64 out of a JSON string twice as fast as binascii does.
    standard = segment.translate(_STANDARD)
    over = len(segment) & 3
    # Searched as numbers, because to search a byte string costs three times as much.
    if not standard or _FOREIGN in standard or standard[-1] not in _LAST[over]:
        raise ValueError("not canonical base64url, or empty")
    return _base64_decode(b'"' + standard + _PADDING[over])


def json_object(data: bytes) -> dict[str, object]:
    """The JSON object in `data`, refusing what RFC 8259 leaves open: duplicate members, NaN, BOM, lone surrogates.

    How deep it may nest is for the interpreter's recursion limit to say; callers bound its length.
    """
    # Where the encoder would write `data` byte for byte, there is nothing to refuse: it writes dicts, which have no
    # duplicate keys at any depth, and never NaN, BOM, lone surrogates or anything but UTF-8. Issuers that write compact
    # ASCII JSON (ours) always come this way. Otherwise there is no verdict yet.
    try:
        value: object = _decode(data)
        is_exact = _encode(value) == data
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        is_exact = False
    if not is_exact:
        value = _carefully(data)
    if type(value) is not dict:
        raise ValueError("not a JSON object")
    return value


def _without_duplicates(members: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(members)
    if len(value) != len(members):
        raise ValueError("duplicate member")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("number out of range")
    return value


_read = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_no_constant, parse_float=_finite).decode


def _carefully(data: bytes) -> object:
    try:
        # Decoding here, not in json.loads, because that would guess UTF-16 and UTF-32.
        value: object = _read(data.decode("utf-8"))
        if b"\\u" in data:
            # Fails on a lone surrogate anywhere, key or value (UnicodeEncodeError is a ValueError).
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error
    return value
