"""PKCS #1 v1.5 is checked strictly. Forgeries are built by hand with the right private key, as Wycheproof does.

Each encoded message is what a lenient parser has been known to accept (Bleichenbacher 2006, BERserk, CVE-2016-1494).
"""

import hashlib

import pytest
from auth_client import TokenInvalid

from tests.client.minting import b64, claims, compact, header, private_key, verifier

SIGNED = f"{b64(compact(header()))}.{b64(compact(claims()))}"
DIGEST = hashlib.sha256(SIGNED.encode()).digest()
SIZE = 256
OID = bytes.fromhex("0609608648016503040201")
INFO = bytes.fromhex("3031300d060960864801650304020105000420") + DIGEST


def padded(
    info: bytes, *, start: bytes = b"\0\1", fill: bytes = b"\xff", end: bytes = b"\0", size: int = SIZE
) -> bytes:
    return start + fill * (size - len(start) - len(end) - len(info)) + end + info


def token_of(encoded: bytes) -> str:
    """A token whose signature decrypts to `encoded`."""
    numbers = private_key().private_numbers()
    made = pow(int.from_bytes(encoded), numbers.d, numbers.public_numbers.n)
    return f"{SIGNED}.{b64(made.to_bytes(SIZE))}"


def der(tag: int, body: bytes) -> bytes:
    return bytes([tag, len(body)]) + body


FORGERIES = {
    "no NULL parameter": padded(der(0x30, der(0x30, OID) + der(4, DIGEST))),
    "garbage in the parameter": padded(der(0x30, der(0x30, OID + b"\5\2xx") + der(4, DIGEST))),
    "parameter is an empty octet string": padded(der(0x30, der(0x30, OID + b"\4\0") + der(4, DIGEST))),
    "garbage after the digest, inside": padded(der(0x30, der(0x30, OID + b"\5\0") + der(4, DIGEST) + b"\5\0")),
    "garbage after the structure": padded(INFO + b"\0\0"),
    "garbage at the end, short padding": b"\0\1" + b"\xff" * 8 + b"\0" + INFO + b"\xaa" * (SIZE - 11 - len(INFO)),
    "zeros at the end, short padding": b"\0\1" + b"\xff" * 8 + b"\0" + INFO + b"\0" * (SIZE - 11 - len(INFO)),
    "no padding": b"\0\1\0" + INFO + b"\0" * (SIZE - 3 - len(INFO)),
    "padding of zeros": padded(INFO, fill=b"\0"),
    "padding of other bytes": padded(INFO, fill=b"\xfe"),
    "one wrong byte in the padding": padded(INFO)[:50] + b"\xfe" + padded(INFO)[51:],
    "block type 0": padded(INFO, start=b"\0\0"),
    "block type 2": padded(INFO, start=b"\0\2"),
    "first byte not zero": padded(INFO, start=b"\1\1"),
    "separator not zero": padded(INFO, end=b"\1"),
    "no separator": padded(INFO, end=b""),
    "long-form length of the sequence": padded(b"\x30\x81\x31" + INFO[2:]),
    "long-form length of the digest": padded(bytes.fromhex("3032300d0609608648016503040201050004812000")[:-1] + DIGEST),
    "indefinite length": padded(b"\x30\x80" + INFO[2:] + b"\0\0"),
    "long-form length of the algorithm": padded(b"\x30\x32\x30\x81\x0d" + INFO[4:]),
    "bare digest": padded(DIGEST),
    "digest in an octet string only": padded(der(4, DIGEST)),
    "digest cut short": padded(der(0x30, der(0x30, OID + b"\5\0") + der(4, DIGEST[:-1]))),
    "empty digest": padded(der(0x30, der(0x30, OID + b"\5\0") + der(4, b""))),
    "another digest": padded(INFO[:-32] + hashlib.sha256(b"another").digest()),
    "SHA-1 named": padded(bytes.fromhex("3021300906052b0e03021a05000414") + hashlib.sha1(SIGNED.encode()).digest()),
    "SHA-512 named": padded(
        bytes.fromhex("3051300d060960864801650304020305000440") + hashlib.sha512(SIGNED.encode()).digest()
    ),
    "SHA-384 named for this digest": padded(bytes.fromhex("3031300d060960864801650304020205000420") + DIGEST),
    "SHA-224 named for this digest": padded(bytes.fromhex("3031300d060960864801650304020405000420") + DIGEST),
    "wrong tag of the sequence": padded(b"\x31" + INFO[1:]),
    "wrong tag of the digest": padded(INFO[:17] + b"\3" + INFO[18:]),
}


def refused(token: str) -> str:
    with pytest.raises(TokenInvalid) as error:
        verifier().verify_now(token)
    return error.value.reason


def test_the_forger_builds_signatures_that_would_hold() -> None:
    assert verifier().verify_now(token_of(padded(INFO)))


@pytest.mark.row("S3")
@pytest.mark.parametrize("name", FORGERIES)
def test_lenient_encodings_are_refused(name: str) -> None:
    assert len(FORGERIES[name]) == SIZE, name
    assert refused(token_of(FORGERIES[name])) == "signature"


@pytest.mark.row("S3")
def test_every_bit_of_the_signature_counts() -> None:
    good = token_of(padded(INFO))
    value = int.from_bytes(_signature())

    assert verifier().verify_now(good)
    for bit in range(SIZE * 8):
        assert refused(f"{SIGNED}.{b64((value ^ (1 << bit)).to_bytes(SIZE))}") == "signature"


@pytest.mark.row("S3")
def test_other_spellings_of_the_same_number_are_refused() -> None:
    modulus = private_key().public_key().public_numbers().n
    value = int.from_bytes(_signature())
    spellings = [
        b"\0" + _signature(),
        _signature() + b"\0",
        _signature()[1:],
        _signature()[:-1],
        _signature() * 2,
        b"\0",
    ]
    spellings += [number.to_bytes(SIZE) for number in (0, 1, modulus - 1, modulus - value, 2**2048 - 1)]
    spellings += [(value + modulus).to_bytes(SIZE + 1), modulus.to_bytes(SIZE)]

    for spelling in spellings:
        assert refused(f"{SIGNED}.{b64(spelling)}") == "signature"


def _signature() -> bytes:
    numbers = private_key().private_numbers()
    return pow(int.from_bytes(padded(INFO)), numbers.d, numbers.public_numbers.n).to_bytes(SIZE)
