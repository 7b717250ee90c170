"""Notices about maintenance: set by administrators, and told to everybody from memory."""

from collections.abc import Mapping
from typing import TypeAlias

from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.errors import DatabaseUnavailable
from auth_service.domain.notices import Notice, NoticeKind, valid_message
from auth_service.storage import audit, notices
from auth_service.storage.database import Connection, Database

Told: TypeAlias = Mapping[NoticeKind, Notice]


class Notices:
    """As of the last poll, and of what was set here since. The last that was known stays while the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: Told | None = None
        self._changes = 0

    @property
    def told(self) -> Told:
        """Both. Raises DatabaseUnavailable until they were read once."""
        if self._told is None:
            raise DatabaseUnavailable
        return self._told

    async def poll(self) -> None:
        """Learn what other replicas set. Raises DatabaseUnavailable."""
        before = self._changes
        read = await self._database.autocommit(notices.every)
        # What was set here meanwhile is newer than what was read.
        if before == self._changes:
            self._told = read

    async def put(self, kind: NoticeKind, *, is_shown: bool, message: str, origin: Origin) -> Notice:
        """What is told now. Raises InvalidInput, DatabaseUnavailable."""
        message = valid_message(message, is_shown=is_shown)

        async def step(connection: Connection) -> Told:
            now = await self._database.time(connection)
            held = await notices.every(connection)
            wanted = Notice(is_shown, message, now)
            if held[kind].says(wanted):
                return held
            await notices.put(connection, kind, wanted)
            shown = "true" if is_shown else "false"
            event = happened(EventType.NOTICE_CHANGED, origin=origin, now=now, kind=kind, show=shown, message=message)
            await audit.add(connection, event)
            return {**held, kind: wanted}

        self._told = await self._database.transaction(step)
        self._changes += 1
        return self._told[kind]
