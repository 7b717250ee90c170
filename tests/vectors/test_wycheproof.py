"""What Wycheproof says of signatures, told to the rule by which a token is judged: wycheproof/README.md."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from auth_client import KeySet
from auth_client.checking import holds
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from tests.vectors.wycheproof.trim import HERE, SIZES

# "acceptable" is what is wrong by the standard and taken for right by some: decision 31.
_HOLDS = {"valid": True, "acceptable": False, "invalid": False}
_CASES = {2048: 259, 3072: 259, 4096: 258, 8192: 258}


def _document(size: int) -> Any:
    return json.loads((HERE / f"rsa_signature_{size}_sha256.json").read_text(encoding="ascii"))


def _octets(base64url: str) -> bytes:
    # Not ours, which refuses nothing at all; some of the signatures are that.
    return urlsafe_b64decode(base64url + "=" * (-len(base64url) % 4))


def _public_key(jwk: Mapping[str, str]) -> RSAPublicKey:
    e, n = (int.from_bytes(_octets(jwk[name])) for name in ("e", "n"))
    return RSAPublicNumbers(e, n).public_key()


def _verdicts(size: int) -> Iterator[tuple[Mapping[str, Any], bool]]:
    for group in _document(size)["testGroups"]:
        key = _public_key(group["keyJwk"])
        for case in group["tests"]:
            yield case, holds(_octets(case["sigBase64url"]), bytes.fromhex(case["msg"]), key)


@pytest.mark.row("S3")
@pytest.mark.parametrize("size", SIZES)
def test_wycheproofs_signatures_are_judged_as_it_says(size: int) -> None:
    verdicts = list(_verdicts(size))

    assert [case for case, held in verdicts if held is not _HOLDS[case["result"]]] == []
    assert len(verdicts) == _CASES[size] == _document(size)["numberOfTests"]


@pytest.mark.row("S3")
@pytest.mark.parametrize("size", SIZES)
def test_of_wycheproofs_keys_those_with_the_usual_exponent_count(size: int) -> None:
    jwks = [group["keyJwk"] for group in _document(size)["testGroups"]]

    taken = [len(KeySet.from_jwks(json.dumps({"keys": [jwk]}))) for jwk in jwks]

    assert taken == [int(jwk["e"] == "AQAB") for jwk in jwks]
    assert 1 in taken
