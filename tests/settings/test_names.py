"""Names: each variable's own, those of the services before, and those that are almost right."""

from datetime import timedelta
from pathlib import Path

import pytest
from auth_client.calls import POLICIES

from auth_service.settings import Address, Profile, Settings, load
from tests.settings.given import KEY, embedded, problems, warnings


@pytest.mark.row("B15")
def test_nothing_has_to_be_set(tmp_path: Path) -> None:
    settings = embedded(tmp_path)

    assert settings.profile is Profile.EMBEDDED
    assert (settings.grpc_address, settings.http_address) == (Address("127.0.0.1", 50051), Address("127.0.0.1", 8080))
    assert settings.facility_address == Address("127.0.0.1", 8090)
    assert settings.database == f"sqlite:///{tmp_path}/auth.sqlite3"
    assert settings.token_issuer == "http://127.0.0.1:8080"
    assert settings.runs_demo_facility
    assert settings.serves_reflection
    assert settings.lets_people_register
    assert settings.access_token_lifetime == timedelta(minutes=10)
    assert settings.session_idle_lifetime == timedelta(hours=12)


def test_we_say_that_somebody_else_is_away_before_our_own_client_gives_up(tmp_path: Path) -> None:
    settings = embedded(tmp_path)
    patience = min(POLICIES[method].deadline for method in ("Login", "ListExperiments"))

    assert max(settings.uows_timeout, settings.allocations_timeout) <= patience - timedelta(seconds=1)


@pytest.mark.row("A8", "A19")
@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("UOWS_URL", "http://uows/", "uows_url", "http://uows"),
        ("ALLOCATIONS_URL", "http://alloc/graphql", "allocations_url", "http://alloc/graphql"),
        ("ACCESS_TOKEN_LIFETIME_MINUTES", "7", "access_token_lifetime", timedelta(minutes=7)),
        ("ACCESS_TOKEN_LIFETIME_MINUTES", "0.5", "access_token_lifetime", timedelta(seconds=30)),
        ("AUTH_ACCESS_TOKEN_LIFETIME", "15m", "access_token_lifetime", timedelta(minutes=15)),
        ("AUTH_GRPC_ADDRESS", "[::1]:7", "grpc_address", Address("::1", 7)),
        ("AUTH_STAFF_ROLES", "One, Two ,", "staff_roles", ("One", "Two")),
        (
            "AUTH_ROLE_MAP",
            "Beamline = Scientist=beamline, Other=urn:x ,",
            "role_map",
            {"Beamline = Scientist": "beamline", "Other": "urn:x"},
        ),
        ("AUTH_REFLECTION", "False", "reflection", False),
        ("AUTH_DATABASE_TIMEOUT", "250ms", "database_timeout", timedelta(milliseconds=250)),
        ("AUTH_AUDIENCE", "none", "token_audience", None),
        ("AUTH_ISSUER", "https://a.example/auth/", "issuer", "https://a.example/auth"),
    ],
)
def test_a_variable_sets_its_field(tmp_path: Path, variable: str, value: str, field: str, expected: object) -> None:
    keys = {"UOWS_API_KEY": "k", "ALLOCATIONS_API_KEY": "k"}

    assert getattr(embedded(tmp_path, **{variable: value}, **keys), field) == expected


@pytest.mark.row("A19")
@pytest.mark.parametrize("value", ["beamline", "=beamline", "Scientist=", "Scientist=Beamline", "A=x,A=y", "A=b c"])
def test_a_map_of_roles_that_cannot_be_read_is_refused(tmp_path: Path, value: str) -> None:
    (problem,) = problems({"AUTH_DATA_DIR": str(tmp_path), "AUTH_ROLE_MAP": value})

    assert problem.startswith("AUTH_ROLE_MAP: expected ")


def test_the_database_of_row_a19_is_one_address(tmp_path: Path) -> None:
    parts = {"DB_IP": "db.example", "DB_USERNAME": "fia user", "DB_PASSWORD": "p@ss/w:rd"}

    assert embedded(tmp_path, **parts).database == "postgresql://fia%20user:p%40ss%2Fw%3Ard@db.example:5432/fia"
    assert embedded(tmp_path, **parts, DB_PORT="6").database.endswith("@db.example:6/fia")
    assert embedded(tmp_path, DB_IP="::1").database == "postgresql://[::1]:5432/fia"
    assert embedded(tmp_path, **parts, AUTH_DATABASE_URL="postgresql://x/y").database == "postgresql://x/y"


