"""Roles are made, changed and deleted, granted and taken away; and whether somebody's level is enough is answered."""

from dataclasses import dataclass, replace
from uuid import UUID

from auth_service.domain.accounts import AccountState
from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.errors import NotFound, RoleState, WrongAccountState
from auth_service.domain.pages import PageTokens, page_size
from auth_service.domain.policy import ADMIN, Caller, ServiceCalling, check_strength
from auth_service.domain.roles import (
    LONGEST_DESCRIPTION,
    Role,
    valid_level,
    valid_remark,
    valid_role_name,
)
from auth_service.storage import audit, people, roles
from auth_service.storage.database import Connection, Database
from auth_service.storage.revocations import Revocation
from auth_service.usecases import granting
from auth_service.usecases.ending import Ending
from auth_service.usecases.levels import Levels

_ABOVE_THE_STRONGEST = -1


@dataclass(frozen=True, slots=True)
class RolePage:
    roles: tuple[Role, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class RoleRevoked:
    """Every role that the person has now, and how many of their sessions ended."""

    roles: tuple[str, ...]
    ended_sessions: int


@dataclass(frozen=True, slots=True)
class LevelVerdict:
    is_allowed: bool
    bearer_level: int


class Roles:
    """Nobody makes, changes, deletes, grants or takes away a role at or above their own level."""

    def __init__(self, database: Database, *, levels: Levels, ending: Ending, page_tokens: PageTokens) -> None:
        self._database = database
        self._levels = levels
        self._ending = ending
        self._page_tokens = page_tokens

    async def create(self, name: str, *, level: int, description: str, origin: Origin) -> Role:
        """Raises InvalidInput, AlreadyExists for the name or the level, PermissionDenied, DatabaseUnavailable."""
        valid_role_name(name, field="name")
        valid_level(level)
        told = valid_remark(description, field="description", longest=LONGEST_DESCRIPTION)

        async def step(connection: Connection) -> Role:
            now = await self._database.time(connection)
            check_strength(await self._levels.of_actor(connection, origin), above=level, what="level")
            await roles.add(connection, name, level=level, description=told, now=now)
            event = happened(EventType.ROLE_CREATED, origin=origin, now=now, role=name, level=str(level))
            await audit.add(connection, event)
            return await granting.existing(connection, name, field="name")

        return await self._database.transaction(step)

    async def get(self, name: str) -> Role:
        """Raises InvalidInput, NotFound, DatabaseUnavailable."""
        valid_role_name(name, field="name")
        found = await self._database.autocommit(lambda connection: roles.find(connection, name))
        if found is None:
            raise NotFound(f"name: there is no role {name!r}")
        return found

    async def page(self, *, size: int, page_token: str) -> RolePage:
        """Strongest first. Raises InvalidInput, DatabaseUnavailable."""
        most = page_size(size)
        position = self._page_tokens.read(page_token, listing="roles")
        after = int(position) if position is not None else _ABOVE_THE_STRONGEST
        found = await self._database.autocommit(lambda connection: roles.page(connection, after=after, most=most + 1))
        return RolePage(
            *self._page_tokens.cut(found, most=most, listing="roles", position=lambda last: str(last.level))
        )

    async def update(self, name: str, *, level: int | None, description: str | None, origin: Origin) -> Role:
        """None leaves what is there. Raises InvalidInput, NotFound, AlreadyExists, PermissionDenied, RoleState."""
        valid_role_name(name, field="name")
        if level is not None:
            valid_level(level)
        if description is not None:
            description = valid_remark(description, field="description", longest=LONGEST_DESCRIPTION)

        async def step(connection: Connection) -> Role:
            now = await self._database.time(connection)
            role = await self._changeable(connection, name, origin)
            changed = replace(
                role,
                level=role.level if level is None else level,
                description=role.description if description is None else description,
            )
            check_strength(await self._levels.of_actor(connection, origin), above=changed.level, what="level")
            await roles.change(connection, name, level=changed.level, description=changed.description)
            event = happened(EventType.ROLE_UPDATED, origin=origin, now=now, role=name, level=str(changed.level))
            await audit.add(connection, event)
            return changed

        return await self._database.transaction(step)

    async def delete(self, name: str, *, origin: Origin) -> None:
        """Raises InvalidInput, NotFound, PermissionDenied, RoleState while somebody has it, DatabaseUnavailable."""
        valid_role_name(name, field="name")

        async def step(connection: Connection) -> None:
            now = await self._database.time(connection)
            await self._changeable(connection, name, origin)
            if not await roles.delete(connection, name):
                raise RoleState(f"name: expected a role that nobody has; take {name!r} away first")
            await audit.add(connection, happened(EventType.ROLE_DELETED, origin=origin, now=now, role=name))

        await self._database.transaction(step)

    async def grant(self, person_id: UUID, name: str, *, origin: Origin) -> tuple[str, ...]:
        """Every role that the person has now.

        Raises InvalidInput, NotFound, PermissionDenied, RoleState, WrongAccountState, DatabaseUnavailable.
        """
        valid_role_name(name, field="role")

        async def step(connection: Connection) -> tuple[str, ...]:
            now = await self._database.time(connection)
            account = await self._levels.target(connection, origin, person_id)
            level = await self._levels.of_actor(connection, origin)
            await granting.grant(connection, person_id, name, field="role", level=level, origin=origin, now=now)
            if account.state is AccountState.DELETED:
                raise WrongAccountState("user_id: expected an account that is not deleted")
            return (await self._levels.shown_of(connection, person_id)).roles

        return await self._database.transaction(step)

    async def revoke(self, person_id: UUID, name: str, *, end_sessions: bool, origin: Origin) -> RoleRevoked:
        """Tokens name the role until they expire, unless the sessions end with it.

        Raises as `grant`, and LastAdministrator.
        """
        valid_role_name(name, field="role")

        async def step(connection: Connection) -> tuple[tuple[str, ...], tuple[Revocation, ...]]:
            now = await self._database.time(connection)
            await self._levels.target(connection, origin, person_id)
            level = await self._levels.of_actor(connection, origin)
            role = await granting.grantable(connection, name, field="role", level=level)
            if role.name == ADMIN:
                await self._levels.check_not_last(connection, person_id)
            if await people.revoke(connection, person_id, role.name):
                event = happened(EventType.ROLE_REVOKED, origin=origin, now=now, on=person_id, role=role.name)
                await audit.add(connection, event)
            ended: tuple[Revocation, ...] = ()
            if end_sessions:
                ended = await self._ending.in_step(connection, person_id, reason="asked", origin=origin, now=now)
            return (await self._levels.shown_of(connection, person_id)).roles, ended

        held, ended = await self._database.transaction(step)
        self._ending.take_effect(ended)
        return RoleRevoked(held, len(ended))

    async def check_level(self, bearer: Caller, *, level: int) -> LevelVerdict:
        """Whether the bearer of a token is of `level` or stronger now; a service never is, for it has no level.

        Raises InvalidInput, AccessTokenRefused for a person who is gone, DatabaseUnavailable.
        """
        valid_level(level)
        held = await self._database.autocommit(lambda connection: self._levels.of_caller(connection, bearer))
        return LevelVerdict(held <= level and not isinstance(bearer, ServiceCalling), bearer_level=held)

    async def _changeable(self, connection: Connection, name: str, origin: Origin) -> Role:
        """The role, locked. Raises NotFound, RoleState, PermissionDenied."""
        role = await roles.lock(connection, name)
        if role is None:
            raise NotFound(f"name: there is no role {name!r}")
        if role.built_in:
            raise RoleState(f"name: {name!r} is built in and stays as it is")
        check_strength(await self._levels.of_actor(connection, origin), above=role.level, what="name")
        return role
