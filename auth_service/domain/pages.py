"""Page tokens (AIP-158): where the next page of one listing begins, good for that listing only."""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from typing import TypeVar

from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.sealing import KeyEncryptionKeys

DEFAULT_PAGE_SIZE = 100
LARGEST_PAGE_SIZE = 1000
_MAC_BYTES = 16
_LONGEST = 16 << 10
"""Some listings go on after a name, and a name may be long."""

Row = TypeVar("Row")


def page_size(asked: int) -> int:
    """How many to return for `page_size` = `asked`. Raises InvalidInput if it is negative."""
    if asked < 0:
        raise InvalidInput(FieldViolation("page_size", f"expected 0 to {LARGEST_PAGE_SIZE}"))
    return min(asked, LARGEST_PAGE_SIZE) or DEFAULT_PAGE_SIZE


class PageTokens:
    """Writes and reads page tokens. `listing` says which listing, with every filter that shapes it."""

    def __init__(self, keys: KeyEncryptionKeys) -> None:
        self._mac_keys = [key.derived("page tokens") for key in keys.all]

    def write(self, *, listing: str, position: str) -> str:
        body = position.encode()
        return base64.urlsafe_b64encode(self._mac(self._mac_keys[0], listing, body) + body).decode()

    def read(self, token: str, *, listing: str) -> str | None:
        """The position; None for the first page. Raises InvalidInput for a token of another listing or deployment."""
        if not token:
            return None
        try:
            raw = base64.urlsafe_b64decode(token.encode("ascii")) if len(token) <= _LONGEST else b""
        except (UnicodeEncodeError, binascii.Error):
            raw = b""
        mac, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        # The decoder skips what is not base64url and takes `+` for `-`; a token has one spelling.
        is_canonical = base64.urlsafe_b64encode(raw).decode() == token
        if not is_canonical or not any(
            hmac.compare_digest(mac, self._mac(key, listing, body)) for key in self._mac_keys
        ):
            raise InvalidInput(FieldViolation("page_token", "expected the next_page_token of this very listing"))
        return body.decode()

    def cut(
        self, found: Sequence[Row], *, most: int, listing: str, position: Callable[[Row], str]
    ) -> tuple[tuple[Row, ...], str]:
        """Up to `most` of `found`, and the token of the next page: empty unless there were more.

        So ask for one more than `most`, at the least. `position` tells where the page after a row begins.
        """
        page = tuple(found[:most])
        has_more = len(found) > most
        return page, self.write(listing=listing, position=position(page[-1])) if has_more else ""

    def _mac(self, key: bytes, listing: str, body: bytes) -> bytes:
        return hmac.digest(key, listing.encode() + b"\0" + body, "sha256")[:_MAC_BYTES]
