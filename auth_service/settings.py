"""The settings: the only reader of the environment. Every problem is reported at once, by the variable's name.

A secret may be given as `NAME` or as `NAME_FILE`, a path to read it from. No secret has a default: the embedded profile
generates what it needs into its data directory, any other profile refuses to start without.
"""

import base64
import binascii
import difflib
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

PREFIX = "AUTH_"


class Profile(StrEnum):
    EMBEDDED = "embedded"
    PRODUCTION = "production"


class SettingsRefused(Exception):
    """`problems` are lines of `VARIABLE: what was expected`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", str(value).strip())
    if match is None:
        raise ValueError("expected a number with a unit, such as 500ms, 30s, 10m, 12h or 30d")
    return timedelta(seconds=float(match[1]) * _UNITS[match[2]])


def _boolean(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    words = {"true": True, "false": False}
    if str(value).strip().lower() not in words:
        raise ValueError("expected true or false")
    return words[str(value).strip().lower()]


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    return value


def _named_secrets(value: Any) -> Any:
    """`name=secret,name=secret`."""
    if not isinstance(value, str):
        return value
    pairs = [item.strip().partition("=") for item in value.split(",") if item.strip()]
    if any(not name or not separator or not secret for name, separator, secret in pairs):
        raise ValueError("expected name=secret, and commas between several")
    return {name: SecretStr(secret) for name, _, secret in pairs}


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. `port` 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def _address(value: Any) -> Any:
    if isinstance(value, Address):
        return value
    host, separator, port = str(value).strip().rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("expected host:port, such as 127.0.0.1:50051 or [::1]:50051")
    return Address(host.strip("[]"), int(port))


def _url(value: Any) -> Any:
    if not re.match(r"https?://[^/\s]+", str(value)):
        raise ValueError("expected an http:// or https:// address")
    return str(value).rstrip("/")


def _key_encryption_key(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 32:
        raise ValueError("expected base64 of 32 bytes each (openssl rand -base64 32), commas between several")
    return raw


def _key_encryption_keys(value: Any) -> Any:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    items = [item for item in re.split(r"[\s,]+", text) if item]
    if not items:
        raise ValueError("expected at least one key")
    for item in items:
        _key_encryption_key(item)
    return SecretStr(",".join(items))


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Boolean = Annotated[bool, BeforeValidator(_boolean)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
NamedSecrets = Annotated[dict[str, SecretStr], BeforeValidator(_named_secrets)]
HostPort = Annotated[Address, BeforeValidator(_address)]
SealingKeys = Annotated[SecretStr, BeforeValidator(_key_encryption_keys)]
HttpUrl = Annotated[str, BeforeValidator(_url)]

WELL_KNOWN_SECRETS = frozenset({"shh", "secret", "changeme", "change-me", "password", "test", "dev", "admin", "apikey"})
SHORTEST_SECRET = 16


class Settings(BaseModel):
    """Everything that can be set. Each field is the variable `AUTH_<FIELD>`; `ALIASES` are the names of row A19."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    profile: Profile = Field(Profile.EMBEDDED, description="embedded (SQLite, generated secrets) or production")
    data_dir: Path = Field(Path(".auth-service"), description="database and generated secrets of the embedded profile")

    grpc_address: HostPort = Field(Address("127.0.0.1", 50051), description="where gRPC listens")
    http_address: HostPort = Field(Address("127.0.0.1", 8080), description="where HTTP listens")
    facility_address: HostPort = Field(Address("127.0.0.1", 8090), description="where the stand-in facility listens")
    demo_facility: Boolean | None = Field(None, description="whether `serve` starts the stand-in facility")

    tls_certificate_file: Path | None = Field(None, description="PEM chain; reloaded when it changes")
    tls_key_file: Path | None = Field(None, description="PEM private key; reloaded when it changes")
    tls_client_ca_file: Path | None = Field(None, description="PEM; clients must then show a certificate of it (mTLS)")
    allow_plaintext: Boolean = Field(False, description="production without TLS, behind something that adds it")
    reflection: Boolean | None = Field(None, description="gRPC reflection; on in the embedded profile only")

    issuer: HttpUrl | None = Field(None, description="`iss` of every token: this service's public address")
    audience: str = Field("auth-service", description="`aud` of every token; `none` leaves it out")
    client_id: str = Field("auth-service", description="`client_id` of tokens that people get by password")
    access_token_lifetime: Duration = Field(timedelta(minutes=10), description="1m to 60m")
    session_idle_lifetime: Duration = Field(timedelta(hours=12), description="a session ends when unused for so long")
    session_absolute_lifetime: Duration = Field(timedelta(days=30), description="a session ends then at the latest")
    refresh_replay_window: Duration = Field(
        timedelta(seconds=10), description="0s to 60s; 0s takes every retry for theft"
    )

    key_encryption_keys: SealingKeys | None = Field(None, description="base64 of 32 bytes each; first seals, all open")
    key_size: int = Field(2048, description="bits of a signing key: 2048, 3072 or 4096")
    key_rotate_every: Duration = Field(timedelta(days=30), description="how long a key signs")
    key_publish_ahead: Duration = Field(timedelta(hours=24), description="how long a key is published before it signs")
    signer_lease: Duration = Field(
        timedelta(seconds=60), description="how long to sign from memory without the database"
    )
    clock_skew: Duration = Field(timedelta(seconds=60), description="leeway that verifiers are granted")

    database_url: SecretStr | None = Field(None, description="postgresql://… ; SQLite in data_dir if not set")
    database_connections: int = Field(10, ge=1, le=200, description="most connections to PostgreSQL")
    database_timeout: Duration = Field(timedelta(milliseconds=800), description="budget of one database step")
    database_statement_cache: Boolean = Field(True, description="false behind a transaction-pooling PgBouncer")
    poll_every: Duration = Field(timedelta(milliseconds=500), description="how often other replicas' changes are read")

    providers: Names | None = Field(None, description="who is asked for a password, in this order: uows, local")
    provider_recheck_after: Duration = Field(
        timedelta(minutes=5), description="refresh asks again for roles older than this"
    )
    staff_roles: Names = Field(("ISIS Instrument Scientist",), description="UOWS roles that make a person staff")
    uows_url: HttpUrl | None = Field(None, description="User Office Web Service")
    uows_api_key: SecretStr | None = Field(None, description="sent as `Authorization: Api-key …`")
    uows_timeout: Duration = Field(timedelta(seconds=5), description="deadline of one sign-in there")
    allocations_url: HttpUrl | None = Field(None, description="Proposal Allocations GraphQL endpoint")
    allocations_api_key: SecretStr | None = Field(None, description="sent as `<header>: token …`")
    allocations_header: str = Field("Authorisation", description="name of the header that carries the key")
    allocations_timeout: Duration = Field(timedelta(seconds=5), description="deadline of one question there")
    api_keys: NamedSecrets = Field({}, description="name=secret of each service that may ask for experiments")

    argon2_memory_kib: int = Field(19456, ge=19456, description="memory of one password hash")
    argon2_passes: int = Field(2, ge=2, description="passes of one password hash")

    drain: Duration = Field(timedelta(milliseconds=500), description="NOT_SERVING before the door closes")
    grace: Duration = Field(timedelta(seconds=8), description="how long calls under way may take at the end")
    request_deadline: Duration = Field(timedelta(seconds=10), description="for calls that bring none")

    log_level: str = Field("info", description="debug, info, warning or error")
    log_format: str = Field("auto", description="json, console, or auto: console on a terminal")
    otlp_endpoint: str | None = Field(None, description="OpenTelemetry collector (gRPC); no traces if not set")
    build: str = Field("unknown", description="the commit or build, as GetServerInfo tells it")

    @property
    def is_embedded(self) -> bool:
        return self.profile is Profile.EMBEDDED

    @property
    def runs_demo_facility(self) -> bool:
        """Unless it is said, the embedded profile brings the facility that it has no address for."""
        return self.demo_facility if self.demo_facility is not None else self.is_embedded and self.uows_url is None

    @property
    def serves_reflection(self) -> bool:
        return self.is_embedded if self.reflection is None else self.reflection

    @property
    def token_audience(self) -> str | None:
        return None if self.audience == "none" else self.audience

    @property
    def token_issuer(self) -> str:
        return self.issuer or f"http://{self.http_address}"

    @property
    def sealing_secrets(self) -> list[bytes]:
        assert self.key_encryption_keys is not None
        return [_key_encryption_key(item) for item in self.key_encryption_keys.get_secret_value().split(",")]

    @property
    def database(self) -> str:
        """The database's address, password included."""
        if self.database_url is None:
            return f"sqlite:///{self.data_dir / 'auth.sqlite3'}"
        return self.database_url.get_secret_value()


