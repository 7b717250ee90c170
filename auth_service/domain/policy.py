"""Who has which role, how strong it makes them, and who may do what."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from auth_service.domain.errors import PermissionDenied
from auth_service.domain.people import Person

STAFF = "staff"
USER = "user"
ADMIN = "admin"

STRONGEST_LEVEL = 0
WEAKEST_LEVEL = 1000
ABOVE_ALL = -1
"""The level of an operator: whoever holds the database needs nobody's leave."""


@dataclass(frozen=True, slots=True)
class PersonCalling:
    """A caller with an access token. `roles` are those of the token; what counts for a level is asked anew."""

    person_id: UUID
    session_id: str
    user_number: int | None
    roles: frozenset[str]


@dataclass(frozen=True, slots=True)
class ServiceCalling:
    """A caller with an API key, or a token made from one. `account_id` is None for a key that is in settings only."""

    name: str
    scopes: frozenset[str]
    account_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class OperatorCalling:
    """Whoever uses the command line, and so holds the database and the key-encryption keys."""


Caller = PersonCalling | ServiceCalling | OperatorCalling


@dataclass(frozen=True, slots=True)
class RolePolicy:
    """How a provider's words become roles of ours.

    `staff_role_names` are the provider's roles that make a person staff; `mapped` are roles of ours by the provider's
    role that brings them.
    """

    staff_role_names: frozenset[str]
    mapped: Mapping[str, str] = field(default_factory=dict)


def roles_for(person: Person, *, policy: RolePolicy) -> tuple[str, ...]:
    """The roles that go into a token: exactly one of `staff` and `user` first, then granted and mapped ones, in order.

    Staff are those whom the `staff` table lists, or to whom the provider gives one of `policy.staff_role_names`.
    """
    is_staff = person.is_listed_staff or bool(person.provider_roles & policy.staff_role_names)
    first = STAFF if is_staff else USER
    mapped = {policy.mapped[role] for role in person.provider_roles & policy.mapped.keys()}
    return (first, *sorted((person.granted_roles | mapped) - {STAFF, USER}))


def level_of(roles: Iterable[str], *, levels: Mapping[str, int]) -> int:
    """The level of the strongest of `roles`; a role that is not in `levels` gives none."""
    return min((levels.get(role, WEAKEST_LEVEL) for role in roles), default=WEAKEST_LEVEL)


@dataclass(frozen=True, slots=True)
class Right:
    """Who may call a method: whoever any of these lets in. See `permission.proto`."""

    is_public: bool = False
    is_for_signed_in: bool = False
    self_field: str = ""
    roles: frozenset[str] = frozenset()
    level: int | None = None
    scope: str = ""

    def admits(self, caller: Caller, *, named: object = None) -> bool:
        """Whether `caller` may, whatever their level. `named` is what the request holds in `self_field`."""
        match caller:
            case OperatorCalling():
                return True
            case ServiceCalling(scopes=scopes):
                return self.is_public or (self.scope in scopes)
            case PersonCalling(roles=roles):
                return (
                    self.is_public
                    or self.is_for_signed_in
                    or bool(self.roles & roles)
                    or (bool(self.self_field) and _is_self(caller, named))
                )

    @property
    def expectation(self) -> str:
        """Who may, in words, for whoever may not."""
        who = [
            *(["a person who is signed in"] if self.is_for_signed_in else []),
            *([f"the person whom {self.self_field} names"] if self.self_field else []),
            *(f"a person with the role `{role}`" for role in sorted(self.roles)),
            *([f"a person with a role of level {self.level} or stronger"] if self.level is not None else []),
            *([f"a service whose key has the scope `{self.scope}`"] if self.scope else []),
        ]
        return f"expected {' or '.join(who) or 'nobody'}"


def check_strength(actor_level: int, *, above_or_at: int | None = None, above: int | None = None, what: str) -> None:
    """Holds that the actor's level is stronger than `above`, and not weaker than `above_or_at`.

    `what` says in the refusal what is too strong for the actor. Raises PermissionDenied.
    """
    if above is not None and actor_level >= above:
        raise PermissionDenied(f"{what}: expected one below your own level, {actor_level}")
    if above_or_at is not None and actor_level > above_or_at:
        raise PermissionDenied(f"{what}: expected one not above your own level, {actor_level}")


def check_not_self(caller: Caller | None, person_id: UUID, *, instead: str) -> None:
    """Holds that an administrator does not do it to themselves, without their password. Raises PermissionDenied."""
    if isinstance(caller, PersonCalling) and caller.person_id == person_id:
        raise PermissionDenied(f"user_id: expected another person's; for your own account there is {instead}")


def _is_self(caller: PersonCalling, named: object) -> bool:
    match named:
        case int():
            return named == caller.user_number
        case str():
            return named == str(caller.person_id)
    return False
