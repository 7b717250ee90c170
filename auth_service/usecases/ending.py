"""Sessions are ended, one or all of a person's: in the database, and in every replica's memory of what to refuse."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.sessions import EndReason
from auth_service.storage import audit, revocations, sessions
from auth_service.storage.database import Connection
from auth_service.storage.revocations import Revocation
from auth_service.usecases.revoked import RevokedSessions


class Ending:
    """`in_step` within the transaction that has the reason, `take_effect` once it is committed."""

    def __init__(self, revoked: RevokedSessions, *, longest_token: Callable[[], timedelta]) -> None:
        self._revoked = revoked
        self._longest_token = longest_token

    async def in_step(
        self,
        connection: Connection,
        person_id: UUID,
        *,
        reason: EndReason,
        origin: Origin,
        now: datetime,
        only: UUID | None = None,
        keep: UUID | None = None,
    ) -> tuple[Revocation, ...]:
        """End every live session of the person: `only` that one if it is given, all but `keep` otherwise."""
        ended = await sessions.end_all(connection, person_id, reason=reason, now=now, only=only, keep=keep)
        made = tuple(self.revocation(session_id, now=now) for session_id in ended)
        await self.written(connection, made, person_id, reason=reason, origin=origin)
        return made

    def revocation(self, session_id: UUID, *, now: datetime) -> Revocation:
        """What makes the session's access tokens refused for as long as there may be any."""
        # A refresh that won its race a moment ago may still be signing; its token lives a little longer.
        return Revocation(session_id, revoked_at=now, expires_at=now + self._longest_token())

    async def written(
        self,
        connection: Connection,
        ended: Sequence[Revocation],
        person_id: UUID,
        *,
        reason: EndReason,
        origin: Origin,
        by: UUID | None = None,
    ) -> None:
        """Within the step that ended sessions of the person: tell everybody, and the audit log.

        A person may have thousands: they cost no more round trips than one does.
        """
        if not ended:
            return
        await revocations.add(connection, *ended)
        events = [
            happened(
                EventType.SESSION_ENDED,
                origin=origin,
                now=each.revoked_at,
                on=person_id,
                by=by,
                reason=reason,
                session_id=str(each.session_id),
            )
            for each in ended
        ]
        await audit.add(connection, *events)

    def take_effect(self, ended: Iterable[Revocation]) -> None:
        """Refuse their access tokens here from now on; the other replicas read along."""
        for each in ended:
            self._revoked.add(each)
