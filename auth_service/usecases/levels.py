"""How strong a person is now, whatever their token says."""

from collections.abc import Collection, Iterable
from uuid import UUID

from auth_service.domain.accounts import Account, Shown
from auth_service.domain.audit import Origin
from auth_service.domain.errors import (
    AccessTokenRefused,
    AlreadyExists,
    FieldViolation,
    LastAdministrator,
    NotFound,
    PermissionDenied,
)
from auth_service.domain.policy import (
    ABOVE_ALL,
    ADMIN,
    STRONGEST_LEVEL,
    WEAKEST_LEVEL,
    Caller,
    OperatorCalling,
    PersonCalling,
    RolePolicy,
    check_strength,
    level_of,
    roles_for,
)
from auth_service.storage import accounts, administrators, people, roles
from auth_service.storage.database import Connection, Database


class Levels:
    """Asks the database, so that a role taken away counts at once.

    `providers` are those that are asked for passwords: nobody else signs in.
    """

    def __init__(self, database: Database, *, policy: RolePolicy, providers: Collection[str]) -> None:
        self._database = database
        self._policy = policy
        self._providers = providers

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

    async def of_actor(self, connection: Connection, origin: Origin) -> int:
        """As `of_caller`, for whoever does what is being done."""
        assert origin.caller is not None, "the permission table lets nobody through without"
        return await self.of_caller(connection, origin.caller)

    async def target(
        self, connection: Connection, origin: Origin, person_id: UUID, *, could_be_taken: bool = False
    ) -> Account:
        """The account that somebody means to act on; nobody else changes it until the transaction ends.

        `could_be_taken` where the deed lets whoever does it sign in as the person: then their level is not enough.
        Raises NotFound, PermissionDenied for a person above the caller, AccessTokenRefused.
        """
        account = await accounts.hold(connection, person_id)
        if account is None:
            raise NotFound("user_id: there is no such account")
        level = (await self.shown(connection, account)).level
        above = level if could_be_taken else None
        check_strength(await self.of_actor(connection, origin), above_or_at=level, above=above, what="user_id")
        return account

    async def check_may_give_number(
        self, connection: Connection, origin: Origin, number: int | None, *, to: UUID | None
    ) -> None:
        """Holds that the facility's number may be that person's, or a new one's: who has it may be staff, and is let
        see what its experiments are.

        Raises PermissionDenied for a caller below the strongest level, AlreadyExists for another person's number.
        """
        if await self.of_actor(connection, origin) > STRONGEST_LEVEL:
            raise PermissionDenied(f"user_number: expected a caller of level {STRONGEST_LEVEL}")
        if number is None:
            return
        # Of two who give one number at once, the second has to find it given. The turns are those of whoever takes an
        # administrator away: both are rare.
        await administrators.take_turns(connection)
        if await accounts.bears_number(connection, number, but=to):
            raise AlreadyExists(FieldViolation("user_number", "is another person's already"))

    async def check_not_last(self, connection: Connection, person_id: UUID) -> None:
        """Holds that somebody may still administer if this person no longer does, until the end of the transaction.

        Raises LastAdministrator.
        """
        await administrators.take_turns(connection)
        person = await people.find(connection, person_id)
        if person is None or not person.may_sign_in or person.provider not in self._providers:
            return
        if ADMIN not in roles_for(person, policy=self._policy):
            return
        if not await self.has_administrator(connection, but=person_id):
            raise LastAdministrator

    async def shown(self, connection: Connection, account: Account) -> Shown:
        """`account` with its roles and level of now, within a step."""
        (shown,) = await self.all_shown(connection, [account])
        return shown

    async def shown_of(self, connection: Connection, person_id: UUID) -> Shown:
        """As `shown`, for a person whom this step has added or holds."""
        account = await accounts.find(connection, person_id)
        assert account is not None, "the step holds it"
        return await self.shown(connection, account)

    async def all_shown(self, connection: Connection, accounts: Iterable[Account]) -> tuple[Shown, ...]:
        """As `shown`, of each."""
        levels = await roles.levels(connection)
        held = ((account, roles_for(account.person, policy=self._policy)) for account in accounts)
        return tuple(Shown(account, roles=each, level=level_of(each, levels=levels)) for account, each in held)

    async def has_administrator(self, connection: Connection, *, but: UUID | None = None) -> bool:
        """Whether anybody, other than `but`, may administer and sign in."""
        mapped = [name for name, role in self._policy.mapped.items() if role == ADMIN]
        return await administrators.is_there_one(connection, but=but, mapped=mapped, providers=self._providers)
