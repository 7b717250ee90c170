"""The list of user numbers that are staff whatever the facility says."""

from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.people import valid_user_number
from auth_service.storage import audit, staff
from auth_service.storage.database import Connection, Database


class StaffList:
    """Shows in people's next access tokens."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, user_number: int, *, origin: Origin) -> bool:
        """Whether it was not there before. Raises InvalidInput, DatabaseUnavailable."""
        valid_user_number(user_number)

        async def step(connection: Connection) -> bool:
            is_new = await staff.add(connection, user_number)
            if is_new:
                await self._tell(connection, EventType.STAFF_ADDED, user_number, origin)
            return is_new

        return await self._database.transaction(step)

    async def remove(self, user_number: int, *, origin: Origin) -> bool:
        """Whether it was there before. Raises DatabaseUnavailable."""
        valid_user_number(user_number)

        async def step(connection: Connection) -> bool:
            was_there = await staff.remove(connection, user_number)
            if was_there:
                await self._tell(connection, EventType.STAFF_REMOVED, user_number, origin)
            return was_there

        return await self._database.transaction(step)

    async def listed(self) -> tuple[int, ...]:
        """Ascending. Raises DatabaseUnavailable."""
        return await self._database.autocommit(staff.listed)

    async def _tell(self, connection: Connection, what: EventType, user_number: int, origin: Origin) -> None:
        now = await self._database.time(connection)
        await audit.add(connection, happened(what, origin=origin, now=now, user_number=str(user_number)))
