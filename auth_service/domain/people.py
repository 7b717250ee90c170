"""Who people are, in our words, whatever the provider calls them."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.spelling import composed

LONGEST_USERNAME = 255
GREATEST_USER_NUMBER = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly; user numbers travel in tokens."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A provider's word for who signed in.

    `subject` names the person within the provider for ever (UOWS: the user number; local: the account's UUID).
    `provider_roles` are the role names that the provider itself told (UOWS: from `/v1/role/{N}`).
    `password_changed_at` is when the password that was shown was set; None where that is the provider's own business.
    """

    provider: str
    subject: str
    username: str
    display_name: str
    user_number: int | None
    provider_roles: frozenset[str] = frozenset()
    password_changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A person as the database knows them. `id` is the token's `sub`: stable, never reused."""

    id: UUID
    provider: str
    provider_subject: str
    username: str
    display_name: str
    user_number: int | None
    provider_roles: frozenset[str]
    provider_checked_at: datetime
    granted_roles: frozenset[str]
    is_listed_staff: bool
    disabled_at: datetime | None = None
    deleted_at: datetime | None = None

    @property
    def may_sign_in(self) -> bool:
        return self.disabled_at is None and self.deleted_at is None


class IdentityProvider(Protocol):
    """A system that can tell whether a password is a person's.

    `name` is the provider's word in settings, in `Identity.provider` and in metrics.
    """

    name: str

    async def authenticate(self, *, username: str, password: str) -> Identity:
        """The person whose password this is.

        Raises BadCredentials (the same for an unknown name and a wrong password), ProviderUnavailable, Overloaded.
        """
        ...

    async def current_roles(self, person: Person) -> frozenset[str]:
        """What the provider says of the person's roles now; `person.provider_roles` where it has no say.

        Raises ProviderUnavailable: nobody is promoted or demoted on a guess.
        """
        ...

    async def close(self) -> None: ...


class Experiments(Protocol):
    """A system that knows which experiments a person may see."""

    async def of(self, user_number: int) -> tuple[int, ...]:
        """RB numbers, ascending, each once; empty for a person without any. Raises ProviderUnavailable."""
        ...

    async def close(self) -> None: ...


def normalised_username(text: str, *, field: str = "username") -> str:
    """NFC of `text`, which is compared as typed otherwise. Raises InvalidInput."""
    return _name(text, field=field)


def valid_display_name(text: str) -> str:
    """NFC of `text`, short enough for a token. Raises InvalidInput."""
    return _name(text, field="display_name")


def _name(text: str, *, field: str) -> str:
    name = composed(text, longest=LONGEST_USERNAME)
    if not name.strip() or len(name) > LONGEST_USERNAME:
        raise InvalidInput(FieldViolation(field, f"expected 1 to {LONGEST_USERNAME} characters"))
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise InvalidInput(FieldViolation(field, "expected no control characters"))
    return name


def valid_user_number(number: int) -> int:
    """`number` itself. Raises InvalidInput."""
    if not 1 <= number <= GREATEST_USER_NUMBER:
        raise InvalidInput(FieldViolation("user_number", f"expected 1 to {GREATEST_USER_NUMBER}"))
    return number
