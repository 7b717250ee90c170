"""When a session renews, by what, and when it gives up: the rule that all stacks share, without any of them."""

from datetime import timedelta
from typing import Any

import pytest
from auth_client import ApiKey, AuthError, Code, Password, RefreshToken, ServiceToken, SignInRefused, TokenPair
from auth_client.sign_in import Keeper, SignIn

LIFE = timedelta(minutes=10)
AWAY = AuthError(Code.UNAVAILABLE, "DATABASE_UNAVAILABLE", "away", retry_after=timedelta(seconds=30))
WRONG = AuthError(Code.UNAUTHENTICATED, "BAD_CREDENTIALS", "no")
OVER = AuthError(Code.UNAUTHENTICATED, "REFRESH_TOKEN_REVOKED", "over")
EXPIRED = AuthError(Code.UNAUTHENTICATED, "TOKEN_EXPIRED", "late")
WAYS: list[SignIn] = [Password("ada", "right"), RefreshToken("rt1.zero"), ApiKey("key")]


class Asked:
    """An AuthClient that says what it was asked."""

    def login(self, username: str, password: str, /) -> tuple[str, ...]:
        return "login", username, password

    def login_service(self, api_key: str, /) -> tuple[str, ...]:
        return "login_service", api_key

    def refresh(self, refresh_token: str, /) -> tuple[str, ...]:
        return "refresh", refresh_token


def pair(name: str, life: timedelta = LIFE) -> TokenPair:
    return TokenPair(f"at {name}", f"rt1.{name}", life, timedelta(hours=12), "session")


def keeper(sign_in: SignIn = WAYS[0], **brought: Any) -> Keeper:
    one = Keeper(sign_in)
    one.brought(pair("one", **brought), 0)
    return one


@pytest.mark.parametrize(
    ("sign_in", "first"),
    list(zip(WAYS, [("login", "ada", "right"), ("refresh", "rt1.zero"), ("login_service", "key")], strict=True)),
    ids=["password", "refresh-token", "api-key"],
)
def test_the_first_token_comes_from_what_we_have(sign_in: SignIn, first: tuple[str, ...]) -> None:
    one = Keeper(sign_in)

    assert one.is_due(0)
    assert one.usable(0) is None
    assert one.ask(Asked()) == first


def test_a_session_goes_on_by_its_newest_refresh_token() -> None:
    one = keeper()
    one.brought(pair("two"), 500)

    assert one.ask(Asked()) == ("refresh", "rt1.two")
    assert one.refresh_token == "rt1.two"


def test_an_api_key_buys_every_token() -> None:
    one = Keeper(ApiKey("key"))
    one.brought(ServiceToken("at", LIFE), 0)

    assert one.ask(Asked()) == ("login_service", "key")


@pytest.mark.parametrize("life", [10.0, 600.0])
def test_it_renews_ahead_in_the_last_fifth_and_goes_on_with_the_old_token_meanwhile(life: float) -> None:
    one = keeper(life=timedelta(seconds=life))

    assert not one.is_due(life * 0.79)
    assert one.is_due(life * 0.8)
    assert one.token(life * 0.8) == "at one"


@pytest.mark.parametrize(("life", "last"), [(10.0, 9.0), (600.0, 590.0)])
def test_a_token_is_not_sent_when_it_could_expire_on_its_way(life: float, last: float) -> None:
    one = keeper(life=timedelta(seconds=life))

    assert one.usable(last - 0.1) == "at one"
    assert one.usable(last) is None


def test_a_service_that_is_away_is_left_alone_for_the_time_it_names() -> None:
    one = keeper()

    assert not one.failed(AWAY, 480)

    assert not one.is_due(509)
    assert one.is_due(510)
    assert one.token(509) == "at one"


def test_what_stands_in_the_way_is_told_when_there_is_no_token_any_more() -> None:
    one = keeper()
    one.failed(AuthError(Code.DEADLINE_EXCEEDED, "", "late"), 595)

    assert not one.is_due(595.9)
    with pytest.raises(AuthError, match="late"):
        one.token(595.9)
    assert one.is_due(596)


