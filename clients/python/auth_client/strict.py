"""JSON and base64url as RFC 7515 and RFC 7519 mean them: one spelling, no duplicates, UTF-8 only, bounded depth.

Both functions raise ValueError and nothing else.
"""

import json
import math
from binascii import a2b_base64, b2a_base64
from typing import NoReturn

import msgspec

DEEPEST = 32

# '+', '/' and '=' become '!', which no base64 text contains: the standard alphabet and padding are refused.
_TO_STANDARD = bytes.maketrans(b"-_+/=", b"+/!!!")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def from_base64url(segment: bytes) -> bytes:
    """The bytes behind unpadded base64url (RFC 7515 section 2), if `segment` is their one canonical spelling."""
    standard = segment.translate(_TO_STANDARD)
    # a2b_base64 skips characters it does not know and ignores spare bits, so its answer counts only when it encodes
    # back to the very same text. That refuses foreign characters, whitespace, padding and altered tails at once.
    decoded = a2b_base64(standard + b"==")
    if b2a_base64(decoded, newline=False).rstrip(b"=") != standard:
        raise ValueError("not canonical base64url")
    return decoded


def json_object(data: bytes) -> dict[str, object]:
    """The JSON object in `data`, refusing what RFC 8259 leaves open: duplicate members, NaN, BOM, lone surrogates."""
    value = _exactly(data)
    if value is None:
        value = _carefully(data)
    if type(value) is not dict:
        raise ValueError("not a JSON object")
    # Brackets inside strings count too, so this only ever over-estimates the depth.
    if data.count(b"{") + data.count(b"[") > DEEPEST:
        _refuse_deep(value, DEEPEST)
    return value


def _exactly(data: bytes) -> object:
    """`data` decoded, if it is byte for byte what the encoder would write; otherwise None, which is no verdict.

    Why this is sound: the encoder writes a dict, and a dict has no duplicate keys, at any depth. If its output equals
    `data`, then `data` has none either. The encoder also writes neither NaN, BOM, lone surrogates nor anything but
    UTF-8. Issuers that write compact ASCII JSON (ours) always take this path.
    """
    try:
        value: object = _decode(data)
        return value if _encode(value) == data else None
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return None


def _carefully(data: bytes) -> object:
    try:
        # Decoding here, not in json.loads, because that would guess UTF-16 and UTF-32.
        value: object = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
        # Fails on a lone surrogate anywhere, key or value (UnicodeEncodeError is a ValueError).
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ValueError("JSON is nested too deeply") from error
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


def _refuse_deep(value: object, levels: int) -> None:
    if levels < 0:
        raise ValueError("JSON is nested too deeply")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        if isinstance(item, dict | list):
            _refuse_deep(item, levels - 1)
