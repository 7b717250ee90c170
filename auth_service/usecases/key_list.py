"""The key ring, a page at a time."""

from dataclasses import dataclass

from auth_service.domain.keys import SigningKey
from auth_service.domain.pages import PageTokens, page_size
from auth_service.usecases.signing import SigningKeys

_LISTING = "signing keys"


@dataclass(frozen=True, slots=True)
class KeyPage:
    """`ring_version` is of the ring that the page was cut from; pages of one listing may come from several."""

    keys: tuple[SigningKey, ...]
    next_page_token: str
    ring_version: int


class KeyList:
    def __init__(self, keys: SigningKeys, *, page_tokens: PageTokens) -> None:
        self._keys = keys
        self._page_tokens = page_tokens

    def page(self, *, size: int, page_token: str) -> KeyPage:
        """Newest first, as this replica last read the ring. Raises InvalidInput."""
        most = page_size(size)
        after = self._page_tokens.read(page_token, listing=_LISTING)
        ring = self._keys.ring
        newest_first = ring.keys[::-1]
        kids = [key.kid for key in newest_first]
        start = kids.index(after) + 1 if after in kids else 0
        page, next_page_token = self._page_tokens.cut(
            newest_first[start:], most=most, listing=_LISTING, position=lambda last: last.kid
        )
        return KeyPage(page, next_page_token, ring.version)
