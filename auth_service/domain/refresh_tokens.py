"""Refresh tokens: opaque to their bearer, and made from the session row alone.

`rt1.` + base64url(key id, session id, generation, HMAC-SHA-256 of these). The database holds neither the token nor a
digest of it, so a leaked database yields none, and garbage is refused without asking the database.
"""

import base64
import binascii
import hmac
import struct
from dataclasses import dataclass
from uuid import UUID

from auth_service.domain.errors import RefreshTokenInvalid, RefreshTokenMissing
from auth_service.domain.sealing import KEY_ID_BYTES, KeyEncryptionKeys

_PREFIX = "rt1."
_LAYOUT = struct.Struct(f"!{KEY_ID_BYTES}s16sQ")
_MAC_BYTES = 32
_ENCODED_LENGTH = (_LAYOUT.size + _MAC_BYTES) * 4 // 3
"""The layout is a multiple of three bytes, so base64url has neither padding nor spare bits: one spelling a token."""


@dataclass(frozen=True, slots=True)
class SpentGeneration:
    """What a genuine refresh token says: which session, and which generation of it the bearer holds."""

    session_id: UUID
    generation: int


class RefreshTokens:
    """Writes and reads refresh tokens under keys derived from the key-encryption keys."""

    def __init__(self, keys: KeyEncryptionKeys) -> None:
        self._mac_keys = {key.id: key.derived("refresh tokens") for key in keys.all}
        self._first = keys.first.id

    def write(self, session_id: UUID, generation: int) -> str:
        """The one token of this generation. The same input gives the same token."""
        body = _LAYOUT.pack(self._first, session_id.bytes, generation)
        return _PREFIX + base64.urlsafe_b64encode(body + self._mac(self._first, body)).decode()

    def read(self, token: str) -> SpentGeneration:
        """What a genuine token says. Raises RefreshTokenMissing, RefreshTokenInvalid."""
        if not token:
            raise RefreshTokenMissing
        if len(token) != len(_PREFIX) + _ENCODED_LENGTH or not token.startswith(_PREFIX):
            raise RefreshTokenInvalid
        try:
            encoded = token[len(_PREFIX) :].encode("ascii")
            raw = base64.urlsafe_b64decode(encoded)
        except (UnicodeEncodeError, binascii.Error) as error:
            raise RefreshTokenInvalid from error
        # The decoder skips what is not base64url and takes `+` for `-`; a token has one spelling.
        if base64.urlsafe_b64encode(raw) != encoded:
            raise RefreshTokenInvalid
        body, mac = raw[: _LAYOUT.size], raw[_LAYOUT.size :]
        key_id, session, generation = _LAYOUT.unpack(body)
        if key_id not in self._mac_keys or not hmac.compare_digest(mac, self._mac(key_id, body)):
            raise RefreshTokenInvalid
        return SpentGeneration(UUID(bytes=session), generation)

    def _mac(self, key_id: bytes, body: bytes) -> bytes:
        return hmac.digest(self._mac_keys[key_id], body, "sha256")
