"""Encodings of PKCS #1 v1.5 that a lenient parser has been known to take for a right one, in the classes of Wycheproof.

Bleichenbacher 2006, BERserk (CVE-2014-1568), CVE-2016-1494, CVE-2018-15836. One has only to hold the private key to
make signatures that open to them; with a small exponent some can be forged without it.
"""

import hashlib
from collections.abc import Mapping

_OID = bytes.fromhex("0609608648016503040201")
_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def encoded(signed: bytes, size: int) -> bytes:
    """The one right encoding (RFC 8017 section 9.2) of `signed`, in `size` bytes."""
    return _padded(_INFO + hashlib.sha256(signed).digest(), size)


def wrong_encodings(signed: bytes, size: int) -> Mapping[str, bytes]:
    """By what is wrong with each; every one is `size` bytes long."""
    digest = hashlib.sha256(signed).digest()
    info = _INFO + digest
    right = _padded(info, size)
    rest = size - 11 - len(info)
    null = _OID + b"\5\0"
    return {
        "no NULL parameter": _padded(_info(_OID, digest), size),
        "garbage in the parameter": _padded(_info(_OID + b"\5\2xx", digest), size),
        "the parameter is an empty octet string": _padded(_info(_OID + b"\4\0", digest), size),
        "garbage after the digest, inside": _padded(_der(0x30, _der(0x30, null) + _der(4, digest) + b"\5\0"), size),
        "garbage after the structure": _padded(info + b"\0\0", size),
        "garbage at the end, short padding": b"\0\1" + b"\xff" * 8 + b"\0" + info + b"\xaa" * rest,
        "zeros at the end, short padding": b"\0\1" + b"\xff" * 8 + b"\0" + info + b"\0" * rest,
        "no padding": b"\0\1\0" + info + b"\0" * (size - 3 - len(info)),
        "padding of zeros": _padded(info, size, fill=b"\0"),
        "padding of other bytes": _padded(info, size, fill=b"\xfe"),
        "one wrong byte in the padding": right[:50] + b"\xfe" + right[51:],
        "block type 0": _padded(info, size, start=b"\0\0"),
        "block type 2": _padded(info, size, start=b"\0\2"),
        "the first byte is not zero": _padded(info, size, start=b"\1\1"),
        "the separator is not zero": _padded(info, size, end=b"\1"),
        "no separator": _padded(info, size, end=b""),
        "long-form length of the sequence": _padded(b"\x30\x81\x31" + info[2:], size),
        "long-form length of the algorithm": _padded(b"\x30\x32\x30\x81\x0d" + info[4:], size),
        "long-form length of the digest": _padded(b"\x30\x32" + info[2:18] + b"\x81\x20" + digest, size),
        "length with a leading zero": _padded(b"\x30\x82\x00\x31" + info[2:], size),
        "indefinite length": _padded(b"\x30\x80" + info[2:] + b"\0\0", size),
        "the sequence is one byte short": _padded(b"\x30\x30" + info[2:], size),
        "the sequence is one byte long": _padded(b"\x30\x32" + info[2:], size),
        "wrong tag of the sequence": _padded(b"\x31" + info[1:], size),
        "wrong tag of the algorithm": _padded(info[:2] + b"\x31" + info[3:], size),
        "wrong tag of the digest": _padded(info[:17] + b"\3" + info[18:], size),
        "a bare digest": _padded(digest, size),
        "the digest in an octet string only": _padded(_der(4, digest), size),
        "the digest is cut short": _padded(_info(null, digest[:-1]), size),
        "an empty digest": _padded(_info(null, b""), size),
        "the digest of another text": _padded(_INFO + hashlib.sha256(b"another").digest(), size),
        "SHA-1 is named, and used": _padded(
            bytes.fromhex("3021300906052b0e03021a05000414") + hashlib.sha1(signed).digest(), size
        ),
        "SHA-512 is named, and used": _padded(
            bytes.fromhex("3051300d060960864801650304020305000440") + hashlib.sha512(signed).digest(), size
        ),
        "SHA-384 is named for a SHA-256 digest": _padded(
            bytes.fromhex("3031300d060960864801650304020205000420") + digest, size
        ),
        "SHA-224 is named for a SHA-256 digest": _padded(
            bytes.fromhex("3031300d060960864801650304020405000420") + digest, size
        ),
        "MD5 with RSA is named for a SHA-256 digest": _padded(
            _info(bytes.fromhex("06082a864886f70d02050500"), digest), size
        ),
    }


def _padded(info: bytes, size: int, *, start: bytes = b"\0\1", fill: bytes = b"\xff", end: bytes = b"\0") -> bytes:
    return start + fill * (size - len(start) - len(end) - len(info)) + end + info


def _info(algorithm: bytes, digest: bytes) -> bytes:
    return _der(0x30, _der(0x30, algorithm) + _der(4, digest))


def _der(tag: int, body: bytes) -> bytes:
    return bytes([tag, len(body)]) + body
