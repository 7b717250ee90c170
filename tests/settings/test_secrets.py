"""Secrets: from files, masked where one could read them, and made by the embedded profile alone."""

import stat
from pathlib import Path

import pytest

from auth_service.settings import Settings, described
from tests.settings.given import KEY, OTHER_KEY, embedded, problems

SECRETS = [
    ("AUTH_KEY_ENCRYPTION_KEYS", f"{KEY},{OTHER_KEY}"),
    ("AUTH_DATABASE_URL", "postgresql://auth:database-password@db/auth"),
    ("AUTH_UOWS_API_KEY", "uows-api-key"),
    ("AUTH_ALLOCATIONS_API_KEY", "allocations-api-key"),
    ("AUTH_API_KEYS", "portal=portal-api-key-1,other=other-api-key-of-it"),
    ("UOWS_API_KEY", "uows-api-key"),
    ("ALLOCATIONS_API_KEY", "allocations-api-key"),
    ("FIA_AUTH_API_KEY", "fia-api-key-of-somebody"),
]


@pytest.mark.parametrize(("variable", "secret"), SECRETS)
def test_a_secret_may_come_from_a_file(tmp_path: Path, variable: str, secret: str) -> None:
    path = tmp_path / "secret"
    path.write_text(f"{secret}\n")
    path.chmod(0o600)

    assert embedded(tmp_path, **{f"{variable}_FILE": str(path)}) == embedded(tmp_path, **{variable: secret})


def test_the_database_password_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("database-password\n")

    settings = embedded(tmp_path, DB_IP="db", DB_USERNAME="fia", DB_PASSWORD_FILE=str(tmp_path / "password"))

    assert settings.database == "postgresql://fia:database-password@db:5432/fia"


@pytest.mark.parametrize(("variable", "secret"), SECRETS)
def test_a_secret_given_twice_is_refused(tmp_path: Path, variable: str, secret: str) -> None:
    path = tmp_path / "secret"
    path.write_text(secret)
    path.chmod(0o600)

    (problem,) = problems({"AUTH_DATA_DIR": str(tmp_path), variable: secret, f"{variable}_FILE": str(path)})

    assert "either" in problem
    assert "not both" in problem
    assert secret not in problem


@pytest.mark.parametrize(("variable", "_secret"), SECRETS)
def test_a_secret_file_that_cannot_be_read_is_named(tmp_path: Path, variable: str, _secret: str) -> None:
    said = problems({"AUTH_DATA_DIR": str(tmp_path), f"{variable}_FILE": str(tmp_path / "missing")})

    assert any(f"{variable.removeprefix('AUTH_')}_FILE: cannot read it (FileNotFoundError)" in line for line in said)


def test_a_key_file_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    path.write_text(KEY)
    path.chmod(0o644)

    (problem,) = problems({"AUTH_DATA_DIR": str(tmp_path), "AUTH_KEY_ENCRYPTION_KEYS_FILE": str(path)})

    assert problem.startswith("AUTH_KEY_ENCRYPTION_KEYS_FILE: ")
    assert "0600" in problem


def test_production_makes_no_secret_by_itself(tmp_path: Path) -> None:
    problems({"AUTH_PROFILE": "production", "AUTH_DATA_DIR": str(tmp_path / "data")})

    assert not (tmp_path / "data").exists()


def test_what_is_in_force_is_shown_with_its_secrets_masked(tmp_path: Path) -> None:
    settings = embedded(
        tmp_path,
        AUTH_KEY_ENCRYPTION_KEYS=KEY,
        AUTH_UOWS_URL="https://uows.example",
        AUTH_UOWS_API_KEY="uows-api-key",
        AUTH_ALLOCATIONS_API_KEY="allocations-api-key",
        AUTH_API_KEYS="portal=portal-api-key-1",
        AUTH_DATABASE_URL="postgresql://auth:database-password@db/auth?password=another-password",
    )

    rows = described(settings)

    text = repr(rows) + repr(settings) + str(settings)
    for secret in (KEY, "uows-api-key", "allocations-api-key", "portal-api-key", "database-password", "another-pass"):
        assert secret not in text
    shown = {name: value for name, value, _ in rows}
    assert shown.keys() == {f"AUTH_{name.upper()}" for name in Settings.model_fields}
    assert shown["AUTH_API_KEYS"] == "portal=********"
    assert shown["AUTH_UOWS_URL"] == "https://uows.example"
    assert shown["AUTH_SESSION_IDLE_LIFETIME"] == "12h"
    assert all(meaning for _, _, meaning in rows)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://auth:secret@db/auth", "postgresql://auth:********@db/auth"),
        ("postgresql://auth:se:cr/et@t@db:5/auth", "postgresql://auth:********@db:5/auth"),
        ("postgresql://auth@db/auth", "postgresql://auth@db/auth"),
        ("postgresql://db/auth", "postgresql://db/auth"),
        ("postgresql://db/auth?password=secret&ssl=require", "postgresql://db/auth?********"),
        ("sqlite:////var/lib/auth.db", "sqlite:////var/lib/auth.db"),
    ],
)
def test_the_database_password_is_masked_however_it_is_written(tmp_path: Path, url: str, shown: str) -> None:
    rows = {name: value for name, value, _ in described(embedded(tmp_path, AUTH_DATABASE_URL=url))}

    assert rows["AUTH_DATABASE_URL"] == shown


def test_the_embedded_profile_makes_its_secret_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "new" / "data"

    first, second = embedded(home), embedded(home)

    path = home / "key-encryption-key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert first.sealing_secrets == second.sealing_secrets != embedded(tmp_path / "other").sealing_secrets
    assert len(first.sealing_secrets[0]) == 32


def test_a_generated_secret_that_others_may_read_is_refused(tmp_path: Path) -> None:
    embedded(tmp_path)
    (tmp_path / "key-encryption-key").chmod(0o644)

    (problem,) = problems({"AUTH_DATA_DIR": str(tmp_path)})

    assert problem.startswith("AUTH_DATA_DIR: ")
    assert "0600" in problem


def test_a_given_key_is_used_and_none_is_made(tmp_path: Path) -> None:
    settings = embedded(tmp_path, AUTH_KEY_ENCRYPTION_KEYS=f"{KEY}\n{OTHER_KEY}")

    assert settings.sealing_secrets == [bytes(range(32)), bytes(range(1, 33))]
    assert list(tmp_path.iterdir()) == []
