"""Accounts, as administrators make, find and change them."""

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from auth_service.domain.accounts import (
    Account,
    AccountChanges,
    AccountFilter,
    AccountState,
    ListedAccount,
    NewAccount,
    Shown,
    changed,
    valid_changes,
    valid_new_account,
)
from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.emails import email_key
from auth_service.domain.errors import FieldViolation, InvalidInput, NotFound, WrongAccountState
from auth_service.domain.identifiers import uuid_or_none
from auth_service.domain.imported_hashes import valid_imported_hash
from auth_service.domain.names import check_not_reserved, name_key
from auth_service.domain.pages import PageTokens, page_size
from auth_service.domain.people import LONGEST_USERNAME
from auth_service.domain.policy import OperatorCalling, check_not_self
from auth_service.domain.roles import valid_remark, valid_role
from auth_service.providers.password_hashing import PasswordHashing
from auth_service.providers.password_strength import PasswordRules
from auth_service.storage import account_pages, accounts, audit, local_accounts
from auth_service.storage.database import Connection, Database
from auth_service.storage.revocations import Revocation
from auth_service.usecases import granting
from auth_service.usecases.ending import Ending
from auth_service.usecases.levels import Levels

LEADING_TO_PASSWORDS = frozenset({"email", "email_verified"})
"""Who sets the address has a new password mailed to it: only a stronger person does."""
NOT_OF_ONESELF = LEADING_TO_PASSWORDS | {"user_number", "must_change_password"}
"""What nobody sets of their own account by the right of an administrator, which a stolen token has too."""


