"""Keys that could not have signed our tokens are left out, and harm no neighbour."""

import json
from dataclasses import FrozenInstanceError

import pytest
from auth_client import KeySet, KeySetRefused, TokenInvalid, TokenRevoked

from tests.client.minting import ABSENT, claims, header, jwk, key_set, number, private_key, sign, verifier

UNUSABLE: dict[str, dict[str, object]] = {
    "symmetric": {"kty": "oct", "kid": "bad", "k": "c2VjcmV0", "alg": "HS256", "use": "sig"},
    "elliptic": {"kty": "EC", "kid": "bad", "crv": "P-256", "x": "AA", "y": "AA"},
    "lower-case kty": jwk(kid="bad", kty="rsa"),
    "no kty": jwk(kid="bad", kty=ABSENT),
    "for encryption": jwk(kid="bad", use="enc"),
    "use null": jwk(kid="bad", use=None),
    "use list": jwk(kid="bad", use=["sig"]),
    "for PS256": jwk(kid="bad", alg="PS256"),
    "for RS512": jwk(kid="bad", alg="RS512"),
    "for none": jwk(kid="bad", alg="none"),
    "for RSA-OAEP": jwk(kid="bad", alg="RSA-OAEP"),
    "operations without verify": jwk(kid="bad", key_ops=["encrypt"]),
    "operations no list": jwk(kid="bad", key_ops="verify"),
    "1024 bits": jwk("small", bits=1024, kid="bad"),
    "exponent 1": jwk(kid="bad", e="AQ"),
    "exponent 3": jwk(kid="bad", e="Aw"),
    "exponent even": jwk(kid="bad", e="AQAA"),
    "exponent huge": jwk(kid="bad", e="_" * 40),
    "exponent with leading zero": jwk(kid="bad", e="AAEAAQ"),
    "exponent padded": jwk(kid="bad", e="AQAB=="),
    "exponent a number": jwk(kid="bad", e=65537),
    "modulus empty": jwk(kid="bad", n=""),
    "modulus even": jwk(kid="bad", n=number(2**2048 - 2)),
    "modulus of another alphabet": jwk(kid="bad", n="+/" * 171),
    "modulus not ASCII": jwk(kid="bad", n="é" * 342),
    "modulus absent": jwk(kid="bad", n=ABSENT),
    "modulus a list": jwk(kid="bad", n=["x"]),
    "modulus too large": jwk(kid="bad", n="_" * 1368),
    "private": jwk(kid="bad", d="AQAB"),
    "private prime": jwk(kid="bad", p="AQAB"),
    "symmetric member": jwk(kid="bad", k="AQAB"),
    "no kid": jwk(kid=ABSENT),
    "kid empty": jwk(kid=""),
    "kid a number": jwk(kid=7),
    "kid too long": jwk(kid="x" * 129),
    "empty": {},
}


@pytest.mark.row("S90")
@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable_key_is_left_out_and_harms_no_neighbour(name: str) -> None:
    for document in ([UNUSABLE[name], jwk()], [jwk(), UNUSABLE[name]]):
        keys = KeySet.from_jwks(json.dumps({"keys": document}))

        assert list(keys) == ["first"]
        assert verifier(keys).verify_now(sign(header(), claims()))


@pytest.mark.row("S90")
@pytest.mark.parametrize("entry", [None, 1, "key", [], [jwk()], True])
def test_entries_that_are_no_objects_are_left_out(entry: object) -> None:
    assert list(KeySet.from_jwks({"keys": [entry, jwk(), entry]})) == ["first"]


@pytest.mark.row("S90")
def test_kid_that_two_keys_share_is_ambiguous() -> None:
    keys = KeySet.from_jwks({"keys": [jwk("first"), jwk("second"), jwk("third", kid="first")]})

    assert list(keys) == ["second"]
    with pytest.raises(TokenInvalid, match="kid"):
        verifier(keys).verify_now(sign(header(), claims()))
    assert len(KeySet.from_jwks({"keys": [jwk(), jwk()]})) == 0


@pytest.mark.row("S90")
def test_unusable_twin_does_not_take_a_good_key_away() -> None:
    assert list(KeySet.from_jwks({"keys": [jwk(), jwk("second", kid="first", use="enc")]})) == ["first"]


def test_optional_members_may_be_absent() -> None:
    keys = KeySet.from_jwks({"keys": [jwk(use=ABSENT, alg=ABSENT, x5t="ignored", note={"a": 1})]})

    assert keys.get("first") == private_key().public_key()


def test_document_may_be_bytes_text_or_mapping() -> None:
    document = {"keys": [jwk("first"), jwk("second")], "note": 1}
    text = json.dumps(document, indent=2)

    for keys in (
        KeySet.from_jwks(text.encode(), "7"),
        KeySet.from_jwks(text, "7"),
        KeySet.from_jwks(document, version="7"),
    ):
        assert (len(keys), list(keys), keys.version, "first" in keys) == (2, ["first", "second"], "7", True)
        assert keys.get("third") is None


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        "<html></html>",
        b"\xff",
        "\ud800",
        "{}",
        '{"keys":null}',
        '{"keys":{}}',
        '{"keys":"x"}',
        '{"keys":[],"keys":[]}',
        b"\xef\xbb\xbf{}",
        b"[" * 200_000,
        b'{"keys":' + b"[" * 100_000,
        {},
        {"keys": 1},
        None,
        5,
        [],
    ],
)
def test_document_that_is_no_key_set_is_refused(document: object) -> None:
    with pytest.raises(KeySetRefused):
        KeySet.from_jwks(document)  # type: ignore[arg-type] # Also fed what no type checker lets through.


def test_token_of_a_key_that_is_named_as_revoked_is_revoked() -> None:
    keys = KeySet.from_jwks({"keys": [jwk("first"), jwk("second")]}, revoked=frozenset({"first"}))

    assert list(keys) == ["second"]
    with pytest.raises(TokenRevoked) as refused:
        verifier(keys).verify_now(sign(header(), claims()))
    assert refused.value.reason == "revoked_key"


def test_key_set_never_changes() -> None:
    keys = key_set()

    with pytest.raises(FrozenInstanceError):
        keys.version = "other"  # type: ignore[misc] # That is the point.
    with pytest.raises(TypeError):
        keys._keys["second"] = private_key().public_key()  # type: ignore[index] # That is the point.
