"""Everything that can be set, and what follows from it."""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from auth_service.settings.consumers import consumers
from auth_service.settings.values import (
    Address,
    Boolean,
    CookieName,
    Duration,
    HostPort,
    HttpUrl,
    Moment,
    NamedSecrets,
    Names,
    Networks,
    Origins,
    Rates,
    RoleMap,
    SameSite,
    SealingKeys,
    UrlPath,
    key_encryption_key,
)

PREFIX = "AUTH_"
HOME_DATABASE = "auth.sqlite3"
"""In the embedded profile's directory."""
KeyConsumers = Annotated[dict[str, timedelta], BeforeValidator(consumers)]


class Profile(StrEnum):
    EMBEDDED = "embedded"
    PRODUCTION = "production"


class Settings(BaseModel):
    """Everything that can be set. Each field is the variable `AUTH_<FIELD>`; `reading.ALIASES` has others."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    profile: Profile = Field(Profile.EMBEDDED, description="embedded (SQLite, generated secrets) or production")
    data_dir: Path = Field(Path(".auth-service"), description="database and generated secrets of the embedded profile")

    grpc_address: HostPort = Field(Address("127.0.0.1", 50051), description="where gRPC listens")
    http_address: HostPort = Field(Address("127.0.0.1", 8080), description="where HTTP listens")
    facility_address: HostPort = Field(Address("127.0.0.1", 8090), description="where the stand-in facility listens")
    demo_facility: Boolean | None = Field(None, description="whether `serve` starts the stand-in facility")

    trusted_proxies: Networks = Field(
        (), description="whose x-forwarded-for or forwarded is believed, such as 10.0.0.0/8; nobody's if not set"
    )
    tls_certificate_file: Path | None = Field(None, description="PEM chain; reloaded when it changes")
    tls_key_file: Path | None = Field(None, description="PEM private key; reloaded when it changes")
    tls_client_ca_file: Path | None = Field(None, description="PEM; clients must then show a certificate of it (mTLS)")
    allow_plaintext: Boolean = Field(False, description="production without TLS, behind something that adds it")
    reflection: Boolean | None = Field(None, description="gRPC reflection; on in the embedded profile only")

    api_pages: Boolean | None = Field(
        None, description="/, /docs, /reference, /openapi.json, /descriptors.binpb; on in the embedded profile only"
    )

    path_prefix: UrlPath = Field("", description="/auth, where the public address has such a path in front of ours")
    cors_origins: Origins = Field(
        (), description="https://portal.example, …: whose pages may call; nobody's if not set"
    )
    rest_compatibility: Boolean = Field(
        True, description="/login and its like refuse as the service before this one did; false: 401, 503 and a reason"
    )
    cookie_name: CookieName = Field("refresh_token", description="of the cookie that carries a browser's refresh token")
    access_cookie_name: CookieName = Field("access_token", description="of the cookie that carries its access token")
    cookie_path: UrlPath | None = Field(None, description="if not set, AUTH_PATH_PREFIX or /")
    cookie_domain: str | None = Field(None, description="if not set, the host that answered and no other")
    cookie_same_site: SameSite = Field("lax", description="lax, strict or none")
    next_origins: Origins = Field(
        (), description="https://portal.example, …: where sign-in may lead, beside this site; nowhere else if not set"
    )
    cookie_secure: Boolean = Field(True, description="false only for browsers that reach us without TLS")

    policy_file: Path | None = Field(
        None, description="policy.json: who may do what where, for gateways that ask; read again when it changes"
    )

    issuer: HttpUrl | None = Field(None, description="`iss` of every token: this service's public address")
    audience: str = Field("auth-service", description="`aud` of every token; `none` leaves it out")
    client_id: str = Field("auth-service", description="`client_id` of tokens that people get by password")
    access_token_lifetime: Duration = Field(timedelta(minutes=10), description="10s to 60m")
    session_idle_lifetime: Duration = Field(timedelta(hours=12), description="a session ends when unused for so long")
    session_absolute_lifetime: Duration = Field(timedelta(days=30), description="a session ends then at the latest")
    refresh_replay_window: Duration = Field(
        timedelta(seconds=10), description="0s to 60s; 0s takes every retry for theft"
    )

    key_encryption_keys: SealingKeys | None = Field(None, description="base64 of 32 bytes each; first seals, all open")
    key_size: int = Field(2048, description="bits of a signing key: 2048, 3072 or 4096")
    key_rotate_every: Duration = Field(timedelta(days=30), description="how long a key signs")
    key_publish_ahead: Duration = Field(timedelta(hours=24), description="how long a key is published before it signs")
    key_consumers: KeyConsumers = Field(
        {},
        description="who fetches the key set, so that a key is published long enough before it signs: such as"
        " envoy,istio,nginx,pyjwt,auth-client, or gateway=15m for others",
    )
    key_consumer_window: Duration = Field(
        timedelta(hours=48), description="a rotation waits for who took the key set within this, and regularly"
    )
    key_rotation_patience: Duration = Field(
        timedelta(hours=24), description="how long, past its time, until they hold the next key; 0s waits for nobody"
    )
    key_rollback_within: Duration = Field(
        timedelta(minutes=15), description="how long a key that stopped signing is kept so that it can sign again"
    )
    signer_lease: Duration = Field(
        timedelta(seconds=60), description="how long to sign from memory without the database"
    )
    clock_skew: Duration = Field(timedelta(seconds=60), description="leeway that verifiers are granted")

    database_url: SecretStr | None = Field(None, description="postgresql://… ; SQLite in data_dir if not set")
    database_connections: int = Field(
        10, ge=1, le=200, description="most connections to PostgreSQL, beside one that listens"
    )
    database_timeout: Duration = Field(timedelta(milliseconds=800), description="budget of one database step")
    database_statement_cache: Boolean = Field(True, description="false behind a transaction-pooling PgBouncer")
    poll_every: Duration = Field(timedelta(milliseconds=500), description="how often other replicas' changes are read")

    providers: Names | None = Field(None, description="who is asked for a password, in this order: uows, local")
    provider_recheck_after: Duration = Field(
        timedelta(minutes=5), description="refresh asks again for roles older than this"
    )
    staff_roles: Names = Field(("ISIS Instrument Scientist",), description="UOWS roles that make a person staff")
    role_map: RoleMap = Field({}, description="roles that a UOWS role brings: <role there>=<role here>, …")
    uows_url: HttpUrl | None = Field(None, description="User Office Web Service")
    uows_api_key: SecretStr | None = Field(None, description="sent as `Authorization: Api-key …`")
    uows_timeout: Duration = Field(timedelta(seconds=4), description="deadline of one sign-in there")
    allocations_url: HttpUrl | None = Field(None, description="Proposal Allocations GraphQL endpoint")
    allocations_api_key: SecretStr | None = Field(None, description="sent as `<header>: token …`")
    allocations_header: str = Field("Authorisation", description="name of the header that carries the key")
    allocations_timeout: Duration = Field(timedelta(seconds=4), description="deadline of one question there")
    api_keys: NamedSecrets = Field({}, description="name=secret of services with the scope experiments:read")

    hs256_secret: SecretStr | None = Field(
        None, description="of the service before this one, whose tokens Verify then takes too (coming-from-hs256.md)"
    )
    hs256_until: Moment | None = Field(None, description="ends that: 2027-01-31 (00:00 UTC), at most 90 days ahead")

    registration: Boolean | None = Field(
        None, description="whether people make their own accounts; on in the embedded profile only"
    )
    require_verified_email: Boolean = Field(
        False, description="sign-in waits until a person's e-mail address is verified; who registers needs one"
    )
    password_min_length: int = Field(
        15, ge=8, le=64, description="shortest password that may be chosen; below 15 only beside a second factor"
    )
    failures_here: int = Field(
        4, ge=1, description="wrong passwords on one account from one address before the next has to wait, and longer"
    )
    failures_per_account: int = Field(
        6, ge=1, description="the same from all addresses; one that the owner has signed in from is let through"
    )
    failures_per_address: int = Field(30, ge=1, description="the same from one address, on all accounts together")
    rate_limits: Rates = Field(
        {
            "*": (2000, timedelta(seconds=1)),
            **dict.fromkeys(
                ("Register", "RequestPasswordReset", "RequestEmailVerification"), (600, timedelta(minutes=1))
            ),
        },
        description=(
            "calls of a method, of a path such as /authz, or * of all methods but Verify, GetJwks and GetServerInfo,"
            " from one address; all: of everybody; such as Login=600/m,all:*=5000/s, or none"
        ),
    )
    limits_url: SecretStr | None = Field(
        None,
        description="Valkey or Redis where replicas count failed attempts and calls together:"
        " valkeys://user:…@host:6379/0; the database if not set",
    )
    limits_prefix: str | None = Field(
        None, description="of all keys there; if not set, auth-service:<host and path of AUTH_ISSUER>"
    )
    limits_timeout: Duration = Field(timedelta(milliseconds=200), description="deadline of one question there")
    limits_ca_file: Path | None = Field(None, description="PEM; the certificate of that server must be of it")
    limits_certificate_file: Path | None = Field(None, description="PEM that we show there, if the server asks for one")
    limits_key_file: Path | None = Field(None, description="PEM private key, with AUTH_LIMITS_CERTIFICATE_FILE")
    smtp_address: HostPort | None = Field(
        None, description="host:port that takes our mail; if not set, the embedded profile writes it to data_dir/mail"
    )
    smtp_tls: str = Field("starttls", description="starttls (port 587), tls (port 465), or none")
    smtp_ca_file: Path | None = Field(None, description="PEM; the certificate of that server must be of it")
    smtp_username: str | None = Field(None, description="if the server asks for one")
    smtp_password: SecretStr | None = Field(None, description="with AUTH_SMTP_USERNAME")
    smtp_timeout: Duration = Field(timedelta(seconds=20), description="deadline of one mail")
    mail_from: str | None = Field(None, description="auth@example.org, or: Facility sign-in <auth@example.org>")
    mail_link_base: HttpUrl | None = Field(
        None,
        description="links are this, /reset-password or /verify-email, and #token=…; the bare token if not set",
    )
    password_reset_lifetime: Duration = Field(timedelta(hours=1), description="how long a mailed reset token is good")
    email_verification_lifetime: Duration = Field(timedelta(hours=24), description="the same of one for verification")
    argon2_memory_kib: int = Field(19456, ge=19456, description="memory of one password hash")
    argon2_passes: int = Field(5, ge=2, description="passes of one password hash")

    drain: Duration = Field(timedelta(milliseconds=500), description="NOT_SERVING before the door closes")
    grace: Duration = Field(timedelta(seconds=8), description="how long calls under way may take at the end")
    request_deadline: Duration = Field(timedelta(seconds=10), description="for calls that bring none")
    trust_heartbeat: Duration = Field(
        timedelta(seconds=15), description="a verifier that follows what is trusted hears so often that nothing changed"
    )
    trust_streams: int = Field(2000, ge=1, description="verifiers that one replica lets follow what is trusted")
    trust_streams_per_address: int = Field(500, ge=1, description="of those, from one IPv4 address or IPv6 /64")
    slowest_reader: Duration = Field(timedelta(seconds=30), description="a stream's reader takes a message within this")

    log_level: str = Field("info", description="debug, info, warning or error")
    log_format: str = Field("auto", description="json, console, or auto: console on a terminal")
    broker_url: SecretStr | None = Field(None, description="RabbitMQ that audit events leave for: amqps://user:…@host")
    broker_exchange: str = Field("auth.events", description="the topic exchange there; made if there is none")

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
    def serves_api_pages(self) -> bool:
        return self.is_embedded if self.api_pages is None else self.api_pages

    @property
    def provider_order(self) -> Sequence[str]:
        """Who is asked for a password; of these, only whom the deployment has."""
        return self.providers or ("uows", "local")

    @property
    def providers_there(self) -> Sequence[str]:
        """Of `provider_order`, whom the deployment has."""
        has_uows = bool(self.uows_url) or self.runs_demo_facility
        return [name for name in self.provider_order if name == "local" or has_uows]

    @property
    def lets_people_register(self) -> bool:
        """Unless it is said, in the embedded profile; never where nobody could sign in afterwards."""
        asked = self.is_embedded if self.registration is None else self.registration
        return asked and "local" in self.provider_order

    @property
    def token_audience(self) -> str | None:
        return None if self.audience == "none" else self.audience

    @property
    def token_issuer(self) -> str:
        """The public address; where none is set, the one that this machine's programs reach us by."""
        return self.issuer or f"http://{self.http_address.from_here}{self.path_prefix}"

    @property
    def path_of_cookie(self) -> str:
        return (self.path_prefix if self.cookie_path is None else self.cookie_path) or "/"

    @property
    def prefix_of_limits(self) -> str:
        """No two deployments have the same, unless they say they are one."""
        return self.limits_prefix or f"auth-service:{self.token_issuer.partition('//')[2]}"

    @property
    def sealing_secrets(self) -> list[bytes]:
        assert self.key_encryption_keys is not None
        return [key_encryption_key(item) for item in self.key_encryption_keys.get_secret_value().split(",")]

    @property
    def database(self) -> str:
        """The database's address, password included."""
        if self.database_url is None:
            return f"sqlite:///{self.home_database}"
        return self.database_url.get_secret_value()

    @property
    def home_database(self) -> Path | None:
        """The file that is the database where no address of one was given."""
        return None if self.database_url else self.data_dir / HOME_DATABASE


SECRETS = frozenset(
    {
        "key_encryption_keys",
        "database_url",
        "uows_api_key",
        "allocations_api_key",
        "api_keys",
        "smtp_password",
        "limits_url",
        "broker_url",
        "hs256_secret",
    }
)
"""Fields that are masked when shown, and may be given as `<VARIABLE>_FILE`."""
