"""The fast paths answer as the slow ones would, or not at all."""

import base64
import json

import pytest
from auth_client.strict import _carefully, from_base64url, json_object
from hypothesis import example, given, settings
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
# Fragments from which duplicates, odd numbers and odd spaces come about often.
FRAGMENTS = st.lists(
    st.sampled_from(
        [
            '"a"',
            '"b"',
            '"\\u0061"',
            ":",
            ",",
            "{",
            "}",
            "[",
            "]",
            " ",
            "1",
            "-0",
            "1e5",
            "1.0",
            "null",
            "true",
            '""',
            "NaN",
            "\ufeff",
            "é",
            '"\\ud800"',
            '"\\/"',
            "1e999",
            "9" * 30,
            "\n",
            '{"a":1}',
            '{"a":1,"a":1}',
        ]
    ),
    max_size=14,
).map("".join)


def outcome(function: object, data: bytes) -> object:
    try:
        value = function(data)  # type: ignore[operator] # Either of two functions.
    except ValueError:
        return "refused"
    return json.dumps(value) if isinstance(value, dict) else "refused"


@settings(deadline=None, max_examples=500)
@given(
    st.one_of(
        JSON.map(lambda value: json.dumps(value).encode()),
        FRAGMENTS.map(lambda text: text.encode()),
        FRAGMENTS.map(lambda text: f"{{{text}}}".encode()),
        st.binary(max_size=60),
    )
)
@example(b'{"a":1,"a":1}')
@example(b'{"a":{"b":1,"b":1}}')
@example(b'{"a":-0}')
@example(b'{"a":1.7976931348623157e308}')
@example(b'{"a":18446744073709551616}')
def test_fast_json_agrees_with_the_careful_one(data: bytes) -> None:
    assert outcome(json_object, data) == outcome(_carefully, data)


@settings(deadline=None, max_examples=300)
@given(JSON.map(lambda value: {"v": value}))
def test_every_honest_object_is_read(value: dict[str, object]) -> None:
    assert json_object(json.dumps(value).encode()) == value
    assert json_object(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) == value


@settings(deadline=None, max_examples=500)
@given(st.binary(max_size=70) | st.text("ABZaz019-_=+/ \n", max_size=9).map(str.encode))
def test_base64url_has_one_spelling(segment: bytes) -> None:
    try:
        decoded = from_base64url(segment)
    except ValueError:
        decoded = _leniently(segment)
        assert not segment or base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment
    else:
        assert base64.urlsafe_b64encode(decoded).rstrip(b"=") == segment


@settings(deadline=None, max_examples=300)
@given(st.binary(min_size=1, max_size=400))
def test_base64url_reads_what_the_standard_library_writes(data: bytes) -> None:
    assert from_base64url(base64.urlsafe_b64encode(data).rstrip(b"=")) == data


def test_spare_bits_must_be_zero() -> None:
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for start, good in ((b"A", b"AQgw"), (b"AA", b"AEIMQUYcgkosw048")):
        for last in alphabet:
            if last in good:
                assert from_base64url(start + bytes([last]))
            else:
                with pytest.raises(ValueError, match="canonical"):
                    from_base64url(start + bytes([last]))


def _leniently(segment: bytes) -> bytes:
    """What the standard library makes of `segment`; nothing if it gives up."""
    try:
        return base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except ValueError:
        return b""
