"""A signing key is withdrawn for cause, and whoever does it learns what follows."""

from dataclasses import dataclass
from datetime import datetime

from auth_service.domain.audit import Origin
from auth_service.domain.errors import Overloaded, Unavailable
from auth_service.domain.keys import KeyRing, SigningKey
from auth_service.usecases.key_consumers import KeyConsumers, ShownConsumer
from auth_service.usecases.signing import SigningKeys


@dataclass(frozen=True, slots=True)
class KeyRevoked:
    """`tokens_until` is when the last token would have been over that the key signed; None if it signed none.

    `holding_older` are the recent consumers that still trust the key, as far as was seen; None if that is not known.
    """

    ring: KeyRing
    key: SigningKey
    tokens_until: datetime | None
    holding_older: tuple[ShownConsumer, ...] | None


class KeyRevocation:
    def __init__(self, keys: SigningKeys, *, consumers: KeyConsumers) -> None:
        self._keys = keys
        self._consumers = consumers

    async def revoke(self, kid: str, *, origin: Origin, ring_version: int | None = None) -> KeyRevoked:
        """Raises NotFound, RingChanged, DatabaseUnavailable."""
        ring = await self._keys.revoke(kid, origin=origin, ring_version=ring_version)
        key = ring.get(kid)
        try:
            holding_older = await self._consumers.holding_older(ring)
        except (Unavailable, Overloaded):
            # The key is revoked, and that is what has to be told.
            holding_older = None
        return KeyRevoked(ring, key, key.tokens_until, holding_older)
