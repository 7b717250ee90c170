"""Access tokens: the claims of RFC 9068 and of keys-and-sessions section 3, and no more."""

import json
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import jwt
import pytest
from auth_client import claims as reading
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.types import Options

from auth_service.domain import sessions, tokens
from auth_service.domain.people import Person
from auth_service.domain.tokens import TokenPolicy
from tests.domain.rings import NOON
from tests.domain.test_sessions import POLICY as SESSION_POLICY

ADA = Person(
    id=UUID(int=17),
    provider="uows",
    provider_subject="17",
    username="ada@example.org",
    display_name="Ada",
    user_number=17,
    provider_roles=frozenset(),
    provider_checked_at=NOON,
    granted_roles=frozenset(),
    is_listed_staff=False,
)
SESSION = sessions.start(ADA.id, now=NOON, policy=SESSION_POLICY)
POLICY = TokenPolicy(
    issuer="https://auth.example", audience="https://api.example", lifetime=timedelta(minutes=10), client_id="web"
)


def claims(
    person: Person = ADA,
    *,
    roles: tuple[str, ...] = ("user",),
    policy: TokenPolicy = POLICY,
    lifetime: timedelta = POLICY.lifetime,
) -> dict[str, object]:
    late = NOON + timedelta(microseconds=999_999)
    return tokens.claims_for(person, SESSION, roles=roles, now=late, lifetime=lifetime, policy=policy)


@pytest.mark.parametrize("audience", ["https://api.example", None])
def test_what_a_token_claims_is_in_the_order_that_verifiers_read_quickest(audience: str | None) -> None:
    made = claims(policy=replace(POLICY, audience=audience))

    assert reading._read_as_written(json.dumps(made, separators=(",", ":")).encode()) is not None


def test_a_token_claims_this_and_nothing_else() -> None:
    made = claims(roles=("staff", "admin"))

    assert made.pop("jti")
    assert made == {
        "iss": "https://auth.example",
        "aud": "https://api.example",
        "sub": str(ADA.id),
        "sid": str(SESSION.id),
        "client_id": "web",
        "iat": int(NOON.timestamp()),
        "exp": int(NOON.timestamp()) + 600,
        "roles": ["staff", "admin"],
        "role": "staff",
        "username": "Ada",
        "usernumber": 17,
    }


def test_times_are_whole_seconds_and_there_is_no_not_before() -> None:
    made = claims()

    assert {type(made["iat"]), type(made["exp"])} == {int}
    assert "nbf" not in made


def test_what_does_not_apply_is_left_out() -> None:
    made = claims(replace(ADA, user_number=None, display_name=""), policy=replace(POLICY, audience=None))

    assert "usernumber" not in made
    assert "aud" not in made
    assert (made["username"], made["role"]) == ("ada@example.org", "user")


def test_a_key_that_covers_less_shortens_the_token() -> None:
    made = claims(lifetime=timedelta(seconds=90.9))

    assert made["exp"] == int(NOON.timestamp()) + 90


def test_ten_thousand_tokens_have_ten_thousand_ids() -> None:
    assert len({claims()["jti"] for _ in range(10_000)}) == 10_000


def test_a_minted_token_says_what_it_is_and_which_key_signed_it() -> None:
    private_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    made = claims()

    token = tokens.mint(made, kid="k1", private_key=private_key)

    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "at+jwt", "kid": "k1"}
    checks: Options = {"verify_exp": False, "verify_iat": False}
    assert jwt.decode(token, private_key.public_key(), ["RS256"], checks, audience="https://api.example") == made
    assert len(token) < 2048
