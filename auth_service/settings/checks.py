"""What settings must not be together, what production does not start with, and what is worth a warning."""

import difflib
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from auth_service.settings.hs256 import problems_with_hs256, warnings_about_hs256
from auth_service.settings.keys import problems_with_keys, unsafe_keys, warnings_about_keys
from auth_service.settings.limits import problems_with_limits, unsafe_limits
from auth_service.settings.mail import problems_with_mail, unsafe_mail, warnings_about_mail
from auth_service.settings.model import PREFIX, SECRETS, Profile, Settings
from auth_service.settings.values import duration, is_loopback, typed
from auth_service.settings.well_known import is_well_known

SHORTEST_SECRET = 16
_SERVICE_NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}")
"""As names of service accounts are, which the services in the settings become."""

RANGES = {
    "access_token_lifetime": "10s to 60m",
    "refresh_replay_window": "0s to 60s",
    "session_idle_lifetime": "0s to 3650d",
    "session_absolute_lifetime": "0s to 3650d",
    "key_rotate_every": "1s to 3650d",
    "key_publish_ahead": "0s to 365d",
    "key_consumer_window": "0s to 365d",
    "key_rotation_patience": "0s to 365d",
    "key_rollback_within": "0s to 1d",
    "signer_lease": "0s to 10m",
    "clock_skew": "0s to 5m",
    "database_timeout": "50ms to 5s",
    "poll_every": "50ms to 60s",
    "provider_recheck_after": "0s to 1d",
    "uows_timeout": "50ms to 5m",
    "allocations_timeout": "50ms to 5m",
    "smtp_timeout": "50ms to 5m",
    "limits_timeout": "20ms to 2s",
    "password_reset_lifetime": "1m to 1d",
    "email_verification_lifetime": "1m to 30d",
    "drain": "0s to 5m",
    "grace": "0s to 5m",
    "request_deadline": "50ms to 5m",
    "trust_heartbeat": "100ms to 5m",
    "slowest_reader": "50ms to 60s",
}


def problems_of(settings: Settings) -> list[str]:
    """Lines of `VARIABLE: what was expected`; empty when the service may start."""
    return [*_contradictions(settings), *(_unsafe(settings) if settings.profile is Profile.PRODUCTION else ())]


def _contradictions(settings: Settings) -> list[str]:
    """What no profile starts with."""
    lifetime = settings.access_token_lifetime
    problems = []
    if settings.session_idle_lifetime < lifetime:
        problems.append(
            f"AUTH_SESSION_IDLE_LIFETIME: {typed(settings.session_idle_lifetime)} is shorter than an access token"
            f" ({typed(lifetime)})"
        )
    if settings.session_absolute_lifetime < settings.session_idle_lifetime:
        problems.append(
            f"AUTH_SESSION_ABSOLUTE_LIFETIME: {typed(settings.session_absolute_lifetime)} is shorter than"
            f" AUTH_SESSION_IDLE_LIFETIME ({typed(settings.session_idle_lifetime)})"
        )
    if settings.providers == ():
        problems.append("AUTH_PROVIDERS: expected uows, local or both")
    if settings.issuer is not None and re.search(r"[?#]", settings.issuer):
        problems.append("AUTH_ISSUER: expected neither ? nor # (RFC 8414 section 2)")
    problems += _problems_with_cookie(settings)
    for name in settings.provider_order:
        if name not in ("uows", "local"):
            problems.append(f"AUTH_PROVIDERS: expected uows and local, got {name!r}")
    if settings.registration and "local" not in settings.provider_order:
        problems.append("AUTH_REGISTRATION: expected local among AUTH_PROVIDERS, or nobody signs in afterwards")
    if settings.uows_url and not settings.uows_api_key:
        problems.append("AUTH_UOWS_API_KEY: expected, because AUTH_UOWS_URL is set")
    if settings.allocations_url and not settings.allocations_api_key:
        problems.append("AUTH_ALLOCATIONS_API_KEY: expected, because AUTH_ALLOCATIONS_URL is set")
    if "uows" in (settings.providers or ()) and not settings.uows_url and not settings.runs_demo_facility:
        problems.append("AUTH_UOWS_URL: expected, because AUTH_PROVIDERS names uows")
    if bool(settings.tls_certificate_file) != bool(settings.tls_key_file):
        problems.append("AUTH_TLS_KEY_FILE: expected together with AUTH_TLS_CERTIFICATE_FILE")
    if settings.tls_client_ca_file and not settings.tls_certificate_file:
        problems.append("AUTH_TLS_CERTIFICATE_FILE: expected, because AUTH_TLS_CLIENT_CA_FILE is set")
    for name in ("tls_certificate_file", "tls_key_file", "tls_client_ca_file", "policy_file"):
        path: Path | None = getattr(settings, name)
        if path is not None and not os.access(path, os.R_OK):
            problems.append(f"{PREFIX}{name.upper()}: cannot read {path}")
    broker = settings.broker_url.get_secret_value() if settings.broker_url else "amqp://host"
    if not re.match("amqps?://", broker) or not _host_of(broker):
        problems.append("AUTH_BROKER_URL: expected amqps://user:password@host:port/virtual-host")
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,255}", settings.broker_exchange):
        problems.append("AUTH_BROKER_EXCHANGE: expected letters, digits and -_.: only")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        problems.append(f"AUTH_LOG_LEVEL: expected debug, info, warning or error, got {settings.log_level!r}")
    if settings.log_format not in ("auto", "json", "console"):
        problems.append(f"AUTH_LOG_FORMAT: expected auto, json or console, got {settings.log_format!r}")
    for service, secret in settings.api_keys.items():
        problems += [f"AUTH_API_KEYS: {defect}" for defect in _defects(service, secret.get_secret_value())]
    if len({secret.get_secret_value() for secret in settings.api_keys.values()}) < len(settings.api_keys):
        problems.append("AUTH_API_KEYS: expected a key of its own for each service")
    if not re.match(r"(postgresql(\+asyncpg)?://[^/]+/.|sqlite(\+aiosqlite)?:///.)", settings.database):
        problems.append("AUTH_DATABASE_URL: expected postgresql://user:password@host:port/name or sqlite:///path")
    return [
        *_out_of_range(settings),
        *problems,
        *problems_with_keys(settings),
        *problems_with_mail(settings),
        *problems_with_limits(settings),
        *problems_with_hs256(settings),
    ]


