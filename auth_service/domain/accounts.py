"""Accounts: a person with everything that the person and administrators are shown of them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from auth_service.domain.people import Person

LOCAL = "local"
"""The provider of accounts of our own."""


class AccountState(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Account:
    """A row of `person`, and of `local_account` where there is one. `email` is as the person spells it."""

    person: Person
    email: str | None
    email_verified_at: datetime | None
    created_at: datetime
    last_login_at: datetime | None
    must_change_password: bool

    @property
    def id(self) -> UUID:
        return self.person.id

    @property
    def is_local(self) -> bool:
        return self.person.provider == LOCAL

    @property
    def state(self) -> AccountState:
        if self.person.deleted_at is not None:
            return AccountState.DELETED
        return AccountState.DISABLED if self.person.disabled_at is not None else AccountState.ACTIVE


@dataclass(frozen=True, slots=True)
class Shown:
    """An account with the roles that it has now, and how strong they make it."""

    account: Account
    roles: tuple[str, ...]
    level: int
