"""What a page's form carries, so that a request which changes something can only come from a page of ours.

HMAC-SHA-256 of the browser's session under a key for this purpose, behind a nonce: so no two pages hold the same text,
and none can be guessed by how well a page compresses (BREACH). Nothing is kept for it.
"""

import base64
import binascii
import hmac
import os

from auth_service.domain.sealing import KeyEncryptionKeys

_NONCE_BYTES = 12
_LONGEST = 4096


class FormTokens:
    """Writes and knows again what belongs to one session, on every replica."""

    def __init__(self, keys: KeyEncryptionKeys) -> None:
        self._mac_keys = [key.derived("forms") for key in keys.all]

    def write(self, session: str) -> str:
        """For a form on a page of this session."""
        nonce = os.urandom(_NONCE_BYTES)
        return _text(nonce + _mac(self._mac_keys[0], b"form", session, nonce))

    def is_of(self, session: str, token: str) -> bool:
        """Whether a page of this session held it."""
        raw = _bytes(token)
        nonce, mac = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
        return any(hmac.compare_digest(mac, _mac(key, b"form", session, nonce)) for key in self._mac_keys)

    def signed(self, text: str, *, session: str) -> str:
        """A note to be shown on the next page of this session, in letters that a cookie may hold."""
        body = text.encode()
        return f"{_text(body)}.{_text(_mac(self._mac_keys[0], b'note', session, body))}"

    def read(self, note: str, *, session: str) -> str:
        """What was `signed` for this session; empty for anything else."""
        body, _, mac = note.partition(".")
        raw = _bytes(body)
        if raw and any(hmac.compare_digest(_bytes(mac), _mac(key, b"note", session, raw)) for key in self._mac_keys):
            return raw.decode()
        return ""


def _mac(key: bytes, use: bytes, session: str, body: bytes) -> bytes:
    return hmac.digest(key, b"\0".join((use, session.encode(), body)), "sha256")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    """Empty for what is no base64url, in its one spelling."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)) if len(text) <= _LONGEST else b""
    except (ValueError, binascii.Error):
        return b""
    return raw if _text(raw) == text else b""
