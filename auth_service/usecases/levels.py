"""How strong a person is now, whatever their token says."""

from uuid import UUID

from auth_service.domain.accounts import Account, Shown
from auth_service.domain.errors import AccessTokenRefused
from auth_service.domain.policy import (
    ABOVE_ALL,
    WEAKEST_LEVEL,
    Caller,
    OperatorCalling,
    PersonCalling,
    RolePolicy,
    level_of,
    roles_for,
)
from auth_service.storage import people, roles
from auth_service.storage.database import Connection, Database


class Levels:
    """Asks the database, so that a role taken away counts at once."""

    def __init__(self, database: Database, *, policy: RolePolicy) -> None:
        self._database = database
        self._policy = policy

    async def of(self, caller: PersonCalling) -> int:
        """Raises AccessTokenRefused for a person who is gone, DatabaseUnavailable."""
        return await self._database.autocommit(lambda connection: self.of_caller(connection, caller))

    async def of_caller(self, connection: Connection, caller: Caller) -> int:
        """As `of`, within a step; an operator is above all, a service has no level."""
        match caller:
            case OperatorCalling():
                return ABOVE_ALL
            case PersonCalling(person_id=person_id):
                level = await self.of_person(connection, person_id)
                if level is None:
                    raise AccessTokenRefused(reason="TOKEN_REVOKED", detail="person")
                return level
        return WEAKEST_LEVEL

    async def of_person(self, connection: Connection, person_id: UUID) -> int | None:
        """None for a person who may not sign in, or is not known."""
        person = await people.find(connection, person_id)
        if person is None or not person.may_sign_in:
            return None
        return level_of(roles_for(person, policy=self._policy), levels=await roles.levels(connection))

    async def shown(self, connection: Connection, account: Account) -> Shown:
        """`account` with its roles and level of now, within a step."""
        held = roles_for(account.person, policy=self._policy)
        return Shown(account, roles=held, level=level_of(held, levels=await roles.levels(connection)))