def _out_of_range(settings: Settings) -> list[str]:
    problems = []
    for name, span in RANGES.items():
        shortest, longest = map(duration, span.split(" to "))
        value: timedelta = getattr(settings, name)
        if not shortest <= value <= longest:
            problems.append(f"{PREFIX}{name.upper()}: expected {span}, got {typed(value)}")
    return problems


def _problems_with_cookie(settings: Settings) -> list[str]:
    """What browsers would drop without a word."""
    problems = []
    if settings.cookie_same_site == "none" and not settings.cookie_secure:
        problems.append("AUTH_COOKIE_SECURE: expected true, because AUTH_COOKIE_SAME_SITE is none")
    if settings.access_cookie_name == settings.cookie_name:
        problems.append("AUTH_ACCESS_COOKIE_NAME: expected another name than AUTH_COOKIE_NAME")
    for variable in ("AUTH_COOKIE_NAME", "AUTH_ACCESS_COOKIE_NAME"):
        name: str = getattr(settings, variable.removeprefix(PREFIX).lower())
        if name.startswith(("__Host-", "__Secure-")) and not settings.cookie_secure:
            problems.append(f"AUTH_COOKIE_SECURE: expected true, because of the prefix of {variable}")
        if name.startswith("__Host-") and (settings.cookie_domain or settings.path_of_cookie != "/"):
            problems.append(f"{variable}: a name with __Host- goes with no AUTH_COOKIE_DOMAIN and AUTH_COOKIE_PATH=/")
    return problems


def _unsafe(settings: Settings) -> list[str]:
    """What the production profile does not start with."""
    problems = []
    if settings.database_url is None:
        problems.append("AUTH_DATABASE_URL: expected postgresql://user:password@host:port/name")
    if settings.issuer is None:
        problems.append("AUTH_ISSUER: expected the public https:// address of this service")
    elif not settings.issuer.startswith("https://"):
        problems.append("AUTH_ISSUER: expected https://")
    if settings.providers is None:
        problems.append("AUTH_PROVIDERS: expected uows, local or both, in the order to ask them")
    if not settings.cookie_secure:
        problems.append("AUTH_COOKIE_SECURE: expected true, browsers would send tokens without TLS")
    if settings.demo_facility:
        problems.append("AUTH_DEMO_FACILITY: the stand-in facility's passwords are public")
    is_exposed = not (settings.grpc_address.is_loopback and settings.http_address.is_loopback)
    if settings.tls_certificate_file is None and not settings.allow_plaintext and is_exposed:
        problems.append(
            "AUTH_TLS_CERTIFICATE_FILE: expected, or AUTH_ALLOW_PLAINTEXT=true behind something that adds TLS"
        )
    for name in ("uows_url", "allocations_url"):
        url: str | None = getattr(settings, name)
        if url is not None and not url.startswith("https://"):
            problems.append(f"{PREFIX}{name.upper()}: expected https://, passwords and keys travel there")
    broker = settings.broker_url.get_secret_value() if settings.broker_url else "amqps://"
    if broker.startswith("amqp://") and not is_loopback(_host_of(broker)):
        problems.append("AUTH_BROKER_URL: expected amqps://, its password and people's ids travel there")
    return [*problems, *unsafe_keys(settings), *unsafe_limits(settings), *unsafe_mail(settings)]


def _defects(service: str, secret: str) -> list[str]:
    """What is wrong with an API key that somebody chose."""
    defects = []
    if not _SERVICE_NAME.fullmatch(service):
        defects.append(f"expected a letter and up to 63 of a-z 0-9 . _ - for a name, got {service!r}")
    if is_well_known(secret):
        defects.append(f"the key of {service!r} is a well-known one (openssl rand -hex 32 makes a good one)")
    elif len(secret) < SHORTEST_SECRET:
        defects.append(f"the key of {service!r} is shorter than {SHORTEST_SECRET} characters")
    if "." in secret:
        defects.append(f"the key of {service!r} holds a dot, which only access tokens do")
    return defects


def _host_of(url: str) -> str:
    """Empty where there is none to be found."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


_KUBERNETES = re.compile(r"AUTH_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")
"""What Kubernetes puts into every container for a service that is named `auth` or `auth-…`."""


def warnings_about(settings: Settings, given: Mapping[str, str]) -> list[str]:
    """Lines for a person: what is legal and probably not meant."""
    warnings = warnings_about_hs256(settings)
    if settings.runs_demo_facility and not (settings.grpc_address.is_loopback and settings.http_address.is_loopback):
        warnings.append(
            "the stand-in facility's passwords are public, and this service listens beyond this machine: anybody there"
            " can sign in as staff (AUTH_DEMO_FACILITY=false ends it)"
        )
    warnings += [*warnings_about_mail(settings), *warnings_about_keys(settings)]
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    known |= {f"{PREFIX}{name.upper()}_FILE" for name in SECRETS}
    for variable in sorted(given):
        if variable.startswith(PREFIX) and variable not in known and not _KUBERNETES.fullmatch(variable):
            near = difflib.get_close_matches(variable, known, n=1)
            warnings.append(f"{variable} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    return warnings
