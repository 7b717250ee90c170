"""Values: what cannot be is refused by the variable's name, alone and together."""

from datetime import timedelta
from pathlib import Path

import pytest

from auth_service.settings import Settings, described
from tests.settings.given import KEY, embedded, problems


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


@pytest.mark.parametrize("length", ["500ms", "1500ms", "0s", "90s", "10m", "36h", "30d", "1806m"])
def test_a_time_is_shown_as_one_types_it(tmp_path: Path, length: str) -> None:
    shown = {name: value for name, value, _ in described(embedded(tmp_path, AUTH_KEY_ROTATION_PATIENCE=length))}

    assert shown["AUTH_KEY_ROTATION_PATIENCE"] == length


def test_a_time_out_of_range_is_told_as_one_types_it(tmp_path: Path) -> None:
    said = problems({"AUTH_DATA_DIR": str(tmp_path), "AUTH_ACCESS_TOKEN_LIFETIME": "5s"})

    assert said == ["AUTH_ACCESS_TOKEN_LIFETIME: expected 10s to 60m, got 5s"]


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
