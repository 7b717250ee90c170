"""What every grant of a role goes through, whichever story it is part of."""

from datetime import datetime
from uuid import UUID

from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.errors import NotFound, RoleState
from auth_service.domain.policy import check_strength
from auth_service.domain.roles import NEVER_GRANTED, Role, check_fit_into_a_token
from auth_service.storage import audit, people, roles
from auth_service.storage.database import Connection


async def existing(connection: Connection, name: str, *, field: str) -> Role:
    """The role, which is there until the transaction ends. Raises NotFound."""
    role = await roles.hold(connection, name)
    if role is None:
        raise NotFound(f"{field}: there is no role {name!r}")
    return role


async def grantable(connection: Connection, name: str, *, field: str, level: int) -> Role:
    """As `existing`, for an actor of `level`. Raises NotFound, RoleState, PermissionDenied."""
    role = await existing(connection, name, field=field)
    if role.name in NEVER_GRANTED:
        raise RoleState(f"{field}: {role.name!r} is not granted, it follows from what the facility says")
    check_strength(level, above=role.level, what=field)
    return role


async def grant(
    connection: Connection, person_id: UUID, name: str, *, field: str, level: int, origin: Origin, now: datetime
) -> None:
    """By an actor of `level`; a role that the person has already is fine.

    Raises as `grantable`, and WrongAccountState for a person whose roles would be too many for a token.
    """
    role = await grantable(connection, name, field=field, level=level)
    person = await people.find(connection, person_id)
    assert person is not None, "the step holds it"
    if role.name not in person.granted_roles:
        check_fit_into_a_token(person.granted_roles | {role.name})
    if await people.grant(connection, person_id, role.name, now=now):
        event = happened(EventType.ROLE_GRANTED, origin=origin, now=now, on=person_id, role=role.name)
        await audit.add(connection, event)