def test_the_api_key_of_row_a19_is_the_service_fia(tmp_path: Path) -> None:
    settings = embedded(tmp_path, FIA_AUTH_API_KEY="the-key-of-fia-api")

    assert {name: key.get_secret_value() for name, key in settings.api_keys.items()} == {"fia": "the-key-of-fia-api"}


@pytest.mark.row("S60")
@pytest.mark.parametrize("variable", ["AUTH_API_KEYS", "FIA_AUTH_API_KEY"])
@pytest.mark.parametrize(
    "secret",
    [
        *("shh", "changeme", "change-me-change-me", "SECRET", "password", "Password123", "test", "api-key", "API_KEY"),
        *("my-secret-api-key", "your_api_key", "fia-auth-api-key", "replace-this-secret", "xxxxxxxxxxxxxxxx"),
        *("1234567890123456", "0000000000000000", "9876543210987654", "abababababababab", "short"),
    ],
)
def test_a_key_that_everybody_knows_is_refused_by_the_name_of_its_variable(variable: str, secret: str) -> None:
    value = f"fia={secret}" if variable == "AUTH_API_KEYS" else secret

    (problem,) = problems({"AUTH_KEY_ENCRYPTION_KEYS": KEY, "AUTH_DATABASE_URL": "postgresql://x/y", variable: value})

    assert problem.startswith(f"{variable}: the key of 'fia' is ")
    assert secret not in problem.removeprefix(f"{variable}: the key of 'fia' is ")


@pytest.mark.parametrize(
    "secret", ["portal-api-key-of-beamline-7", "an api key for drills only", "0f" * 8 + "a3c9", "5072916843275106"]
)
def test_any_other_key_is_taken(tmp_path: Path, secret: str) -> None:
    assert embedded(tmp_path, FIA_AUTH_API_KEY=secret).api_keys["fia"].get_secret_value() == secret


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"AUTH_UOWS_URL": "http://ours"}, {"UOWS_URL": "http://theirs"}),
        ({"AUTH_UOWS_API_KEY": "ours"}, {"UOWS_API_KEY_FILE": "/nowhere"}),
        ({"AUTH_API_KEYS": "a=0123456789abcdef"}, {"FIA_AUTH_API_KEY": "theirs"}),
        ({"AUTH_ACCESS_TOKEN_LIFETIME": "5m"}, {"ACCESS_TOKEN_LIFETIME_MINUTES": "6"}),
        ({"AUTH_DATABASE_URL": "postgresql://ours/x"}, {"DB_IP": "theirs"}),
    ],
)
def test_our_name_wins_over_an_older_one(tmp_path: Path, ours: dict[str, str], theirs: dict[str, str]) -> None:
    keys = {"AUTH_UOWS_API_KEY": "k"}

    assert embedded(tmp_path, **(keys | ours), **theirs) == embedded(tmp_path, **(keys | ours))


def test_a_name_that_is_almost_right_is_told(tmp_path: Path) -> None:
    said = warnings({"AUTH_DATA_DIR": str(tmp_path), "AUTH_GRPC_ADRESS": "x", "AUTH_LOG_LEVEL_FILE": "x"})

    assert "AUTH_GRPC_ADRESS is not a setting; did you mean AUTH_GRPC_ADDRESS?" in said
    assert any(line.startswith("AUTH_LOG_LEVEL_FILE is not a setting") for line in said)


def test_every_setting_by_its_own_name_is_told_nothing(tmp_path: Path) -> None:
    names = {f"AUTH_{name.upper()}": "" for name in Settings.model_fields}

    assert warnings(names | {"AUTH_DATA_DIR": str(tmp_path), "AUTH_API_KEYS_FILE": ""}) == []


def test_what_kubernetes_puts_beside_a_service_called_auth_is_harmless(tmp_path: Path) -> None:
    junk = {
        "AUTH_SERVICE_HOST": "10.0.0.1",
        "AUTH_SERVICE_PORT": "50051",
        "AUTH_SERVICE_PORT_GRPC": "50051",
        "AUTH_PORT": "tcp://10.0.0.1:50051",
        "AUTH_PORT_50051_TCP": "tcp://10.0.0.1:50051",
        "AUTH_PORT_50051_TCP_ADDR": "10.0.0.1",
        "AUTH_GRPC_SERVICE_HOST": "10.0.0.1",
        "AUTH_GRPC_PORT": "tcp://10.0.0.1:50051",
    }

    settings, said = load({"AUTH_DATA_DIR": str(tmp_path), **junk})

    assert said == []
    assert settings == embedded(tmp_path)
