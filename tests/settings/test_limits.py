"""Limits that replicas share: by TLS or on this machine."""

from pathlib import Path

import pytest

from auth_service.settings import described, load
from tests.settings.given import PRODUCTION, problems

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
    "url",
    [
        LIMITS,
        "rediss://valkey:7000",
        "valkey://:limits-password@[::1]:6379",
        "redis://localhost/",
        "redis://127.0.1.1/",
    ],
)
def test_limits_are_shared_by_tls_or_on_this_machine_and_the_password_is_masked(url: str, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{url}\n")

    settings, said = load(PRODUCTION | {"AUTH_LIMITS_URL_FILE": str(tmp_path / "url")})

    assert settings.limits_url is not None
    assert settings.limits_url.get_secret_value() == url
    assert settings.prefix_of_limits == "auth-service:auth.facility.example"
    assert "limits-password" not in str(described(settings)) + str(said)