@dataclass(frozen=True, slots=True)
class AccountPage:
    accounts: tuple[Shown, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class RoleHolder:
    account: Account
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class HolderPage:
    holders: tuple[RoleHolder, ...]
    next_page_token: str


class Accounts:
    """Nobody acts on a person above them, and nobody grants a role at or above their own level."""

    def __init__(
        self,
        database: Database,
        *,
        levels: Levels,
        ending: Ending,
        hashing: PasswordHashing,
        password_rules: PasswordRules,
        page_tokens: PageTokens,
    ) -> None:
        self._database = database
        self._levels = levels
        self._ending = ending
        self._hashing = hashing
        self._password_rules = password_rules
        self._page_tokens = page_tokens

    async def create(self, new: NewAccount, *, origin: Origin) -> Shown:
        """Raises InvalidInput, AlreadyExists, NotFound for a role, PermissionDenied, Unavailable, Overloaded.

        And WrongAccountState for more roles than a token has room for.
        """
        new = valid_new_account(new)
        _check_may_be_named(new.username, origin)
        password_hash = await self._hash_of(new)

        async def step(connection: Connection) -> Shown:
            now = await self._database.time(connection)
            if new.user_number is not None:
                await self._levels.check_may_give_number(connection, origin, new.user_number, to=None)
            person_id = await local_accounts.add(
                connection,
                username=new.username,
                display_name=new.display_name,
                password_hash=password_hash,
                now=now,
                email=new.email or None,
                email_verified_at=now if new.email_verified else None,
                user_number=new.user_number,
                must_change_password=new.must_change_password,
            )
            await audit.add(connection, happened(EventType.PERSON_CREATED, origin=origin, now=now, on=person_id))
            level = await self._levels.of_actor(connection, origin)
            for role in sorted(new.roles):
                await granting.grant(connection, person_id, role, field="roles", level=level, origin=origin, now=now)
            return await self._shown(connection, person_id)

        return await self._database.transaction(step)

    async def get(self, person_id: UUID) -> Shown:
        """Deleted accounts too. Raises NotFound, DatabaseUnavailable."""
        return await self._database.autocommit(lambda connection: self._shown(connection, person_id))

    async def look_up(self, *, person_id: UUID | None = None, username: str = "") -> Account:
        """The account with this id or this name, unless it is deleted.

        Raises NotFound, InvalidInput, and WrongAccountState for a name that several people bear.
        """
        found = await self._sought(person_id, username, field="username")
        if found is None or found.state is AccountState.DELETED:
            raise NotFound(f"{'username' if person_id is None else 'user_id'}: there is no such account")
        return found

    async def addressed(self, who: str) -> Account:
        """The account that an operator means by its id or its name, deleted ones too. Raises as `look_up`."""
        found = await self._sought(uuid_or_none(who), who, field="user")
        if found is None:
            raise NotFound(f"user: there is no account {who!r}")
        return found

    async def page(self, filters: AccountFilter, *, size: int, page_token: str) -> AccountPage:
        """In the order in which they were made; those that a prefix or a role selects, by name, address or grant.

        Raises InvalidInput, DatabaseUnavailable.
        """
        filters = _by_keys(filters)

        async def step(connection: Connection) -> tuple[tuple[Shown, ...], str]:
            found, next_page_token = await self._found(connection, filters, size, page_token)
            return await self._levels.all_shown(connection, [each.account for each in found]), next_page_token

        return AccountPage(*await self._database.autocommit(step))

    async def holders(self, role: str, *, size: int, page_token: str) -> HolderPage:
        """Those who were granted `role`, whoever was first comes first. Raises InvalidInput, NotFound."""
        filters = AccountFilter(role=valid_role(role, field="name"))

        async def step(connection: Connection) -> tuple[tuple[ListedAccount, ...], str]:
            await granting.existing(connection, role, field="name")
            return await self._found(connection, filters, size, page_token)

        found, next_page_token = await self._database.autocommit(step)
        holders = tuple(RoleHolder(each.account, each.granted_at) for each in found if each.granted_at is not None)
        return HolderPage(holders, next_page_token)

    async def update(self, person_id: UUID, changes: AccountChanges, *, origin: Origin) -> Shown:
        """A password that has to be changed ends the sessions that it began.

        Raises InvalidInput, NotFound, AlreadyExists, PermissionDenied, WrongAccountState, DatabaseUnavailable.
        """
        changes = valid_changes(changes)
        if "username" in changes.fields:
            _check_may_be_named(changes.username, origin)
        if changes.fields & NOT_OF_ONESELF:
            check_not_self(origin.caller, person_id, instead="UpdateMe and ChangePassword")
        could_be_taken = bool(changes.fields & LEADING_TO_PASSWORDS)

        async def step(connection: Connection) -> tuple[Shown, tuple[Revocation, ...]]:
            now = await self._database.time(connection)
            account = await self._levels.target(connection, origin, person_id, could_be_taken=could_be_taken)
            if account.state is AccountState.DELETED:
                raise WrongAccountState("user_id: expected an account that is not deleted")
            if "user_number" in changes.fields:
                await self._levels.check_may_give_number(connection, origin, changes.user_number, to=person_id)
            await accounts.change(connection, changed(account, changes, now=now))
            if "must_change_password" in changes.fields:
                await _set_must_change(connection, person_id, must_change=changes.must_change_password)
            fields = ",".join(sorted(changes.fields))
            event = happened(EventType.PERSON_UPDATED, origin=origin, now=now, on=person_id, fields=fields)
            await audit.add(connection, event)
            ended: tuple[Revocation, ...] = ()
            if changes.must_change_password and "must_change_password" in changes.fields:
                ended = await self._ending.in_step(connection, person_id, reason="password", origin=origin, now=now)
            return await self._shown(connection, person_id), ended

        shown, ended = await self._database.transaction(step)
        self._ending.take_effect(ended)
        return shown

    async def _sought(self, person_id: UUID | None, username: str, *, field: str) -> Account | None:
        """By id if there is one, else by name. Raises InvalidInput, and WrongAccountState for a name of several."""
        if person_id is not None:
            return await self._database.autocommit(lambda connection: accounts.find(connection, person_id))
        _check_beginning(username, field=field)
        found = await self._database.autocommit(lambda connection: accounts.bearers(connection, username))
        if len(found) > 1:
            ids = ", ".join(f"{each.id} ({each.person.provider})" for each in found)
            raise WrongAccountState(f"{field}: several people bear this name; expected the id of one: {ids}")
        return found[0] if found else None

    async def _hash_of(self, new: NewAccount) -> str | None:
        if new.password_hash:
            return valid_imported_hash(new.password_hash)
        if new.password is None:
            return None
        words = (new.username, new.display_name, new.email)
        password = await self._password_rules.check(new.password(), field="password", words=words)
        return await self._hashing.hash(password)

    async def _shown(self, connection: Connection, person_id: UUID) -> Shown:
        account = await accounts.find(connection, person_id)
        if account is None:
            raise NotFound("user_id: there is no such account")
        return await self._levels.shown(connection, account)

    async def _found(
        self, connection: Connection, filters: AccountFilter, size: int, page_token: str
    ) -> tuple[tuple[ListedAccount, ...], str]:
        """A page of accounts, and the token of the next one."""
        most = page_size(size)
        listing = _listing(filters)
        position = self._page_tokens.read(page_token, listing=listing)
        after = _read(position, filters) if position is not None else None
        found = await account_pages.page(connection, filters, after=after, most=most + 1)
        return self._page_tokens.cut(found, most=most, listing=listing, position=_written)


async def _set_must_change(connection: Connection, person_id: UUID, *, must_change: bool) -> None:
    if not await local_accounts.set_must_change(connection, person_id, must_change=must_change) and must_change:
        raise WrongAccountState("must_change_password: expected an account of our own that has a password")


def _check_may_be_named(username: str, origin: Origin) -> None:
    """Reserved names are an operator's to give. Raises InvalidInput."""
    if not isinstance(origin.caller, OperatorCalling):
        check_not_reserved(username)


def _by_keys(filters: AccountFilter) -> AccountFilter:
    """`filters` with keys for what was typed. Raises InvalidInput."""
    return AccountFilter(
        username_prefix=name_key(_check_beginning(filters.username_prefix, field="username_prefix")),
        email_prefix=email_key(_check_beginning(filters.email_prefix, field="email_prefix")),
        role=valid_role(filters.role) if filters.role else "",
        state=filters.state,
    )


def _check_beginning(text: str, *, field: str) -> str:
    if "\n" in text:
        raise InvalidInput(FieldViolation(field, "expected no control characters"))
    return valid_remark(text, field=field, longest=LONGEST_USERNAME)


def _listing(filters: AccountFilter) -> str:
    state = filters.state.value if filters.state is not None else ""
    return json.dumps(["accounts", filters.username_prefix, filters.email_prefix, filters.role, state])


def _written(last: ListedAccount) -> str:
    position = last.position.isoformat() if isinstance(last.position, datetime) else last.position
    return f"{last.account.id} {position}"


def _read(position: str, filters: AccountFilter) -> account_pages.Position:
    person_id, value = position.split(" ", 1)
    is_key = account_pages.order_of(filters) in ("username", "email")
    return value if is_key else datetime.fromisoformat(value), UUID(person_id)
