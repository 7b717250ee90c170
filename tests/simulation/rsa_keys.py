"""RSA keys that are the same in every run, and cost nothing to make: products of twenty primes.

Each is good for signing and for nothing else: whoever knows two of them knows both, and all of them are in this file.
"""

import hashlib
from itertools import combinations
from random import Random

from cryptography.hazmat.primitives.asymmetric import rsa

_OFFSETS = (
    110, 1506, 828, 390, 908, 68, 314, 374, 532, 2044, 1490, 1114, 484, 2084, 2542, 250, 748, 122, 288, 794,
)  # fmt: skip
"""From each starting point to the next prime."""
_EXPONENT = 65537
MOST_KEYS = len(_OFFSETS) * (len(_OFFSETS) - 1) // 2


class KeyMaker:
    """In place of the module `rsa`, as `domain.keys` sees it. No key comes twice."""

    RSAPrivateKey = rsa.RSAPrivateKey

    def __init__(self, random: Random) -> None:
        self._pairs = list(combinations([_prime(index) for index in range(len(_OFFSETS))], 2))
        random.shuffle(self._pairs)

    def generate_private_key(self, *, public_exponent: int, key_size: int) -> rsa.RSAPrivateKey:
        assert (public_exponent, key_size) == (_EXPONENT, 2048)
        if not self._pairs:
            raise RuntimeError(f"the simulation has no more than {MOST_KEYS} keys")
        p, q = self._pairs.pop()
        d = pow(_EXPONENT, -1, (p - 1) * (q - 1))
        numbers = rsa.RSAPrivateNumbers(
            p=p,
            q=q,
            d=d,
            dmp1=d % (p - 1),
            dmq1=d % (q - 1),
            iqmp=pow(q, -1, p),
            public_numbers=rsa.RSAPublicNumbers(_EXPONENT, p * q),
        )
        return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def _prime(index: int) -> int:
    halves = (hashlib.sha512(f"simulation prime {index}.{half}".encode()).digest() for half in range(2))
    # The two highest bits are set, so that a product of two has 2048 bits.
    return (int.from_bytes(b"".join(halves)) | 3 << 1022 | 1) + _OFFSETS[index]