def test_a_refused_refresh_token_is_the_end_of_a_session_without_a_password() -> None:
    one = Keeper(RefreshToken("rt1.zero"))

    assert not one.failed(OVER, 0)

    with pytest.raises(SignInRefused) as refused:
        one.token(0)
    assert (refused.value.code, refused.value.reason) == (Code.UNAUTHENTICATED, "REFRESH_TOKEN_REVOKED")
    assert not one.is_due(1e9)


def test_with_a_password_a_refused_refresh_token_means_signing_in_again() -> None:
    one = keeper()

    assert one.failed(OVER, 600)

    assert one.ask(Asked()) == ("login", "ada", "right")


@pytest.mark.parametrize("sign_in", [WAYS[0], WAYS[2]], ids=["password", "api-key"])
def test_a_refused_password_or_key_is_tried_at_most_once_a_minute(sign_in: SignIn) -> None:
    one = Keeper(sign_in)

    assert not one.failed(WRONG, 0)

    with pytest.raises(SignInRefused, match="BAD_CREDENTIALS"):
        one.token(1)
    assert not one.is_due(59.9)
    assert one.is_due(60)


def test_a_rejected_token_is_renewed_whatever_its_age() -> None:
    one = keeper()

    assert one.is_worth_repeating(EXPIRED, "at one", 1)

    assert one.is_due(1)
    assert one.usable(1) is None


def test_one_renewal_serves_all_whose_token_was_rejected() -> None:
    one = keeper()
    assert [one.is_worth_repeating(EXPIRED, "at one", 1) for _ in range(3)] == [True] * 3
    one.brought(pair("two"), 1)

    assert one.is_worth_repeating(EXPIRED, "at one", 2)

    assert not one.is_due(2)
    assert one.token(2) == "at two"


def test_a_service_that_rejects_everything_causes_no_storm_of_renewals() -> None:
    one = keeper()
    one.is_worth_repeating(EXPIRED, "at one", 1)
    one.brought(pair("two"), 1)

    assert not one.is_worth_repeating(EXPIRED, "at two", 10.9)
    assert not one.is_due(10.9)
    assert one.is_worth_repeating(EXPIRED, "at two", 11)


@pytest.mark.parametrize("reason", ["TOKEN_INVALID", ""])
def test_a_token_that_is_refused_without_a_good_reason_is_renewed_too_but_seldom(reason: str) -> None:
    # A verifier that fetches keys says TOKEN_INVALID of a token whose key was revoked; most gateways say nothing.
    one, error = keeper(), AuthError(Code.UNAUTHENTICATED, reason, "no")

    assert one.is_worth_repeating(error, "at one", 1)
    assert one.is_due(1)
    one.brought(pair("two"), 1)

    assert not one.is_worth_repeating(error, "at two", 60.9)
    assert not one.is_due(60.9)
    assert one.is_worth_repeating(error, "at two", 61)


@pytest.mark.parametrize(
    "error",
    [
        AuthError(Code.UNAUTHENTICATED, "CREDENTIALS_MISSING", "no"),
        AuthError(Code.UNAUTHENTICATED, "BAD_CREDENTIALS", "no"),
        AuthError(Code.PERMISSION_DENIED, "PERMISSION_DENIED", "no"),
        AuthError(Code.UNAVAILABLE, "TOKEN_EXPIRED", "no"),
        AuthError(Code.OK, "", ""),
    ],
    ids=str,
)
def test_nothing_else_is_worth_repeating(error: AuthError) -> None:
    one = keeper()

    assert not one.is_worth_repeating(error, "at one", 1)
    assert not one.is_due(1)


@pytest.mark.parametrize("secret", WAYS, ids=lambda way: type(way).__name__)
def test_a_secret_does_not_show(secret: SignIn) -> None:
    assert "rt1.zero" not in repr(secret)
    assert "right" not in repr(secret)
