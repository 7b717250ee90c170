"""What the settings of limits must not be together."""

import os
import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from auth_service.settings.model import PREFIX, Settings
from auth_service.settings.values import is_loopback

_TLS = ("valkeys", "rediss")
_PLAIN = ("valkey", "redis")


def problems_with_limits(settings: Settings) -> list[str]:
    """Lines of `VARIABLE: what was expected`."""
    problems = []
    if settings.failures_per_account < settings.failures_here + 2:
        problems.append(
            f"AUTH_FAILURES_PER_ACCOUNT: {settings.failures_per_account} is less than two more than AUTH_FAILURES_HERE"
            f" ({settings.failures_here}): one stranger could use up what is left for the account's owner"
        )
    if settings.limits_url is not None and not _is_whole(settings.limits_url.get_secret_value()):
        problems.append("AUTH_LIMITS_URL: expected valkeys://user:password@host:6379/0, or valkey:// without TLS")
    if settings.limits_prefix is not None and not re.fullmatch(r"[A-Za-z0-9_.:/-]{1,200}", settings.limits_prefix):
        problems.append("AUTH_LIMITS_PREFIX: expected letters, digits and -_.:/ only")
    if bool(settings.limits_certificate_file) != bool(settings.limits_key_file):
        problems.append("AUTH_LIMITS_KEY_FILE: expected together with AUTH_LIMITS_CERTIFICATE_FILE")
    for name in ("limits_ca_file", "limits_certificate_file", "limits_key_file"):
        path: Path | None = getattr(settings, name)
        if path is None:
            continue
        if not os.access(path, os.R_OK):
            problems.append(f"{PREFIX}{name.upper()}: cannot read {path}")
        elif _parts(settings).scheme not in _TLS:
            problems.append(f"{PREFIX}{name.upper()}: expected with AUTH_LIMITS_URL=valkeys://… only")
    return problems


def unsafe_limits(settings: Settings) -> list[str]:
    """What the production profile does not start with."""
    parts = _parts(settings)
    if parts.scheme not in _PLAIN or is_loopback(parts.hostname or ""):
        return []
    return ["AUTH_LIMITS_URL: expected valkeys://, for who writes there lifts limits and keeps people out"]


def _parts(settings: Settings) -> SplitResult:
    try:
        return urlsplit(settings.limits_url.get_secret_value() if settings.limits_url else "")
    except ValueError:
        return urlsplit("")


def _is_whole(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        is_there = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    is_bare = not (parts.query or parts.fragment)
    return parts.scheme in (*_PLAIN, *_TLS) and is_there and is_bare and bool(re.fullmatch(r"/?\d{0,4}", parts.path))
