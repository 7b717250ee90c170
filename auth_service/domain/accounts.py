"""Accounts: a person with everything that the person and administrators are shown of them, and what may be changed."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from auth_service.domain.emails import valid_email
from auth_service.domain.errors import FieldViolation, InvalidInput, WrongAccountState
from auth_service.domain.names import new_display_name, new_username
from auth_service.domain.people import Person, valid_user_number
from auth_service.domain.roles import valid_role

LOCAL = "local"
"""The provider of accounts of our own."""


class AccountState(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Account:
    """A row of `person`, and of `local_account` where there is one. `email` is as the person spells it.

    `password_changed_at` is None for whoever has no password here.
    """

    person: Person
    email: str | None
    email_verified_at: datetime | None
    created_at: datetime
    last_login_at: datetime | None
    must_change_password: bool
    password_changed_at: datetime | None = None

    @property
    def id(self) -> UUID:
        return self.person.id

    @property
    def is_local(self) -> bool:
        return self.person.provider == LOCAL

    @property
    def words(self) -> tuple[str, ...]:
        """What whoever guesses the person's password begins with."""
        return self.person.username, self.person.display_name, self.email or ""

    @property
    def state(self) -> AccountState:
        if self.person.deleted_at is not None:
            return AccountState.DELETED
        return AccountState.DISABLED if self.person.disabled_at is not None else AccountState.ACTIVE


def check_is_local(account: Account, *, field: str) -> None:
    """Raises WrongAccountState where an upstream provider keeps what `field` names."""
    if not account.is_local:
        raise WrongAccountState(
            f"{field}: expected an account of our own; this one is kept by {account.person.provider}"
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """An account with the roles that it has now, and how strong they make it."""

    account: Account
    roles: tuple[str, ...]
    level: int


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account of our own that an administrator makes. `password` is asked for once all the rest is in order.

    Instead of a password there may be its hash from elsewhere; with neither, nobody signs in until one is set.
    """

    username: str
    display_name: str = ""
    email: str = ""
    email_verified: bool = False
    user_number: int | None = None
    roles: frozenset[str] = frozenset()
    password: Callable[[], str] | None = None
    password_hash: str = field(default="", repr=False)
    must_change_password: bool = False


def valid_new_account(new: NewAccount) -> NewAccount:
    """`new` as it is kept, its display name filled in. Raises InvalidInput."""
    username = new_username(new.username)
    if new.password is not None and new.password_hash:
        raise InvalidInput(FieldViolation("password_hash", "expected a password or its hash, not both"))
    if new.must_change_password and new.password is None and not new.password_hash:
        raise InvalidInput(FieldViolation("must_change_password", "expected a password to be changed"))
    if new.email_verified and not new.email:
        raise InvalidInput(FieldViolation("email_verified", "expected an address that is verified"))
    return replace(
        new,
        username=username,
        display_name=new_display_name(new.display_name) if new.display_name else username,
        email=valid_email(new.email) if new.email else "",
        user_number=valid_user_number(new.user_number) if new.user_number is not None else None,
        roles=frozenset(valid_role(role, field="roles") for role in new.roles),
    )


@dataclass(frozen=True, slots=True)
class AccountChanges:
    """What an administrator changes: the new values of `fields`; the others count for nothing."""

    fields: frozenset[str]
    username: str = ""
    display_name: str = ""
    email: str = ""
    email_verified: bool = False
    user_number: int | None = None
    must_change_password: bool = False


CHANGEABLE = frozenset(AccountChanges.__dataclass_fields__) - {"fields"}
"""The fields that an administrator may change."""
KEPT_BY_PROVIDERS = frozenset({"username", "display_name", "user_number"})
"""What each sign-in of a provider's person brings up to date."""


def valid_changes(changes: AccountChanges) -> AccountChanges:
    """`changes` as they are kept. Raises InvalidInput."""
    made = changes
    if "username" in changes.fields:
        made = replace(made, username=new_username(changes.username))
    if "display_name" in changes.fields:
        made = replace(made, display_name=new_display_name(changes.display_name))
    if "email" in changes.fields and changes.email:
        made = replace(made, email=valid_email(changes.email))
    if "user_number" in changes.fields and changes.user_number is not None:
        valid_user_number(changes.user_number)
    return made


def changed(account: Account, changes: AccountChanges, *, now: datetime) -> Account:
    """`account` after `changes`. An address that is another one is not verified, unless the change says so.

    Raises WrongAccountState for what an upstream provider keeps, InvalidInput for a verified address that is not there.
    """
    kept = changes.fields & KEPT_BY_PROVIDERS
    if kept:
        check_is_local(account, field=", ".join(sorted(kept)))
    person = replace(account.person, **{name: getattr(changes, name) for name in kept})
    email, verified_at = account.email, account.email_verified_at
    if "email" in changes.fields and (changes.email or None) != email:
        email, verified_at = changes.email or None, None
    if "email_verified" in changes.fields:
        if changes.email_verified and email is None:
            raise InvalidInput(FieldViolation("email_verified", "expected an address that is verified"))
        verified_at = (verified_at or now) if changes.email_verified else None
    return replace(account, person=person, email=email, email_verified_at=verified_at)


@dataclass(frozen=True, slots=True)
class AccountFilter:
    """Which accounts are listed: all conditions that are set must hold. Without a state, those that are not deleted.

    The prefixes are of the keys of names and addresses.
    """

    username_prefix: str = ""
    email_prefix: str = ""
    role: str = ""
    state: AccountState | None = None


@dataclass(frozen=True, slots=True)
class ListedAccount:
    """`position` is what the listing is ordered by; `granted_at` is of the role that it is a listing of."""

    account: Account
    position: str | datetime
    granted_at: datetime | None
