"""RSA keys and signatures that come out the same in every run, made from a name. Worthless as secrets: anybody can make
them too, which is why they can be checked against without being kept anywhere.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from math import gcd, prod

_SMALL_PRIMES = [n for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2))]
_PRODUCT = prod(_SMALL_PRIMES)
_DIGEST_INFOS = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
    "sha384": bytes.fromhex("3041300d060960864801650304020205000430"),
    "sha512": bytes.fromhex("3051300d060960864801650304020305000440"),
}


@dataclass(frozen=True, slots=True)
class RsaKey:
    n: int
    e: int
    d: int
    p: int
    q: int

    @property
    def size(self) -> int:
        """Bytes of a signature."""
        return (self.n.bit_length() + 7) // 8

    def raw(self, encoded: bytes) -> bytes:
        """The signature that opens to `encoded`, whatever that is."""
        number = int.from_bytes(encoded)
        by_p, by_q = (pow(number, self.d % (prime - 1), prime) for prime in (self.p, self.q))
        return (by_q + (by_p - by_q) * pow(self.q, -1, self.p) % self.p * self.q).to_bytes(self.size)

    def pkcs1(self, signed: bytes, digest: str = "sha256") -> bytes:
        """As RFC 8017 section 8.2.1."""
        info = _DIGEST_INFOS[digest] + hashlib.new(digest, signed).digest()
        return self.raw(b"\0\1" + b"\xff" * (self.size - 3 - len(info)) + b"\0" + info)

    def pss(self, signed: bytes) -> bytes:
        """As RFC 8017 section 8.1.1 with SHA-256, and a salt that is the same each time."""
        salt = hashlib.sha256(b"salt").digest()
        digest = hashlib.sha256(bytes(8) + hashlib.sha256(signed).digest() + salt).digest()
        block = bytes(self.size - len(salt) - len(digest) - 2) + b"\1" + salt
        masked = bytearray(a ^ b for a, b in zip(block, _mask(digest, len(block)), strict=True))
        masked[0] &= 0x7F
        return self.raw(bytes(masked) + digest + b"\xbc")


@cache
def rsa_key(name: str, *, bits: int = 2048, e: int = 65537) -> RsaKey:
    """The key called `name`: always the same one."""
    stream = _primes(f"{name} {bits} {e}", bits=bits // 2, e=e)
    p, q = next(stream), next(stream)
    return RsaKey(n=p * q, e=e, d=pow(e, -1, (p - 1) * (q - 1)), p=p, q=q)


def _primes(seed: str, *, bits: int, e: int) -> Iterator[int]:
    for turn in range(1_000_000):
        drawn = int.from_bytes(hashlib.shake_256(f"{seed} {turn}".encode()).digest(bits // 8))
        # The two highest bits, so that the product of two has no bit less than twice as many.
        candidate = drawn | 0b11 << (bits - 2) | 1
        if gcd(candidate, _PRODUCT) == 1 and (candidate - 1) % e and _is_prime(candidate):
            yield candidate


def _is_prime(n: int) -> bool:
    """By Miller and Rabin. The bases are fixed, which is sound for a number that nobody chose to fool them."""
    twos = ((n - 1) & (1 - n)).bit_length() - 1
    return all(_is_witnessed(n, base=base, twos=twos) for base in _SMALL_PRIMES[:16])


def _is_witnessed(n: int, *, base: int, twos: int) -> bool:
    power = pow(base, (n - 1) >> twos, n)
    if power in (1, n - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % n
        if power == n - 1:
            return True
    return False


def _mask(seed: bytes, length: int) -> bytes:
    """MGF1 with SHA-256 (RFC 8017 appendix B.2.1)."""
    blocks = (hashlib.sha256(seed + n.to_bytes(4)).digest() for n in range(length // 32 + 1))
    return b"".join(blocks)[:length]
