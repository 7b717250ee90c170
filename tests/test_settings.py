"""Settings: every name, every refusal, and no secret where one could read it."""

import base64
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from auth_client.calls import POLICIES

from auth_service.settings import Address, Profile, Settings, SettingsRefused, described, load

KEY = base64.b64encode(bytes(range(32))).decode()
OTHER_KEY = base64.b64encode(bytes(range(1, 33))).decode()
PRODUCTION = {
    "AUTH_PROFILE": "production",
    "AUTH_KEY_ENCRYPTION_KEYS": KEY,
    "AUTH_DATABASE_URL": "postgresql://auth:database-password@db/auth",
    "AUTH_ISSUER": "https://auth.facility.example",
    "AUTH_PROVIDERS": "uows,local",
    "AUTH_UOWS_URL": "https://uows.facility.example",
    "AUTH_UOWS_API_KEY": "uows-api-key",
    "AUTH_GRPC_ADDRESS": "0.0.0.0:50051",
    "AUTH_HTTP_ADDRESS": "0.0.0.0:8080",
    "AUTH_ALLOW_PLAINTEXT": "true",
    "AUTH_SMTP_ADDRESS": "mail.facility.example:587",
    "AUTH_MAIL_FROM": "Facility sign-in <auth@facility.example>",
}


def embedded(tmp_path: Path, **variables: str) -> Settings:
    return load({"AUTH_DATA_DIR": str(tmp_path), **variables})[0]


def problems(environment: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsRefused) as refused:
        load(environment)
    assert str(refused.value).splitlines() == refused.value.problems
    return refused.value.problems


def warnings(environment: dict[str, str]) -> list[str]:
    return load(environment)[1]


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


