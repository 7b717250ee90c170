"""The ended sessions whose access tokens may still be about, in memory: a look-up, not a query, for each token."""

from datetime import UTC, datetime

from auth_client import VerifiedToken

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
        """Whether the token's session has ended."""
        return token.session_id in self._expires

    async def poll(self) -> None:
        """Learn what other replicas ended, and forget what has expired. Raises DatabaseUnavailable."""
        now = self._clock.now()
        since = self._read_until
        new = await self._database.autocommit(lambda connection: revocations.since(connection, since, now=now))
        for revocation in new:
            self.add(revocation)
        self._read_until = now - OVERLAP
        for session_id in [known for known, expires_at in self._expires.items() if expires_at <= now]:
            del self._expires[session_id]
        self.is_loaded = True
