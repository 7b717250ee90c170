"""People about themselves: what they see, change and end of their own account."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from auth_service.domain.accounts import Account, AccountChanges, Shown, changed, check_is_local, valid_changes
from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.errors import (
    AccessTokenRefused,
    BadCredentials,
    FieldViolation,
    InvalidInput,
    NotFound,
)
from auth_service.domain.people import Identity
from auth_service.domain.policy import PersonCalling
from auth_service.storage import accounts, audit
from auth_service.storage.database import Connection, Database, DatabaseClock
from auth_service.storage.revocations import Revocation
from auth_service.usecases.ending import Ending
from auth_service.usecases.levels import Levels
from auth_service.usecases.mailed_tokens import MailedTokens
from auth_service.usecases.password_again import PasswordAgain
from auth_service.usecases.password_change import PasswordChange

CHANGEABLE = frozenset({"display_name", "email"})
"""What people change of their own account: nothing that makes them stronger."""


class OwnAccount:
    """`origin` says who calls. What takes an account away, or leads to its password, asks for the password again.

    Every method raises AccessTokenRefused for somebody who may no longer sign in, and DatabaseUnavailable.
    """

    def __init__(
        self,
        database: Database,
        *,
        levels: Levels,
        ending: Ending,
        password_again: PasswordAgain,
        password_change: PasswordChange,
        mailed_tokens: MailedTokens,
        clock: DatabaseClock,
        requires_email: bool,
    ) -> None:
        self._database = database
        self._levels = levels
        self._ending = ending
        self._password_again = password_again
        self._password_change = password_change
        self._mailed_tokens = mailed_tokens
        self._clock = clock
        self._requires_email = requires_email

    async def read(self, *, origin: Origin) -> Shown:
        async def step(connection: Connection) -> Shown:
            account = _present(await accounts.find(connection, caller_of(origin).person_id))
            return await self._levels.shown(connection, account)

        return await self._database.autocommit(step)

    async def update(self, changes: AccountChanges, *, current_password: str, origin: Origin) -> Shown:
        """Raises InvalidInput, AlreadyExists, BadCredentials, TooManyAttempts, WrongAccountState, Overloaded."""
        changes = valid_changes(changes)
        account = await self._account(origin)
        check_is_local(account, field=", ".join(sorted(changes.fields)))
        identity = None
        if "email" in changes.fields:
            if not changes.email and self._requires_email:
                raise InvalidInput(FieldViolation("email", "expected a mail address: sign-in needs one here"))
            identity = await self._password_again.shown(
                account, current_password, field="current_password", wanted=EventType.PERSON_UPDATED, origin=origin
            )
        now = self._clock.now()

        async def step(connection: Connection) -> Shown:
            held = await self._held(connection, origin, identity)
            await accounts.change(connection, changed(held, changes, now=now))
            fields = ",".join(sorted(changes.fields))
            event = happened(EventType.PERSON_UPDATED, origin=origin, now=now, on=held.id, fields=fields)
            await audit.add(connection, event)
            account = _present(await accounts.find(connection, held.id))
            if account.email != held.email:
                await self._mailed_tokens.queue_verification(connection, account, origin=origin, now=now)
            return await self._levels.shown(connection, account)

        return await self._database.transaction(step)

    async def change_password(self, *, current_password: str, new_password: str, origin: Origin) -> int:
        """How many other sessions ended.

        Raises InvalidInput, BadCredentials, TooManyAttempts, WrongAccountState, Overloaded.
        """
        account = await self._account(origin)
        check_is_local(account, field="new_password")
        identity = await self._password_again.shown(
            account, current_password, field="current_password", wanted=EventType.PASSWORD_CHANGED, origin=origin
        )
        password_hash = await self._password_change.hashed(account, present=current_password, new=new_password)
        this_session = UUID(caller_of(origin).session_id)
        now = self._clock.now()

        async def step(connection: Connection) -> tuple[Revocation, ...]:
            held = await self._held(connection, origin, identity)
            return await self._password_change.in_step(
                connection, held.id, password_hash, keep=this_session, origin=origin, now=now
            )

        return await self._ended(step)

    async def delete(self, *, password: str, origin: Origin) -> None:
        """The row stays, and with it the name, and the address if it was verified.

        Raises InvalidInput, BadCredentials, TooManyAttempts, LastAdministrator, ProviderUnavailable, Overloaded.
        """
        account = await self._account(origin)
        identity = await self._password_again.shown(
            account, password, field="password", wanted=EventType.PERSON_DELETED, origin=origin
        )
        now = self._clock.now()

        async def step(connection: Connection) -> tuple[Revocation, ...]:
            held = await self._held(connection, origin, identity)
            await self._levels.check_not_last(connection, held.id)
            await accounts.delete(connection, held.id, now=now)
            await audit.add(connection, happened(EventType.PERSON_DELETED, origin=origin, now=now, on=held.id))
            return await self._ending.in_step(connection, held.id, reason="deleted", origin=origin, now=now)

        await self._ended(step)

    async def end_session(self, session_id: UUID, *, origin: Origin) -> None:
        """Raises NotFound for one that is over or not the caller's."""
        if not await self._end(origin, only=session_id):
            raise NotFound("session_id: there is no such session of yours")

    async def end_other_sessions(self, *, origin: Origin) -> int:
        """How many ended."""
        return await self._end(origin, keep=UUID(caller_of(origin).session_id))

    async def _end(self, origin: Origin, *, only: UUID | None = None, keep: UUID | None = None) -> int:
        now = self._clock.now()
        person_id = caller_of(origin).person_id

        async def step(connection: Connection) -> tuple[Revocation, ...]:
            return await self._ending.in_step(
                connection, person_id, reason="asked", origin=origin, now=now, only=only, keep=keep
            )

        return await self._ended(step)

    async def _ended(self, step: Callable[[Connection], Awaitable[tuple[Revocation, ...]]]) -> int:
        ended = await self._database.transaction(step)
        self._ending.take_effect(ended)
        return len(ended)

    async def _account(self, origin: Origin) -> Account:
        person_id = caller_of(origin).person_id
        return _present(await self._database.autocommit(lambda connection: accounts.find(connection, person_id)))

    async def _held(self, connection: Connection, origin: Origin, identity: Identity | None) -> Account:
        """The account, which nobody else changes until the transaction ends, with the password that was shown."""
        account = _present(await accounts.hold(connection, caller_of(origin).person_id))
        if identity is not None and account.is_local and account.password_changed_at != identity.password_changed_at:
            raise BadCredentials(account.id)
        return account


def caller_of(origin: Origin) -> PersonCalling:
    """The person, where the permission table lets nobody else through."""
    assert isinstance(origin.caller, PersonCalling), "see the permission table"
    return origin.caller


def _present(account: Account | None) -> Account:
    if account is None or not account.person.may_sign_in:
        raise AccessTokenRefused(reason="TOKEN_REVOKED", detail="person")
    return account
