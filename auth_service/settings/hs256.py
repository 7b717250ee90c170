"""What the secret of the service before this one has to be, and for how long its tokens are taken."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from auth_service.settings.model import PREFIX, SECRETS, Settings
from auth_service.settings.well_known import is_well_known

SHORTEST, SHORT = 16, 32
"""In bytes: what fewer than 16 may be found by trying; RFC 7518 section 3.2 asks for 32."""

LONGEST_TRANSITION = timedelta(days=90)
_PUBLIC_KEY = re.compile(r"""-----BEGIN|ssh-rsa |ssh-ed25519 |"kty"\s*:""")


def problems_with_hs256(settings: Settings) -> list[str]:
    if settings.hs256_secret is None and settings.hs256_until is None:
        return []
    if settings.hs256_secret is None or settings.hs256_until is None:
        return ["AUTH_HS256_UNTIL: expected together with AUTH_HS256_SECRET, neither without the other"]
    problems = [f"AUTH_HS256_SECRET: {defect}" for defect in _defects(settings.hs256_secret.get_secret_value())]
    if (other := _shared_with(settings)) is not None:
        problems.append(f"AUTH_HS256_SECRET: is {PREFIX}{other.upper()} too, expected a secret of its own")
    if settings.hs256_until > datetime.now(UTC) + LONGEST_TRANSITION:
        problems.append(
            "AUTH_HS256_UNTIL: expected at most 90 days ahead: until then whoever holds AUTH_HS256_SECRET can make"
            " tokens that Verify takes"
        )
    return problems


def warnings_about_hs256(settings: Settings) -> list[str]:
    if settings.hs256_secret is None or settings.hs256_until is None:
        return []
    if settings.hs256_until <= datetime.now(UTC):
        return ["AUTH_HS256_UNTIL is over, tokens of the service before are refused: remove it and AUTH_HS256_SECRET"]
    if len(settings.hs256_secret.get_secret_value().encode()) < SHORT:
        return [f"AUTH_HS256_SECRET is shorter than {SHORT} bytes: one token is enough to search for it (RFC 7518)"]
    return []


def _defects(secret: str) -> list[str]:
    if _PUBLIC_KEY.search(secret):
        return ["is a key, expected a secret that the service before signed with"]
    if is_well_known(secret):
        return ["is a well-known one: give the service before a real one first (openssl rand -hex 32)"]
    if len(secret.encode()) < SHORTEST:
        return [f"is shorter than {SHORTEST} bytes: give the service before a longer one first (openssl rand -hex 32)"]
    return []


def _shared_with(settings: Settings) -> str | None:
    """The other setting that has this secret."""
    assert settings.hs256_secret is not None
    ours = settings.hs256_secret.get_secret_value()
    return next((name for name in sorted(SECRETS - {"hs256_secret"}) if ours in _secrets_in(settings, name)), None)


def _secrets_in(settings: Settings, name: str) -> set[str]:
    value: SecretStr | dict[str, SecretStr] | None = getattr(settings, name)
    if value is None:
        return set()
    if isinstance(value, dict):
        return {each.get_secret_value() for each in value.values()}
    text = value.get_secret_value()
    if name == "key_encryption_keys":
        return {*text.split(",")}
    return {text, *_password_of(text)}


def _password_of(url: str) -> set[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return set()
    return {password, unquote(password)} if password else set()