def test_production_starts_with_what_it_asks_for() -> None:
    settings, said = load(PRODUCTION)

    assert said == []
    assert not settings.runs_demo_facility
    assert not settings.serves_reflection
    assert not settings.lets_people_register
    assert settings.sealing_secrets == [bytes(range(32))]


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


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("AUTH_REFLECTION", value) for value in ("yes", "1", "on", "tru", "0", "t")),
        *(("AUTH_SESSION_IDLE_LIFETIME", value) for value in ("600", "10 minutes", "-5m", "1w", "m", "1e3s", "inf")),
        ("AUTH_SESSION_ABSOLUTE_LIFETIME", "999999999999d"),
        *(("AUTH_GRPC_ADDRESS", value) for value in ("50051", ":50051", "localhost", "a:b", "a:65536", "a:-1")),
        *(("AUTH_ISSUER", value) for value in ("auth.example", "ftp://x", "https://")),
        ("AUTH_ISSUER", "https://a.example/?x=1"),
        ("AUTH_UOWS_URL", "https://user:hunter2@uows.example"),
        ("AUTH_PROFILE", "development"),
        ("AUTH_PROVIDERS", "uows,ldap"),
        ("AUTH_PROVIDERS", ","),
        ("AUTH_KEY_SIZE", "1024"),
        ("AUTH_KEY_SIZE", "many"),
        ("AUTH_KEY_ENCRYPTION_KEYS", "short"),
        ("AUTH_KEY_ENCRYPTION_KEYS", f"{KEY},{KEY[:-4]}"),
        ("AUTH_KEY_ENCRYPTION_KEYS", ","),
        ("AUTH_API_KEYS", "no-name"),
        ("AUTH_API_KEYS", "=secret-without-a-name"),
        ("AUTH_API_KEYS", "name="),
        ("AUTH_API_KEYS", "a=secret-of-one-service,a=secret-of-another-one"),
        ("AUTH_API_KEYS", "portal=fifteen-letters"),
        ("AUTH_API_KEYS", "portal=portal-api-key-1,fia=portal-api-key-1"),
        ("AUTH_API_KEYS", "Portal=portal-api-key-1"),
        ("AUTH_API_KEYS", "a portal=portal-api-key-1"),
        ("AUTH_API_KEYS", "a=looks.like.token-to-us"),
        ("AUTH_DATABASE_URL", "mysql://db/x"),
        ("AUTH_DATABASE_URL", "postgresql://db"),
        ("AUTH_DATABASE_CONNECTIONS", "0"),
        ("AUTH_DATABASE_TIMEOUT", "1m"),
        ("AUTH_ACCESS_TOKEN_LIFETIME", "61m"),
        ("AUTH_ACCESS_TOKEN_LIFETIME", "1s"),
        ("AUTH_REFRESH_REPLAY_WINDOW", "61s"),
        ("AUTH_CLOCK_SKEW", "6m"),
        ("AUTH_POLL_EVERY", "1ms"),
        ("AUTH_SIGNER_LEASE", "1s"),
        ("AUTH_KEY_ROTATE_EVERY", "1h"),
        ("AUTH_REQUEST_DEADLINE", "0s"),
        ("AUTH_UOWS_TIMEOUT", "0s"),
        ("AUTH_ARGON2_MEMORY_KIB", "1024"),
        ("AUTH_ARGON2_PASSES", "1"),
        *(("AUTH_TRUSTED_PROXIES", value) for value in ("proxy", "10.0.0.1/8", "10.0.0.0/33", "*")),
        *(
            ("AUTH_RATE_LIMITS", value)
            for value in ("Login", "Login=5", "Login=5/h", "Login=0/m", "=5/m", "Login=-1/s")
        ),
        ("AUTH_RATE_LIMITS", "Login=5/m,Login=6/m"),
        ("AUTH_FAILURES_HERE", "0"),
        ("AUTH_LOG_LEVEL", "verbose"),
        ("AUTH_LOG_FORMAT", "xml"),
        ("AUTH_TLS_CERTIFICATE_FILE", "/nowhere/tls.crt"),
        ("AUTH_DATA_DIR", "/proc/nowhere"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(tmp_path: Path, variable: str, value: str) -> None:
    said = problems({"AUTH_DATA_DIR": str(tmp_path), variable: value})

    assert any(line.startswith(f"{variable}: ") for line in said), said
    assert not any(secret in "\n".join(said) for secret in ("secret-of", "secret-without", "hunter2", KEY[:8]))


@pytest.mark.parametrize("name", [name for name, each in Settings.model_fields.items() if each.annotation is timedelta])
def test_no_time_is_without_bounds(tmp_path: Path, name: str) -> None:
    said = problems({"AUTH_DATA_DIR": str(tmp_path), f"AUTH_{name.upper()}": "99999d"})

    assert any(line.startswith(f"AUTH_{name.upper()}: expected ") for line in said), said


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"AUTH_SESSION_IDLE_LIFETIME": "5m"}, "AUTH_SESSION_IDLE_LIFETIME"),
        ({"AUTH_SESSION_ABSOLUTE_LIFETIME": "1h"}, "AUTH_SESSION_ABSOLUTE_LIFETIME"),
        ({"AUTH_KEY_PUBLISH_AHEAD": "31d"}, "AUTH_KEY_ROTATE_EVERY"),
        ({"AUTH_POLL_EVERY": "20s"}, "AUTH_SIGNER_LEASE"),
        ({"AUTH_UOWS_URL": "http://uows"}, "AUTH_UOWS_API_KEY"),
        ({"AUTH_ALLOCATIONS_URL": "http://alloc"}, "AUTH_ALLOCATIONS_API_KEY"),
        ({"AUTH_PROVIDERS": "uows", "AUTH_DEMO_FACILITY": "false"}, "AUTH_UOWS_URL"),
        ({"AUTH_PROVIDERS": "uows", "AUTH_REGISTRATION": "true"}, "AUTH_REGISTRATION"),
        ({"AUTH_FAILURES_HERE": "5"}, "AUTH_FAILURES_PER_ACCOUNT"),
        ({"AUTH_TLS_KEY_FILE": "/dev/null"}, "AUTH_TLS_KEY_FILE"),
        ({"AUTH_TLS_CLIENT_CA_FILE": "/dev/null"}, "AUTH_TLS_CERTIFICATE_FILE"),
        ({"ACCESS_TOKEN_LIFETIME_MINUTES": "ten"}, "ACCESS_TOKEN_LIFETIME_MINUTES"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    tmp_path: Path, environment: dict[str, str], named: str
) -> None:
    (problem,) = problems({"AUTH_DATA_DIR": str(tmp_path), **environment})

    assert problem.startswith(f"{named}: ")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"AUTH_KEY_ENCRYPTION_KEYS": ""}, "AUTH_KEY_ENCRYPTION_KEYS"),
        ({"AUTH_DATABASE_URL": ""}, "AUTH_DATABASE_URL"),
        ({"AUTH_ISSUER": ""}, "AUTH_ISSUER"),
        ({"AUTH_ISSUER": "http://auth.example"}, "AUTH_ISSUER"),
        ({"AUTH_PROVIDERS": ""}, "AUTH_PROVIDERS"),
        ({"AUTH_COOKIE_SECURE": "false"}, "AUTH_COOKIE_SECURE"),
        ({"AUTH_DEMO_FACILITY": "true"}, "AUTH_DEMO_FACILITY"),
        ({"AUTH_ALLOW_PLAINTEXT": ""}, "AUTH_TLS_CERTIFICATE_FILE"),
        ({"AUTH_ALLOW_PLAINTEXT": "", "AUTH_GRPC_ADDRESS": "127.0.0.1:1"}, "AUTH_TLS_CERTIFICATE_FILE"),
        ({"AUTH_UOWS_URL": "http://uows.example"}, "AUTH_UOWS_URL"),
        ({"AUTH_REQUIRE_VERIFIED_EMAIL": "true", "AUTH_SMTP_ADDRESS": ""}, "AUTH_SMTP_ADDRESS"),
        (
            {"AUTH_ALLOCATIONS_URL": "http://a.example", "AUTH_ALLOCATIONS_API_KEY": "k"},
            "AUTH_ALLOCATIONS_URL",
        ),
    ],
)
def test_production_refuses_what_is_unsafe(changes: dict[str, str], named: str) -> None:
    (problem,) = problems(PRODUCTION | changes)

    assert problem.startswith(f"{named}: ")