ALIASES = {
    "UOWS_URL": "AUTH_UOWS_URL",
    "UOWS_API_KEY": "AUTH_UOWS_API_KEY",
    "ALLOCATIONS_URL": "AUTH_ALLOCATIONS_URL",
    "ALLOCATIONS_API_KEY": "AUTH_ALLOCATIONS_API_KEY",
}
"""Names of row A19 that mean the same as ours. Four more need work: see `_translated`."""

_SECRET = {"key_encryption_keys", "database_url", "uows_api_key", "allocations_api_key", "api_keys"}


def load(environment: Mapping[str, str] | None = None) -> tuple[Settings, list[str]]:
    """The settings in force, and warnings worth a line. Raises SettingsRefused with every problem there is."""
    given = dict(os.environ if environment is None else environment)
    problems: list[str] = []
    translated = _translated(given, problems)
    _read_files(translated, problems)
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    values = {
        key.removeprefix(PREFIX).lower(): value for key, value in translated.items() if key in known and value != ""
    }
    _generate_secrets(values, problems)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        refused = {str(each["loc"][0]) for each in error.errors()}
        problems += [_line(each) for each in error.errors()]
        # What is good is checked together all the same, so that nobody has to mend one line at a time.
        settings = Settings.model_validate({name: value for name, value in values.items() if name not in refused})
        named = {line.partition(":")[0] for line in problems}
        problems += [line for line in _problems(settings) if line.partition(":")[0] not in named]
    else:
        problems += _problems(settings)
    if problems:
        raise SettingsRefused(sorted(set(problems)))
    return settings, _warnings(settings, given, known)


