"""What the key-encryption keys do: seal private keys at rest, and derive the keys of other purposes.

A key-encryption key is 32 random bytes from a file or the environment, never from the database. The first of several
seals; all of them open. It refuses to guess: a sealed value names the key that opens it.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_ID_BYTES = 4
_NONCE_BYTES = 12


class SealBroken(Exception):
    """The sealed value was altered, belongs elsewhere, or its key-encryption key is not configured."""


@dataclass(frozen=True, slots=True)
class KeyEncryptionKey:
    """One key-encryption key. `id` is derived from the key, so that nobody has to name it."""

    secret: bytes = field(repr=False)
    id: bytes

    @classmethod
    def of(cls, secret: bytes) -> "KeyEncryptionKey":
        if len(secret) != 32:
            raise ValueError("a key-encryption key is 32 bytes")
        return cls(secret, hashlib.sha256(b"auth-service key id\0" + secret).digest()[:KEY_ID_BYTES])

    def derived(self, purpose: str) -> bytes:
        """32 bytes for `purpose` and nothing else (HKDF-SHA-256, RFC 5869)."""
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"auth-service {purpose}".encode()).derive(
            self.secret
        )


class KeyEncryptionKeys:
    """The configured key-encryption keys, first one first."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        if not secrets:
            raise ValueError("at least one key-encryption key is needed")
        self.all = tuple(KeyEncryptionKey.of(secret) for secret in secrets)
        self._by_id = {key.id: key for key in self.all}

    @property
    def first(self) -> KeyEncryptionKey:
        return self.all[0]

    def get(self, key_id: bytes) -> KeyEncryptionKey | None:
        return self._by_id.get(key_id)

    def seal(self, plain: bytes, *, kid: str, purpose: str) -> bytes:
        """AES-256-GCM under the first key: key id, nonce, ciphertext. `kid` and `purpose` are bound to it."""
        nonce = os.urandom(_NONCE_BYTES)
        cipher = AESGCM(self.first.derived("sealing"))
        return self.first.id + nonce + cipher.encrypt(nonce, plain, _bound_to(kid, purpose))

    def open(self, sealed: bytes, *, kid: str, purpose: str) -> bytes:
        """What was sealed. Raises SealBroken."""
        key = self.get(sealed[:KEY_ID_BYTES])
        if key is None:
            raise SealBroken(f"{purpose} {kid}: its key-encryption key is not configured")
        nonce, ciphertext = sealed[KEY_ID_BYTES:][:_NONCE_BYTES], sealed[KEY_ID_BYTES + _NONCE_BYTES :]
        try:
            return AESGCM(key.derived("sealing")).decrypt(nonce, ciphertext, _bound_to(kid, purpose))
        except (InvalidTag, ValueError) as error:
            raise SealBroken(f"{purpose} {kid}: altered, or sealed for something else") from error

    def is_sealed_by_first(self, sealed: bytes) -> bool:
        return sealed[:KEY_ID_BYTES] == self.first.id


def _bound_to(kid: str, purpose: str) -> bytes:
    return f"{purpose}\0{kid}".encode()
