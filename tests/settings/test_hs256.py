"""Tokens of the service before: until a day, and with a secret that will do."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from auth_service.settings import described, load
from tests.settings.given import KEY, OTHER_KEY, embedded, problems, warnings

OLD_SECRET = "the secret of the service before"


def hs256(**variables: str) -> dict[str, str]:
    """Variables with which the old service's tokens are taken for a month; `secret` and `until` change them."""
    until = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    given = {"secret": OLD_SECRET, "until": until} | variables
    return {f"AUTH_HS256_{name.upper()}": value for name, value in given.items() if value}


def test_old_tokens_are_taken_until_a_day(tmp_path: Path) -> None:
    day = datetime.now(UTC).date() + timedelta(days=30)
    settings = embedded(tmp_path, **hs256(until=day.isoformat()))

    assert settings.hs256_until == datetime(day.year, day.month, day.day, tzinfo=UTC)
    assert load({"AUTH_DATA_DIR": str(tmp_path), **hs256()})[1] == []
    shown = {name: value for name, value, _ in described(settings)}
    assert (shown["AUTH_HS256_SECRET"], shown["AUTH_HS256_UNTIL"]) == ("********", f"{day} 00:00:00+00:00")
    nothing_set = embedded(tmp_path)
    assert (nothing_set.hs256_secret, nothing_set.hs256_until) == (None, None)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        (hs256(until=""), ["AUTH_HS256_UNTIL", "AUTH_HS256_SECRET"]),
        (hs256(secret=""), ["AUTH_HS256_UNTIL", "AUTH_HS256_SECRET"]),
        (hs256(until=(datetime.now(UTC) + timedelta(days=91)).isoformat()), ["AUTH_HS256_UNTIL", "AUTH_HS256_SECRET"]),
        (hs256(until="31.1.2027"), ["AUTH_HS256_UNTIL"]),
        (hs256(until="2027-02-30"), ["AUTH_HS256_UNTIL"]),
        (hs256(until="20270130"), ["AUTH_HS256_UNTIL"]),
        (hs256(secret="fifteen letters"), ["AUTH_HS256_SECRET", "16 bytes"]),
        (hs256(secret="shh"), ["AUTH_HS256_SECRET", "well-known"]),
        (hs256(secret="your-256-bit-secret"), ["AUTH_HS256_SECRET", "well-known"]),
        (hs256(secret="my-jwt-signing-secret-key"), ["AUTH_HS256_SECRET", "well-known"]),
        (
            hs256(secret="09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7"),
            ["AUTH_HS256_SECRET", "well-known"],
        ),
        (hs256(secret="-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0"), ["AUTH_HS256_SECRET", "a key"]),
        (hs256(secret='{"kty": "RSA", "n": "0vx7agoebGcQSuuP", "e": "AQAB"}'), ["AUTH_HS256_SECRET", "a key"]),
        (hs256(secret=KEY), ["AUTH_HS256_SECRET", "AUTH_KEY_ENCRYPTION_KEYS"]),
        (hs256() | {"AUTH_API_KEYS": f"portal={OLD_SECRET}"}, ["AUTH_HS256_SECRET", "AUTH_API_KEYS"]),
        (hs256() | {"AUTH_UOWS_API_KEY": OLD_SECRET}, ["AUTH_HS256_SECRET", "AUTH_UOWS_API_KEY"]),
        (
            hs256() | {"AUTH_DATABASE_URL": f"postgresql://auth:{OLD_SECRET.replace(' ', '%20')}@db/auth"},
            ["AUTH_HS256_SECRET", "AUTH_DATABASE_URL"],
        ),
    ],
)
def test_an_old_secret_that_will_not_do_is_refused_in_one_line(variables: dict[str, str], named: list[str]) -> None:
    (problem,) = problems(
        {"AUTH_KEY_ENCRYPTION_KEYS": f"{KEY},{OTHER_KEY}", "AUTH_DATABASE_URL": "postgresql://x/y"} | variables
    )

    assert all(each in problem for each in named)
    assert OLD_SECRET not in problem


def test_an_old_secret_that_is_short_or_over_is_worth_a_warning(tmp_path: Path) -> None:
    home = {"AUTH_DATA_DIR": str(tmp_path)}

    (short,) = warnings(home | hs256(secret="72 hours of beamtime"))
    (over,) = warnings(home | hs256(until="2026-01-31"))

    assert "shorter than 32 bytes" in short
    assert "is over" in over