def test_production_makes_no_secret_by_itself(tmp_path: Path) -> None:
    problems({"AUTH_PROFILE": "production", "AUTH_DATA_DIR": str(tmp_path / "data")})

    assert not (tmp_path / "data").exists()


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    said = problems(
        {
            "AUTH_DATA_DIR": str(tmp_path),
            "AUTH_PROFILE": "production",
            "AUTH_GRPC_ADDRESS": "nowhere",
            "AUTH_REFLECTION": "perhaps",
            "AUTH_KEY_SIZE": "1024",
            "AUTH_UOWS_API_KEY_FILE": "/nowhere",
            "AUTH_LOG_LEVEL": "loud",
        }
    )

    assert {line.partition(":")[0] for line in said} == {
        *("AUTH_DATABASE_URL", "AUTH_GRPC_ADDRESS", "AUTH_ISSUER", "AUTH_KEY_ENCRYPTION_KEYS", "AUTH_KEY_SIZE"),
        *("AUTH_LOG_LEVEL", "AUTH_PROVIDERS", "AUTH_REFLECTION", "AUTH_UOWS_API_KEY_FILE"),
    }


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


def test_keys_published_too_late_for_slow_verifiers_are_told(tmp_path: Path) -> None:
    (said,) = warnings({"AUTH_DATA_DIR": str(tmp_path), "AUTH_KEY_PUBLISH_AHEAD": "20m"})

    assert said.startswith("AUTH_KEY_PUBLISH_AHEAD is 20m: ")


