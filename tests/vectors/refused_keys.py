"""Tokens that must be refused for their key, for their session, or for a signature that is nearly right."""

from collections.abc import Iterator

from tests.client.minting import b64, claims, header
from tests.vectors.case import FIRST, Case, accepted, claiming, refused, sign, signed_part
from tests.vectors.key_sets import CUBIC, SMALL
from tests.vectors.pkcs1 import encoded, wrong_encodings
from tests.vectors.rsa_keys import RsaKey, rsa_key

_SESSION = "7c0a6a1e-2f37-4b0e-8a44-0f6a3f1d9c55"


def key_sets() -> Iterator[Case]:
    second = _by("second", rsa_key("second"))
    yield refused("retired key", "A key that is no longer in the set.", second, "unknown_key")
    yield refused("key of nobody", "No key at all is in the set.", claiming(), "unknown_key", key_set="none")
    yield refused(
        "kid of the other key",
        "Signed by one, named as the other.",
        sign(header(kid="second"), claims()),
        "signature",
        key_set="two",
    )
    about = "A kid that two usable keys share is ambiguous."
    yield refused("ambiguous kid", about, claiming(), "unknown_key", key_set="two_keys_under_one_kid")
    yield refused(
        "ambiguous kid, the other key",
        about,
        _by("first", rsa_key("second")),
        "unknown_key",
        key_set="two_keys_under_one_kid",
    )
    yield refused("same key twice", about, claiming(), "unknown_key", key_set="one_key_twice")
    yield refused(
        "twin for encryption",
        "A key for encryption verifies nothing.",
        _by("first", rsa_key("second")),
        "signature",
        key_set="twin_for_encryption",
    )
    for name, about in {
        "elliptic": "A key of another type.",
        "symmetric": "A symmetric key.",
        "for_encryption": "A key for encryption.",
        "for_rs512": "A key for another algorithm.",
        "for_ps256": "A key for another scheme.",
        "for_signing_only": "Its operations leave out verifying.",
        "use_is_null": "`use` is a text if it is there.",
        "lower_case_type": "`kty` is compared letter by letter.",
        "exponent_1": "With this exponent a signature is the message itself.",
        "exponent_with_leading_zero": "A number is spelt in one way.",
        "exponent_padded": "base64url is not padded here either.",
        "modulus_with_leading_zero": "A number is spelt in one way.",
        "modulus_even": "No product of two odd primes.",
        "rsa_9000": "A key so large only makes verifying slow.",
        "with_its_private_half": "A key whose private half was published is no longer ours alone.",
        "with_its_primes": "Nor is one whose primes were.",
    }.items():
        yield refused(f"key set {name}", about, claiming(), "unknown_key", key_set=name)
    yield refused("key set rsa_1024", "Too short a key.", _by("small", SMALL), "unknown_key", key_set="rsa_1024")
    yield refused(
        "key set exponent_3",
        "Signatures of small exponents are easier to forge.",
        _by("cubic", CUBIC),
        "unknown_key",
        key_set="exponent_3",
    )
    yield refused(
        "kid of 129 letters",
        "Too long, although the set has it.",
        sign(header(kid="k" * 129), claims()),
        "header",
        key_set="kid_of_129",
    )


def revocations() -> Iterator[Case]:
    second = _by("second", rsa_key("second"))
    yield refused("revoked key", "A key that was withdrawn for cause.", second, "revoked_key", key_set="second_revoked")
    yield refused(
        "revoked key, still listed",
        "Its revocation counts for more.",
        second,
        "revoked_key",
        key_set="revoked_and_still_listed",
    )
    head, body, _ = second.split(".")
    yield refused(
        "revoked key, any signature",
        "Such a signature is not even checked.",
        f"{head}.{body}.AAAA",
        "revoked_key",
        key_set="second_revoked",
    )
    yield refused("ended session", "Its session has ended.", claiming(), "revoked", revoked_sessions=(_SESSION,))
    yield refused(
        "ended session among others", "One of many.", claiming(), "revoked", revoked_sessions=("a", _SESSION, "b")
    )
    yield refused(
        "ended session named __proto__",
        "A session's id is a word to look up.",
        claiming(sid="__proto__"),
        "revoked",
        revoked_sessions=("__proto__",),
    )


def pkcs1() -> Iterator[Case]:
    """Signatures made with the right key, all but one of them not as RFC 8017 says."""
    signed = signed_part(header(), claims())
    good = FIRST.raw(encoded(signed.encode(), FIRST.size))
    yield accepted("signature: right", "The one right encoding.", f"{signed}.{b64(good)}")
    about = "The encoding is compared whole, not parsed."
    for name, block in wrong_encodings(signed.encode(), FIRST.size).items():
        yield refused(f"signature: {name}", about, f"{signed}.{b64(FIRST.raw(block))}", "signature")
    number, n = int.from_bytes(good), FIRST.n
    about = "A signature is a number below the modulus, in as many bytes as the modulus."
    for name, wrong in {
        "a zero before it": b"\0" + good,
        "a zero after it": good + b"\0",
        "the first byte away": good[1:],
        "the last byte away": good[:-1],
        "twice": good * 2,
        "zero": bytes(256),
        "one": (1).to_bytes(256),
        "a single zero byte": b"\0",
        "the modulus": n.to_bytes(256),
        "the modulus less one": (n - 1).to_bytes(256),
        "the modulus less it": (n - number).to_bytes(256),
        "the modulus added": (number + n).to_bytes(257),
        "all ones": b"\xff" * 256,
        "the first bit turned": (number ^ 1 << 2047).to_bytes(256),
        "the last bit turned": (number ^ 1).to_bytes(256),
    }.items():
        yield refused(f"signature: {name}", about, f"{signed}.{b64(wrong)}", "signature")
    yield from _leading_zero()


def _leading_zero() -> Iterator[Case]:
    """A signature that begins with a zero byte, which some libraries strip or add."""
    made = ((n, signed, FIRST.pkcs1(signed.encode())) for n in range(10_000) for signed in (_signed_part(n),))
    n, signed, signature = next(each for each in made if each[2][0] == 0)
    yield accepted("signature: begins with zero", "A zero byte is a byte.", f"{signed}.{b64(signature)}", claims(n=n))
    yield refused(
        "signature: its zero stripped", "As many bytes as the modulus.", f"{signed}.{b64(signature[1:])}", "signature"
    )


def _signed_part(n: int) -> str:
    return signed_part(header(), claims(n=n))


def _by(kid: str, key: RsaKey) -> str:
    return sign(header(kid=kid), claims(), key=key)
