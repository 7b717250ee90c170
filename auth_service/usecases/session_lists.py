"""A person's live sessions, a page at a time: for the person and for administrators."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from auth_service.domain.pages import PageTokens, page_size
from auth_service.domain.sessions import Session
from auth_service.storage import sessions
from auth_service.storage.database import Connection, Database

_BEFORE_THE_FIRST = datetime.max.replace(tzinfo=UTC), UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class SessionPage:
    sessions: tuple[Session, ...]
    next_page_token: str


class SessionLists:
    def __init__(self, database: Database, *, page_tokens: PageTokens) -> None:
        self._database = database
        self._page_tokens = page_tokens

    async def page(self, person_id: UUID, *, size: int, page_token: str) -> SessionPage:
        """Newest first. Raises InvalidInput, DatabaseUnavailable."""
        most = page_size(size)
        listing = f"sessions of {person_id}"
        position = self._page_tokens.read(page_token, listing=listing)
        before = _read(position) if position is not None else _BEFORE_THE_FIRST

        async def step(connection: Connection) -> tuple[Session, ...]:
            now = await self._database.time(connection)
            return await sessions.live(connection, person_id, now=now, before=before, most=most + 1)

        found = await self._database.autocommit(step)
        return SessionPage(*self._page_tokens.cut(found, most=most, listing=listing, position=_position))


def _position(session: Session) -> str:
    return f"{session.started_at.isoformat()} {session.id}"


def _read(position: str) -> tuple[datetime, UUID]:
    started_at, session_id = position.split(" ")
    return datetime.fromisoformat(started_at), UUID(session_id)
