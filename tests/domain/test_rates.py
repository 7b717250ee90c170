"""Which calls a limit counts."""

from datetime import timedelta

import pytest

from auth_service.domain.rates import of_nothing, rate

LOGIN, VERIFY = "/auth_api.v1.AuthService/Login", "/auth_api.v1.AuthService/Verify"
HEALTH = "/grpc.health.v1.Health/Check"
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("what", "covered"),
    [
        ("Login", [LOGIN]),
        ("AuthService/Login", [LOGIN]),
        ("UserService/Login", []),
        ("*", [LOGIN]),
        ("all:*", [LOGIN]),
        ("all:Verify", [VERIFY]),
        ("Check", [HEALTH]),
    ],
)
def test_a_limit_counts_what_it_names(what: str, covered: list[str]) -> None:
    each = rate(what, calls=1, per=MINUTE)

    assert [method for method in (LOGIN, VERIFY, HEALTH) if each.covers(method)] == covered
    assert each.by_address is not what.startswith("all:")


def test_a_limit_that_names_nothing_is_found() -> None:
    rates = [rate("Login", calls=1, per=MINUTE), rate("all:Logn", calls=1, per=MINUTE)]

    assert of_nothing(rates, [LOGIN, VERIFY]) == ["Logn"]
