"""What the production profile asks for and refuses."""

import pytest

from auth_service.settings import Address, described, load
from tests.settings.given import PRODUCTION, problems, warnings


def test_production_starts_with_what_it_asks_for() -> None:
    settings, said = load(PRODUCTION)

    assert said == []
    assert not settings.runs_demo_facility
    assert not settings.serves_reflection
    assert not settings.lets_people_register
    assert settings.sealing_secrets == [bytes(range(32))]


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
    "host", ["amqps://auth:broker-password@rabbit.facility.example/auth", "amqp://localhost:5672/", "amqp://127.0.1.1/"]
)
def test_a_broker_is_spoken_to_by_tls_or_on_this_machine_and_its_password_is_masked(host: str) -> None:
    settings, said = load(PRODUCTION | {"AUTH_BROKER_URL": host})

    assert settings.broker_url is not None
    assert settings.broker_url.get_secret_value() == host
    assert "broker-password" not in str(described(settings)) + str(said)
