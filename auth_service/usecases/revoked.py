"""The ended sessions whose access tokens may still be about, in memory: a look-up, not a query, for each token.

What this replica learns it tells on, once: to the streams and the documents that other verifiers follow.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from auth_client import VerifiedToken

from auth_service.domain.errors import DatabaseUnavailable
from auth_service.storage import revocations
from auth_service.storage.database import Database, DatabaseClock
from auth_service.storage.revocations import OVERLAP, Revocation

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)

Ended = tuple[str, datetime]
"""A session, and the moment from which on no token of it is left."""


class RevokedSessions:
    """What `revocations` holds, as of the last poll, and what this replica ended since."""

    def __init__(self, database: Database, *, clock: DatabaseClock) -> None:
        self._database = database
        self._clock = clock
        # In the order in which they were learnt: when they expire, and when they were made.
        self._held: dict[str, tuple[datetime, datetime]] = {}
        self._newest = _EVER
        self._most_late = timedelta(0)
        self._heard: Callable[[Ended], None] | None = None
        self.read_at = _EVER
        self.changes = 0
        self.is_loaded = False

    def __len__(self) -> int:
        return len(self._held)

    @property
    def complete_until(self) -> datetime:
        """All that were made before this moment are here."""
        return self.read_at - OVERLAP

    def follow(self, heard: Callable[[Ended], None]) -> None:
        """Call `heard` with each that is new from now on, but for those of the first poll."""
        self._heard = heard

    def add(self, revocation: Revocation) -> None:
        """Refuse the session's tokens from now on, here."""
        session_id, made_at, expires_at = str(revocation.session_id), revocation.revoked_at, revocation.expires_at
        known = self._held.get(session_id)
        if known is not None:
            if known[0] >= expires_at:
                return
            del self._held[session_id]
        self._held[session_id] = (expires_at, made_at)
        self._newest = max(self._newest, made_at)
        self._most_late = max(self._most_late, self._newest - made_at)
        self.changes += 1
        if self._heard is not None and self.is_loaded:
            self._heard((session_id, expires_at))

    def holds(self, token: VerifiedToken) -> bool:
        """Whether the token's session has ended. Raises DatabaseUnavailable until the first poll told which have."""
        if not self.is_loaded:
            raise DatabaseUnavailable
        return token.session_id in self._held

    def names(self, session_id: UUID) -> bool:
        """Whether what tokens name as their session, which may be an API key, is known to have ended."""
        return str(session_id) in self._held

    def all(self) -> Sequence[Ended]:
        """Raises DatabaseUnavailable until the first poll."""
        if not self.is_loaded:
            raise DatabaseUnavailable
        return [(session_id, held[0]) for session_id, held in self._held.items()]

    def since(self, moment: datetime) -> Sequence[Ended]:
        """Those made at `moment` or later, and some made before. Raises DatabaseUnavailable until the first poll."""
        if not self.is_loaded:
            raise DatabaseUnavailable
        # As late as one was ever learnt behind a newer one, so late this one may have been.
        before = moment - self._most_late
        found = []
        for session_id, (expires_at, made_at) in reversed(self._held.items()):
            if made_at < before:
                break
            found.append((session_id, expires_at))
        return found

    async def poll(self) -> None:
        """Learn what other replicas ended, and forget what has expired. Raises DatabaseUnavailable."""
        now = self._clock.now()
        since = self.complete_until if self.is_loaded else _EVER
        new = await self._database.autocommit(lambda connection: revocations.since(connection, since, now=now))
        for revocation in new:
            self.add(revocation)
        self.read_at = now
        self._forget_expired(now)
        self.is_loaded = True

    def _forget_expired(self, now: datetime) -> None:
        # They were learnt in the order in which they expire, give or take a poll: the rest need not be looked at.
        while self._held and self._held[oldest := next(iter(self._held))][0] <= now:
            del self._held[oldest]
            self.changes += 1


def by_minute(ended: Iterable[Ended]) -> dict[datetime, list[str]]:
    """Session ids by the minute at whose end they no longer matter, so that each moment is told once."""
    groups: dict[datetime, list[str]] = {}
    for session_id, until in ended:
        groups.setdefault(until.replace(second=0, microsecond=0) + _MINUTE, []).append(session_id)
    return groups