def described(settings: Settings) -> list[tuple[str, str, str]]:
    """Name, value in force (secrets masked) and meaning of every setting."""
    return [
        (PREFIX + name.upper(), _shown(name, getattr(settings, name)), field.description or "")
        for name, field in Settings.model_fields.items()
    ]


def _translated(given: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """`given` with the names of row A19 turned into ours; ours win."""
    result = {key: value for key, value in given.items() if key.startswith(PREFIX)}
    for old, new in ALIASES.items():
        for suffix in ("", "_FILE"):
            if given.get(old + suffix):
                result.setdefault(new + suffix, given[old + suffix])
    if minutes := given.get("ACCESS_TOKEN_LIFETIME_MINUTES"):
        if re.fullmatch(r"\d+(\.\d+)?", minutes):
            result.setdefault("AUTH_ACCESS_TOKEN_LIFETIME", f"{minutes}m")
        else:
            problems.append("ACCESS_TOKEN_LIFETIME_MINUTES: expected a number of minutes")
    if "AUTH_API_KEYS" not in result and "AUTH_API_KEYS_FILE" not in result:
        key = given.get("FIA_AUTH_API_KEY") or _content(given.get("FIA_AUTH_API_KEY_FILE"), problems)
        if key:
            result["AUTH_API_KEYS"] = f"fia={key}"
    if given.get("DB_IP") and "AUTH_DATABASE_URL" not in result:
        user, password = quote(given.get("DB_USERNAME", ""), safe=""), quote(given.get("DB_PASSWORD", ""), safe="")
        port, name = given.get("DB_PORT") or "5432", given.get("DB_NAME") or "fia"
        result["AUTH_DATABASE_URL"] = f"postgresql://{user}:{password}@{given['DB_IP']}:{port}/{name}"
    return result


def _read_files(values: dict[str, str], problems: list[str]) -> None:
    for name in _SECRET:
        variable = PREFIX + name.upper()
        path = values.pop(f"{variable}_FILE", None)
        if path is None:
            continue
        if values.get(variable):
            problems.append(f"{variable}: expected either {variable} or {variable}_FILE, not both")
            continue
        values[variable] = _content(path, problems, variable=f"{variable}_FILE") or ""


def _content(path: str | None, problems: list[str], *, variable: str = "FIA_AUTH_API_KEY_FILE") -> str | None:
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{variable}: cannot read it ({type(error).__name__})")
        return None


def _generate_secrets(values: dict[str, Any], problems: list[str]) -> None:
    if values.get("profile", Profile.EMBEDDED) != Profile.EMBEDDED or "key_encryption_keys" in values:
        return
    data_dir = Path(values.get("data_dir", Settings.model_fields["data_dir"].default))
    try:
        values["key_encryption_keys"] = _generated(data_dir / "key-encryption-key")
    except OSError as error:
        problems.append(f"AUTH_DATA_DIR: cannot use {data_dir} ({error.strerror})")


def _generated(path: Path) -> str:
    """The secret in `path`, made at the first start. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(base64.b64encode(secrets.token_bytes(32)).decode())
    except FileExistsError:
        if path.stat().st_mode & 0o077:
            raise PermissionError(13, f"{path.name} may be read by others, expected mode 0600") from None
    return path.read_text(encoding="ascii").strip()


def _line(error: Any) -> str:
    name = str(error["loc"][0]) if error["loc"] else ""
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{PREFIX}{name.upper()}: {message[:1].lower()}{message[1:]}"


def _problems(settings: Settings) -> list[str]:
    return [*_contradictions(settings), *(_unsafe(settings) if settings.profile is Profile.PRODUCTION else ())]


def _contradictions(settings: Settings) -> list[str]:
    """What no profile starts with."""
    minute, hour = timedelta(minutes=1), timedelta(hours=1)
    lifetime = settings.access_token_lifetime
    problems = []
    if not timedelta(seconds=10) <= lifetime <= hour:
        problems.append(f"AUTH_ACCESS_TOKEN_LIFETIME: expected 10s to 60m, got {lifetime}")
    if not timedelta(0) <= settings.refresh_replay_window <= minute:
        problems.append(f"AUTH_REFRESH_REPLAY_WINDOW: expected 0s to 60s, got {settings.refresh_replay_window}")
    if settings.session_idle_lifetime < lifetime:
        problems.append(
            f"AUTH_SESSION_IDLE_LIFETIME: {settings.session_idle_lifetime} is shorter than an access token ({lifetime})"
        )
    if settings.session_absolute_lifetime < settings.session_idle_lifetime:
        problems.append(
            f"AUTH_SESSION_ABSOLUTE_LIFETIME: {settings.session_absolute_lifetime} is shorter than"
            f" AUTH_SESSION_IDLE_LIFETIME ({settings.session_idle_lifetime})"
        )
    if settings.key_size not in (2048, 3072, 4096):
        problems.append(f"AUTH_KEY_SIZE: expected 2048, 3072 or 4096, got {settings.key_size}")
    if settings.key_rotate_every < settings.key_publish_ahead:
        problems.append(
            f"AUTH_KEY_ROTATE_EVERY: {settings.key_rotate_every} is shorter than AUTH_KEY_PUBLISH_AHEAD"
            f" ({settings.key_publish_ahead}): a key would be due before verifiers know it"
        )
    if settings.clock_skew > timedelta(minutes=5):
        problems.append(f"AUTH_CLOCK_SKEW: expected 0s to 5m, got {settings.clock_skew}")
    if settings.signer_lease < 4 * settings.poll_every:
        problems.append(
            f"AUTH_SIGNER_LEASE: {settings.signer_lease} is shorter than four times AUTH_POLL_EVERY"
            f" ({settings.poll_every}): a late poll would stop sign-in"
        )
    if not timedelta(milliseconds=50) <= settings.poll_every <= minute:
        problems.append(f"AUTH_POLL_EVERY: expected 50ms to 60s, got {settings.poll_every}")
    if not timedelta(milliseconds=50) <= settings.database_timeout <= timedelta(seconds=5):
        problems.append(f"AUTH_DATABASE_TIMEOUT: expected 50ms to 5s, got {settings.database_timeout}")
    for name in settings.providers or ():
        if name not in ("uows", "local"):
            problems.append(f"AUTH_PROVIDERS: expected uows and local, got {name!r}")
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
    for name in ("tls_certificate_file", "tls_key_file", "tls_client_ca_file"):
        path: Path | None = getattr(settings, name)
        if path is not None and not os.access(path, os.R_OK):
            problems.append(f"{PREFIX}{name.upper()}: cannot read {path}")
    if settings.log_level not in ("debug", "info", "warning", "error"):
        problems.append(f"AUTH_LOG_LEVEL: expected debug, info, warning or error, got {settings.log_level!r}")
    if settings.log_format not in ("auto", "json", "console"):
        problems.append(f"AUTH_LOG_FORMAT: expected auto, json or console, got {settings.log_format!r}")
    for service, secret in settings.api_keys.items():
        if secret.get_secret_value().lower() in WELL_KNOWN_SECRETS:
            problems.append(f"AUTH_API_KEYS: the key of {service!r} is a well-known one")
        if "." in secret.get_secret_value():
            problems.append(f"AUTH_API_KEYS: the key of {service!r} holds a dot, which only access tokens do")
    if not re.match(r"(postgresql(\+asyncpg)?://[^/]+/.|sqlite(\+aiosqlite)?:///.)", settings.database):
        problems.append("AUTH_DATABASE_URL: expected postgresql://user:password@host:port/name or sqlite:///path")
    return problems


def _unsafe(settings: Settings) -> list[str]:
    """What the production profile does not start with."""
    problems = []
    if settings.key_encryption_keys is None:
        problems.append("AUTH_KEY_ENCRYPTION_KEYS: expected base64 of 32 bytes (openssl rand -base64 32)")
    if settings.database_url is None:
        problems.append("AUTH_DATABASE_URL: expected postgresql://user:password@host:port/name")
    if settings.issuer is None:
        problems.append("AUTH_ISSUER: expected the public https:// address of this service")
    elif not settings.issuer.startswith("https://"):
        problems.append("AUTH_ISSUER: expected https://")
    if settings.providers is None:
        problems.append("AUTH_PROVIDERS: expected uows, local or both, in the order to ask them")
    if settings.demo_facility:
        problems.append("AUTH_DEMO_FACILITY: the stand-in facility's passwords are public")
    if settings.tls_certificate_file is None and not settings.allow_plaintext and not settings.grpc_address.is_loopback:
        problems.append(
            "AUTH_TLS_CERTIFICATE_FILE: expected, or AUTH_ALLOW_PLAINTEXT=true behind something that adds TLS"
        )
    for name in ("uows_url", "allocations_url"):
        url: str | None = getattr(settings, name)
        if url is not None and not url.startswith("https://"):
            problems.append(f"{PREFIX}{name.upper()}: expected https://, passwords and keys travel there")
    for service, secret in settings.api_keys.items():
        if len(secret.get_secret_value()) < SHORTEST_SECRET:
            problems.append(f"AUTH_API_KEYS: the key of {service!r} is shorter than {SHORTEST_SECRET} characters")
    return problems


def _warnings(settings: Settings, given: Mapping[str, str], known: set[str]) -> list[str]:
    warnings = []
    if settings.key_publish_ahead < timedelta(minutes=25):
        warnings.append(
            f"AUTH_KEY_PUBLISH_AHEAD is {settings.key_publish_ahead}: verifiers that refetch the key set every 20"
            " minutes (Istio) will refuse tokens after a rotation"
        )
    for variable in given:
        if variable.startswith(PREFIX) and variable.removesuffix("_FILE") not in known:
            near = difflib.get_close_matches(variable, known, n=1)
            warnings.append(f"{variable} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    return warnings


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in _SECRET:
        if name == "database_url":
            return re.sub(r"(?<=:)[^:/]*(?=@)", "********", value.get_secret_value())
        return ", ".join(f"{service}=********" for service in value) if isinstance(value, dict) else "********"
    if isinstance(value, timedelta):
        return str(value)
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)