@pytest.mark.parametrize(
    ("text", "is_loopback", "shown"),
    [
        ("127.0.0.1:1", True, "127.0.0.1:1"),
        ("127.9.9.9:1", True, "127.9.9.9:1"),
        ("[::1]:1", True, "[::1]:1"),
        ("localhost:1", True, "localhost:1"),
        ("0.0.0.0:1", False, "0.0.0.0:1"),
        ("[::]:1", False, "[::]:1"),
        ("auth.example:1", False, "auth.example:1"),
    ],
)
def test_an_address_knows_whether_only_this_machine_reaches_it(
    tmp_path: Path, text: str, is_loopback: bool, shown: str
) -> None:
    address = embedded(tmp_path, AUTH_GRPC_ADDRESS=text).grpc_address

    assert (address.is_loopback, str(address)) == (is_loopback, shown)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (
            {"AUTH_KEY_CONSUMERS": "envoy,istio", "AUTH_KEY_PUBLISH_AHEAD": "25m"},
            "AUTH_KEY_PUBLISH_AHEAD: 25m is shorter than 26m: istio of AUTH_KEY_CONSUMERS fetches",
        ),
        (
            {"AUTH_KEY_CONSUMERS": "pyjwt,slow=30h"},
            "AUTH_KEY_PUBLISH_AHEAD: 1d is shorter than 1806m: slow of AUTH_KEY_CONSUMERS",
        ),
        (
            {"AUTH_KEY_CONSUMERS": "istio", "AUTH_KEY_CONSUMER_WINDOW": "20m"},
            "AUTH_KEY_CONSUMER_WINDOW: 20m is shorter than 25m: istio of AUTH_KEY_CONSUMERS fetches every",
        ),
        ({"AUTH_KEY_CONSUMERS": "envoi"}, "AUTH_KEY_CONSUMERS: expected of auth-client, envoy, istio, "),
        ({"AUTH_KEY_CONSUMERS": "Gateway=5m"}, "AUTH_KEY_CONSUMERS: expected of auth-client, envoy, istio, "),
        ({"AUTH_KEY_CONSUMERS": "gateway=5"}, "AUTH_KEY_CONSUMERS: expected a number with a unit"),
        ({"AUTH_KEY_CONSUMERS": "envoy,envoy=1h"}, "AUTH_KEY_CONSUMERS: expected each name once"),
    ],
)
def test_keys_are_published_long_enough_before_they_sign_for_the_slowest_consumer(
    tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    (problem,) = problems({"AUTH_DATA_DIR": str(tmp_path), **variables})

    assert problem.startswith(said)


@pytest.mark.parametrize("length", ["500ms", "1500ms", "0s", "90s", "10m", "36h", "30d", "1806m"])
def test_a_time_is_shown_as_one_types_it(tmp_path: Path, length: str) -> None:
    shown = {name: value for name, value, _ in described(embedded(tmp_path, AUTH_KEY_ROTATION_PATIENCE=length))}

    assert shown["AUTH_KEY_ROTATION_PATIENCE"] == length


def test_a_time_out_of_range_is_told_as_one_types_it(tmp_path: Path) -> None:
    said = problems({"AUTH_DATA_DIR": str(tmp_path), "AUTH_ACCESS_TOKEN_LIFETIME": "5s"})

    assert said == ["AUTH_ACCESS_TOKEN_LIFETIME: expected 10s to 60m, got 5s"]


def test_declared_consumers_are_shown_with_how_often_they_fetch(tmp_path: Path) -> None:
    settings = embedded(tmp_path, AUTH_KEY_CONSUMERS="envoy, gateway=15m", AUTH_KEY_PUBLISH_AHEAD="21m")

    shown = {name: value for name, value, _ in described(settings)}["AUTH_KEY_CONSUMERS"]

    assert shown == "envoy=10m, gateway=15m"
    # What is declared is known: nobody guesses that there may be slower ones.
    assert not load({"AUTH_DATA_DIR": str(tmp_path), "AUTH_KEY_CONSUMERS": "envoy", "AUTH_KEY_PUBLISH_AHEAD": "21m"})[1]


def test_a_window_that_is_shorter_than_publishing_ahead_is_worth_a_warning(tmp_path: Path) -> None:
    short = {"AUTH_DATA_DIR": str(tmp_path), "AUTH_KEY_CONSUMER_WINDOW": "12h"}

    (said,) = load(short)[1]

    assert said.startswith("AUTH_KEY_CONSUMER_WINDOW is 12h, shorter than AUTH_KEY_PUBLISH_AHEAD (1d)")
    assert not load({**short, "AUTH_KEY_ROTATION_PATIENCE": "0s"})[1]


def test_mail_needs_a_server_and_a_sender() -> None:
    settings, said = load(PRODUCTION | {"AUTH_SMTP_USERNAME": "auth", "AUTH_SMTP_PASSWORD": "mail-password"})
    without = {name: value for name, value in PRODUCTION.items() if name != "AUTH_SMTP_ADDRESS"}

    assert settings.smtp_address == Address("mail.facility.example", 587)
    assert said == []
    assert any("AUTH_SMTP_ADDRESS" in line for line in warnings(without))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AUTH_MAIL_FROM", ""),
        ("AUTH_MAIL_FROM", "nobody"),
        ("AUTH_MAIL_FROM", "a@b.example\r\nBcc: c@d.example"),
        ("AUTH_SMTP_TLS", "ssl"),
        ("AUTH_SMTP_TLS", "none"),
        ("AUTH_SMTP_PASSWORD", "without-a-name"),
        ("AUTH_SMTP_ADDRESS", "mail.example"),
        ("AUTH_SMTP_CA_FILE", "/nowhere"),
        ("AUTH_SMTP_TIMEOUT", "0s"),
        ("AUTH_MAIL_LINK_BASE", "http://portal.example"),
        ("AUTH_MAIL_LINK_BASE", "https://portal.example/?a=b"),
        ("AUTH_PASSWORD_RESET_LIFETIME", "2d"),
        ("AUTH_EMAIL_VERIFICATION_LIFETIME", "1s"),
        ("AUTH_PASSWORD_MIN_LENGTH", "7"),
    ],
)
def test_mail_and_passwords_that_production_does_not_start_with(variable: str, value: str) -> None:
    lines = problems(PRODUCTION | {variable: value})

    assert any(variable in line for line in lines)
    assert not any("without-a-name" in line for line in lines)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AUTH_BROKER_URL", "https://rabbit.facility.example/"),
        ("AUTH_BROKER_URL", "amqps://"),
        ("AUTH_BROKER_URL", "amqps://[rabbit/"),
        ("AUTH_BROKER_URL", "amqp://auth:broker-password@rabbit.facility.example/"),
        ("AUTH_BROKER_URL", "amqp://auth:broker-password@127.evil.example/"),
        ("AUTH_BROKER_EXCHANGE", "auth events"),
        ("AUTH_SLOWEST_READER", "1ms"),
    ],
)
def test_a_broker_that_cannot_be_or_is_not_safe_is_refused(variable: str, value: str) -> None:
    (problem,) = problems(PRODUCTION | {variable: value})

    assert problem.startswith(f"{variable}: ")
    assert "broker-password" not in problem


