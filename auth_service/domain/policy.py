"""Who has which role, and who may do what."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from auth_service.domain.errors import PermissionDenied
from auth_service.domain.people import Person

STAFF = "staff"
USER = "user"
ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class PersonCalling:
    """A caller with an access token."""

    person_id: UUID
    session_id: str
    user_number: int | None
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class ServiceCalling:
    """A caller with a service API key; `name` is the key's, for the log."""

    name: str


Caller = PersonCalling | ServiceCalling


def roles_for(person: Person, *, staff_role_names: frozenset[str]) -> tuple[str, ...]:
    """The roles that go into a token: exactly one of `staff` and `user` first, then what was granted, in order.

    Staff are those whom the `staff` table lists, or to whom the provider gives one of `staff_role_names`.
    """
    is_staff = person.is_listed_staff or bool(person.provider_roles & staff_role_names)
    first = STAFF if is_staff else USER
    return (first, *sorted(person.granted_roles - {STAFF, USER}))


def check_may_list_experiments(caller: Caller, *, user_number: int) -> None:
    """Services, staff, and the person themselves. Raises PermissionDenied."""
    match caller:
        case ServiceCalling():
            return
        case PersonCalling() if STAFF in caller.roles or caller.user_number == user_number:
            return
    raise PermissionDenied(
        "user_number: expected your own; only staff and services may list another person's experiments"
    )


Right = Literal["public", "caller", "admin"]
"""What a method asks of who calls it. `caller`: any known caller, the use case decides the rest."""


def check_right(right: Right, caller: Caller | None) -> None:
    """Raises PermissionDenied. A method that is not public is never reached without a caller."""
    match right:
        case "public":
            return
        case "caller" if caller is not None:
            return
        case "admin" if isinstance(caller, PersonCalling) and ADMIN in caller.roles:
            return
    raise PermissionDenied(f"expected a person with the role `{ADMIN}`")
