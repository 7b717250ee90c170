"""PKCS #1 v1.5 is checked strictly. The forgeries of tests/vectors are one part of that; every bit is the other."""

import pytest
from auth_client import TokenInvalid

from tests.client.minting import b64, claims, compact, header, signature, verifier

SIGNED = f"{b64(compact(header()))}.{b64(compact(claims()))}"
SIZE = 256


@pytest.mark.row("S3")
def test_every_bit_of_the_signature_counts() -> None:
    good = signature(SIGNED.encode())
    value = int.from_bytes(good)

    assert verifier().verify_now(f"{SIGNED}.{b64(good)}")
    for bit in range(SIZE * 8):
        with pytest.raises(TokenInvalid) as refused:
            verifier().verify_now(f"{SIGNED}.{b64((value ^ (1 << bit)).to_bytes(SIZE))}")
        assert refused.value.reason == "signature"