@pytest.mark.parametrize(
    "host", ["amqps://auth:broker-password@rabbit.facility.example/auth", "amqp://localhost:5672/"]
)
def test_a_broker_is_spoken_to_by_tls_or_on_this_machine_and_its_password_is_masked(host: str) -> None:
    settings, said = load(PRODUCTION | {"AUTH_BROKER_URL": host})

    assert settings.broker_url is not None
    assert settings.broker_url.get_secret_value() == host
    assert "broker-password" not in str(described(settings)) + str(said)


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


LIMITS = "valkeys://auth:limits-password@valkey.facility.example:6379/2"


@pytest.mark.parametrize(
    ("variables", "variable"),
    [
        ({"AUTH_LIMITS_URL": "http://auth:limits-password@valkey.facility.example"}, "AUTH_LIMITS_URL"),
        ({"AUTH_LIMITS_URL": "valkeys://auth:limits-password@"}, "AUTH_LIMITS_URL"),
        ({"AUTH_LIMITS_URL": "valkeys://auth:limits-password@valkey:six"}, "AUTH_LIMITS_URL"),
        ({"AUTH_LIMITS_URL": "valkeys://auth:limits-password@valkey:99999"}, "AUTH_LIMITS_URL"),
        ({"AUTH_LIMITS_URL": "valkeys://auth:limits-password@[::1"}, "AUTH_LIMITS_URL"),
        ({"AUTH_LIMITS_URL": "valkeys://auth:limits-password@valkey/auth"}, "AUTH_LIMITS_URL"),
        ({"AUTH_LIMITS_URL": "rediss://auth:limits-password@valkey?ssl_cert_reqs=none"}, "AUTH_LIMITS_URL"),
        ({"AUTH_LIMITS_URL": "valkey://auth:limits-password@valkey.facility.example"}, "AUTH_LIMITS_URL"),
        ({"AUTH_LIMITS_URL": "redis://auth:limits-password@127.evil.example"}, "AUTH_LIMITS_URL"),
        ({"AUTH_LIMITS_URL": LIMITS, "AUTH_LIMITS_PREFIX": "two words"}, "AUTH_LIMITS_PREFIX"),
        ({"AUTH_LIMITS_URL": LIMITS, "AUTH_LIMITS_TIMEOUT": "1m"}, "AUTH_LIMITS_TIMEOUT"),
        ({"AUTH_LIMITS_URL": LIMITS, "AUTH_LIMITS_CA_FILE": "/no/such.pem"}, "AUTH_LIMITS_CA_FILE"),
        ({"AUTH_LIMITS_URL": LIMITS, "AUTH_LIMITS_CERTIFICATE_FILE": __file__}, "AUTH_LIMITS_KEY_FILE"),
        ({"AUTH_LIMITS_URL": "valkey://localhost", "AUTH_LIMITS_CA_FILE": __file__}, "AUTH_LIMITS_CA_FILE"),
        ({"AUTH_LIMITS_CA_FILE": __file__}, "AUTH_LIMITS_CA_FILE"),
    ],
)
def test_limits_that_cannot_be_shared_or_not_safely_are_refused(variables: dict[str, str], variable: str) -> None:
    [problem] = problems(PRODUCTION | variables)

    assert problem.startswith(f"{variable}: expected ") or problem == f"{variable}: cannot read /no/such.pem"
    assert "limits-password" not in problem


