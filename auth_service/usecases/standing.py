"""Whether a person may sign in: administrators set passwords, end sessions, disable, enable, delete and purge."""

from uuid import UUID

from auth_service.domain.accounts import Account, AccountState, Shown, check_is_local
from auth_service.domain.attempts import Tallies, account_key
from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.errors import WrongAccountState
from auth_service.domain.policy import check_not_self
from auth_service.domain.roles import valid_remark
from auth_service.providers.password_hashing import PasswordHashing
from auth_service.providers.password_strength import PasswordRules
from auth_service.storage import accounts, attempts, audit, local_accounts, staff
from auth_service.storage.database import Connection, Database
from auth_service.storage.revocations import Revocation
from auth_service.usecases.ending import Ending
from auth_service.usecases.levels import Levels

LONGEST_REASON = 255


class Standing:
    """Nobody acts on a person above them. Every change ends what it has to end: sessions, and their access tokens."""

    def __init__(
        self,
        database: Database,
        *,
        levels: Levels,
        ending: Ending,
        hashing: PasswordHashing,
        password_rules: PasswordRules,
        tallies: Tallies,
    ) -> None:
        self._database = database
        self._levels = levels
        self._ending = ending
        self._hashing = hashing
        self._password_rules = password_rules
        self._tallies = tallies

    async def set_password(self, person_id: UUID, new_password: str, *, must_change: bool, origin: Origin) -> int:
        """How many sessions ended. Raises InvalidInput, NotFound, PermissionDenied, WrongAccountState, Overloaded."""
        check_not_self(origin.caller, person_id, instead="ChangePassword")
        # Who may not do it learns nothing about passwords, and costs no hash.
        account = await self._database.transaction(lambda connection: self._of_ours(connection, origin, person_id))
        password = await self._password_rules.check(new_password, field="new_password", words=account.words)
        password_hash = await self._hashing.hash(password)

        async def step(connection: Connection) -> tuple[Revocation, ...]:
            now = await self._database.time(connection)
            await self._of_ours(connection, origin, person_id)
            await local_accounts.set_password(connection, person_id, password_hash, now=now, must_change=must_change)
            await attempts.forget(connection, account.person.username)
            await audit.add(connection, happened(EventType.PASSWORD_SET, origin=origin, now=now, on=person_id))
            return await self._ending.in_step(connection, person_id, reason="password", origin=origin, now=now)

        ended = await self._database.transaction(step)
        self._ending.take_effect(ended)
        await self._tallies.forget(account_key(account.person.username))
        return len(ended)

    async def end_sessions(self, person_id: UUID, *, only: UUID | None, origin: Origin) -> int:
        """How many ended: all of them, or `only` that one. Raises NotFound, PermissionDenied, DatabaseUnavailable."""

        async def step(connection: Connection) -> tuple[Revocation, ...]:
            now = await self._database.time(connection)
            await self._levels.target(connection, origin, person_id)
            return await self._ending.in_step(connection, person_id, reason="asked", origin=origin, now=now, only=only)

        ended = await self._database.transaction(step)
        self._ending.take_effect(ended)
        return len(ended)

    async def disable(self, person_id: UUID, *, reason: str, origin: Origin) -> Shown:
        """Ends every session.

        Raises InvalidInput, NotFound, PermissionDenied, WrongAccountState, LastAdministrator, DatabaseUnavailable.
        """
        why = valid_remark(reason, field="reason", longest=LONGEST_REASON)

        async def step(connection: Connection) -> tuple[Shown, tuple[Revocation, ...]]:
            now = await self._database.time(connection)
            account = await self._present(connection, origin, person_id)
            if account.state is AccountState.DISABLED:
                return await self._levels.shown_of(connection, person_id), ()
            await self._levels.check_not_last(connection, person_id)
            await accounts.set_disabled(connection, person_id, now)
            event = happened(EventType.PERSON_DISABLED, origin=origin, now=now, on=person_id, reason=why)
            await audit.add(connection, event)
            ended = await self._ending.in_step(connection, person_id, reason="disabled", origin=origin, now=now)
            return await self._levels.shown_of(connection, person_id), ended

        shown, ended = await self._database.transaction(step)
        self._ending.take_effect(ended)
        return shown

    async def enable(self, person_id: UUID, *, origin: Origin) -> Shown:
        """Forgets failed attempts too. Raises NotFound, PermissionDenied, WrongAccountState, DatabaseUnavailable."""

        async def step(connection: Connection) -> Shown:
            now = await self._database.time(connection)
            account = await self._present(connection, origin, person_id)
            if account.state is AccountState.DISABLED:
                await accounts.set_disabled(connection, person_id, None)
            await attempts.forget(connection, account.person.username)
            await audit.add(connection, happened(EventType.PERSON_ENABLED, origin=origin, now=now, on=person_id))
            return await self._levels.shown_of(connection, person_id)

        shown = await self._database.transaction(step)
        await self._tallies.forget(account_key(shown.account.person.username))
        return shown

    async def delete(self, person_id: UUID, *, origin: Origin) -> Shown:
        """Ends every session.

        Raises NotFound, PermissionDenied, WrongAccountState if it is deleted, LastAdministrator, DatabaseUnavailable.
        """

        async def step(connection: Connection) -> tuple[Shown, tuple[Revocation, ...]]:
            now = await self._database.time(connection)
            await self._present(connection, origin, person_id)
            await self._levels.check_not_last(connection, person_id)
            await accounts.delete(connection, person_id, now=now)
            await audit.add(connection, happened(EventType.PERSON_DELETED, origin=origin, now=now, on=person_id))
            ended = await self._ending.in_step(connection, person_id, reason="deleted", origin=origin, now=now)
            return await self._levels.shown_of(connection, person_id), ended

        shown, ended = await self._database.transaction(step)
        self._ending.take_effect(ended)
        return shown

    async def purge(self, person_id: UUID, *, origin: Origin) -> None:
        """Erase a deleted account. Raises NotFound, PermissionDenied, WrongAccountState unless it is deleted."""

        async def step(connection: Connection) -> Account:
            now = await self._database.time(connection)
            account = await self._levels.target(connection, origin, person_id)
            if not await accounts.purge(connection, person_id):
                raise WrongAccountState("user_id: expected an account that is deleted: delete it first")
            if account.person.user_number is not None:
                await staff.remove_of_nobody(connection, account.person.user_number)
            await attempts.forget(connection, account.person.username)
            await audit.add(connection, happened(EventType.PERSON_PURGED, origin=origin, now=now, on=person_id))
            return account

        purged = await self._database.transaction(step)
        await self._tallies.forget(account_key(purged.person.username))

    async def _present(
        self, connection: Connection, origin: Origin, person_id: UUID, *, could_be_taken: bool = False
    ) -> Account:
        account = await self._levels.target(connection, origin, person_id, could_be_taken=could_be_taken)
        if account.state is AccountState.DELETED:
            raise WrongAccountState("user_id: expected an account that is not deleted")
        return account

    async def _of_ours(self, connection: Connection, origin: Origin, person_id: UUID) -> Account:
        account = await self._present(connection, origin, person_id, could_be_taken=True)
        check_is_local(account, field="user_id")
        return account
