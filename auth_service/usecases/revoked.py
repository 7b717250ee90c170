"""The ended sessions whose access tokens may still be about, in memory: a look-up, not a query, for each token."""

from datetime import UTC, datetime
from uuid import UUID

from auth_client import VerifiedToken

from auth_service.domain.errors import DatabaseUnavailable
from auth_service.storage import revocations
from auth_service.storage.database import Database, DatabaseClock
from auth_service.storage.revocations import OVERLAP, Revocation

_EVER = datetime(1970, 1, 1, tzinfo=UTC)


class RevokedSessions:
    """What `revocations` holds, as of the last poll, and what this replica ended since."""

    def __init__(self, database: Database, *, clock: DatabaseClock) -> None:
        self._database = database
        self._clock = clock
        self._expires: dict[str, datetime] = {}
        self._read_until = _EVER
        self.is_loaded = False

    def __len__(self) -> int:
        return len(self._expires)

    def add(self, revocation: Revocation) -> None:
        """Refuse the session's tokens from now on, here."""
        self._expires[str(revocation.session_id)] = revocation.expires_at

    def holds(self, token: VerifiedToken) -> bool:
        """Whether the token's session has ended. Raises DatabaseUnavailable until the first poll told which have."""
        if not self.is_loaded:
            raise DatabaseUnavailable
        return token.session_id in self._expires

    def names(self, session_id: UUID) -> bool:
        """Whether what tokens name as their session, which may be an API key, is known to have ended."""
        return str(session_id) in self._expires

    async def poll(self) -> None:
        """Learn what other replicas ended, and forget what has expired. Raises DatabaseUnavailable."""
        now = self._clock.now()
        since = self._read_until
        new = await self._database.autocommit(lambda connection: revocations.since(connection, since, now=now))
        for revocation in new:
            self.add(revocation)
        self._read_until = now - OVERLAP
        self._forget_expired(now)
        self.is_loaded = True

    def _forget_expired(self, now: datetime) -> None:
        # They were learnt in the order in which they expire, give or take a poll: the rest need not be looked at.
        while self._expires and self._expires[oldest := next(iter(self._expires))] <= now:
            del self._expires[oldest]