@pytest.mark.parametrize(
    "url", [LIMITS, "rediss://valkey:7000", "valkey://:limits-password@[::1]:6379", "redis://localhost/"]
)
def test_limits_are_shared_by_tls_or_on_this_machine_and_the_password_is_masked(url: str, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{url}\n")

    settings, said = load(PRODUCTION | {"AUTH_LIMITS_URL_FILE": str(tmp_path / "url")})

    assert settings.limits_url is not None
    assert settings.limits_url.get_secret_value() == url
    assert settings.prefix_of_limits == "auth-service:auth.facility.example"
    assert "limits-password" not in str(described(settings)) + str(said)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AUTH_TRUSTED_PROXIES", "10.0.0.0/8, ::1/128"),
        ("AUTH_RATE_LIMITS", "Login=600/m, all:*=5000/s"),
        ("AUTH_RATE_LIMITS", "none"),
        ("AUTH_ROLE_MAP", "Their Role=ours, Another=auditor"),
        ("AUTH_STAFF_ROLES", "ISIS Instrument Scientist, Another"),
        ("AUTH_CORS_ORIGINS", "https://a.example, https://b.example"),
    ],
)
def test_what_has_several_parts_is_shown_as_it_is_set(tmp_path: Path, variable: str, value: str) -> None:
    shown = {name: said for name, said, _ in described(embedded(tmp_path, **{variable: value}))}

    assert shown[variable] == value
