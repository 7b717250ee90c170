"""Who has which role, and who may do what."""

from dataclasses import replace
from uuid import UUID

import pytest

from auth_service.domain import policy
from auth_service.domain.errors import PermissionDenied
from auth_service.domain.people import Person
from auth_service.domain.policy import (
    ABOVE_ALL,
    Caller,
    OperatorCalling,
    PersonCalling,
    Right,
    RolePolicy,
    ServiceCalling,
)
from tests.domain.test_tokens import ADA

SCIENTISTS = frozenset({"ISIS Instrument Scientist"})
SERVICE = ServiceCalling("fia-api", frozenset({"experiments:read"}))


def person(*roles: str, number: int | None = 17) -> PersonCalling:
    return PersonCalling(UUID(int=1), session_id="s", user_number=number, roles=frozenset(roles))


@pytest.mark.parametrize(
    ("who", "roles"),
    [
        (ADA, ("user",)),
        (replace(ADA, is_listed_staff=True), ("staff",)),
        (replace(ADA, provider_roles=SCIENTISTS | {"other"}), ("staff",)),
        (replace(ADA, provider_roles=frozenset({"isis instrument scientist"})), ("user",)),
        (replace(ADA, granted_roles=frozenset({"operator", "admin"})), ("user", "admin", "operator")),
        (replace(ADA, granted_roles=frozenset({"staff", "user"})), ("user",)),
        (replace(ADA, granted_roles=frozenset({"user"}), is_listed_staff=True), ("staff",)),
    ],
)
def test_everybody_is_staff_or_user_first_and_then_what_was_granted(who: Person, roles: tuple[str, ...]) -> None:
    assert policy.roles_for(who, policy=RolePolicy(SCIENTISTS)) == roles


def test_without_names_for_staff_no_provider_makes_anybody_staff() -> None:
    assert policy.roles_for(replace(ADA, provider_roles=SCIENTISTS), policy=RolePolicy(frozenset())) == ("user",)


def test_a_providers_role_brings_the_role_that_it_is_mapped_to() -> None:
    mapping = RolePolicy(frozenset(), {"Beamline Scientist": "beamline"})
    scientist = replace(ADA, provider_roles=frozenset({"Beamline Scientist", "unknown"}))

    assert policy.roles_for(scientist, policy=mapping) == ("user", "beamline")


@pytest.mark.parametrize(
    ("roles", "level"), [((), 1000), (("user",), 1000), (("user", "admin"), 0), (("staff", "unheard-of"), 500)]
)
def test_a_person_is_as_strong_as_their_strongest_role(roles: tuple[str, ...], level: int) -> None:
    assert policy.level_of(roles, levels={"admin": 0, "staff": 500, "user": 1000}) == level


EXPERIMENTS = Right(self_field="user_number", roles=frozenset({"staff"}), scope="experiments:read")


@pytest.mark.parametrize(
    ("right", "caller", "is_let"),
    [
        (Right(is_public=True), person("user"), True),
        (Right(is_for_signed_in=True), person("user"), True),
        (Right(is_for_signed_in=True), SERVICE, False),
        (EXPERIMENTS, SERVICE, True),
        (EXPERIMENTS, replace(SERVICE, scopes=frozenset({"users:read"})), False),
        (EXPERIMENTS, person("staff", number=None), True),
        (EXPERIMENTS, person("user"), True),
        (EXPERIMENTS, person("user", number=18), False),
        (EXPERIMENTS, person("user", number=None), False),
        (EXPERIMENTS, person("admin", number=18), False),
        (Right(level=0), person("admin"), False),
        (Right(level=0), SERVICE, False),
        (Right(level=0), OperatorCalling(), True),
        (Right(), person("admin"), False),
        (Right(), SERVICE, False),
    ],
)
def test_a_right_admits_those_whom_it_names(right: Right, caller: Caller, is_let: bool) -> None:
    assert right.admits(caller, named=17) is is_let


def test_oneself_is_named_by_ones_id() -> None:
    right = Right(self_field="user_id")

    assert right.admits(person("user"), named=str(UUID(int=1)))
    assert not right.admits(person("user"), named=str(UUID(int=2)))
    assert not right.admits(person("user"), named="")
    assert not right.admits(person("user"), named=None)


def test_strength_is_held_against_what_is_above() -> None:
    policy.check_strength(10, above=11, above_or_at=10, what="role")
    policy.check_strength(ABOVE_ALL, above=0, what="role")
    with pytest.raises(PermissionDenied, match=r"role: expected one below your own level, 10"):
        policy.check_strength(10, above=10, what="role")
    with pytest.raises(PermissionDenied):
        policy.check_strength(10, above_or_at=9, what="user_id")


def test_a_refusal_says_who_may() -> None:
    assert EXPERIMENTS.expectation == (
        "expected the person whom user_number names or a person with the role `staff` or "
        "a service whose key has the scope `experiments:read`"
    )
    assert Right(level=0, is_for_signed_in=True).expectation == (
        "expected a person who is signed in or a person with a role of level 0 or stronger"
    )
    assert Right().expectation == "expected nobody"
