"""Environments to read settings from, and what is said of them."""

import base64
from pathlib import Path

import pytest

from auth_service.settings import Settings, SettingsRefused, load

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
