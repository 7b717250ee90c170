"""The key ring, and who takes it, a page at a time."""

from dataclasses import dataclass
from datetime import datetime

from auth_service.domain.keys import KeyPolicy, SigningKey, rotation_due_at
from auth_service.domain.pages import PageTokens, page_size
from auth_service.storage import key_consumers
from auth_service.storage.database import Database, DatabaseClock
from auth_service.usecases.key_consumers import KeyConsumers, ShownConsumer
from auth_service.usecases.signing import SigningKeys

_LISTING = "signing keys"
_CONSUMERS = "key consumers"


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


@dataclass(frozen=True, slots=True)
class ConsumerPage:
    """The standby signs when `due_at` has come and all recent consumers hold it, and `at_the_latest` in any case."""

    consumers: tuple[ShownConsumer, ...]
    next_page_token: str
    ring_version: int
    standby_kid: str
    due_at: datetime
    at_the_latest: datetime


class ConsumerList:
    def __init__(
        self,
        database: Database,
        *,
        keys: SigningKeys,
        consumers: KeyConsumers,
        key_policy: KeyPolicy,
        clock: DatabaseClock,
        page_tokens: PageTokens,
    ) -> None:
        self._database = database
        self._keys = keys
        self._consumers = consumers
        self._key_policy = key_policy
        self._clock = clock
        self._page_tokens = page_tokens

    async def page(self, *, size: int, page_token: str) -> ConsumerPage:
        """By address. Raises InvalidInput, DatabaseUnavailable, SigningUnavailable until there is a ring."""
        most = page_size(size)
        position = self._page_tokens.read(page_token, listing=_CONSUMERS)
        self._keys.published()
        address, _, id_ = (position or "").partition(" ")
        after = (address, bytes.fromhex(id_))
        await self._consumers.share()
        found = await self._database.autocommit(
            lambda connection: key_consumers.page(connection, after=after, most=most + 1)
        )
        page, next_page_token = self._page_tokens.cut(
            found,
            most=most,
            listing=_CONSUMERS,
            position=lambda last: f"{last.consumer.address} {last.consumer.id.hex()}",
        )
        ring, now = self._keys.ring, self._clock.now()
        due_at = rotation_due_at(ring, policy=self._key_policy)
        return ConsumerPage(
            tuple(self._consumers.shown(each, ring, now=now) for each in page),
            next_page_token,
            ring.version,
            ring.standby.kid,
            due_at,
            due_at + self._consumers.policy.patience,
        )
