"""Who has which role, and who may do what."""

from dataclasses import replace
from uuid import UUID

import pytest

from auth_service.domain import policy
from auth_service.domain.errors import PermissionDenied
from auth_service.domain.people import Person
from auth_service.domain.policy import Caller, PersonCalling, Right, ServiceCalling
from tests.domain.test_tokens import ADA

SCIENTISTS = frozenset({"ISIS Instrument Scientist"})
SERVICE = ServiceCalling("fia-api")


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
    assert policy.roles_for(who, staff_role_names=SCIENTISTS) == roles


def test_without_names_for_staff_no_provider_makes_anybody_staff() -> None:
    assert policy.roles_for(replace(ADA, provider_roles=SCIENTISTS), staff_role_names=frozenset()) == ("user",)


@pytest.mark.parametrize("caller", [SERVICE, person("staff", number=None), person("user")])
def test_experiments_are_for_services_staff_and_oneself(caller: Caller) -> None:
    policy.check_may_list_experiments(caller, user_number=17)


@pytest.mark.parametrize("caller", [person("user", number=18), person("user", number=None), person("admin", number=18)])
def test_nobody_else_sees_anothers_experiments(caller: Caller) -> None:
    with pytest.raises(PermissionDenied):
        policy.check_may_list_experiments(caller, user_number=17)


@pytest.mark.parametrize(
    ("right", "caller", "is_let"),
    [
        ("public", None, True),
        ("caller", SERVICE, True),
        ("caller", person("user"), True),
        ("admin", person("user", "admin"), True),
        ("admin", person("staff"), False),
        ("admin", SERVICE, False),
        ("admin", None, False),
        ("caller", None, False),
    ],
)
def test_a_right_lets_those_in_whom_it_names(right: Right, caller: Caller | None, is_let: bool) -> None:
    if is_let:
        policy.check_right(right, caller)
    else:
        with pytest.raises(PermissionDenied):
            policy.check_right(right, caller)
