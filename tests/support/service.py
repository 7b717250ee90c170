"""The whole service in this process, with a stand-in facility and clients; and what it logged."""

import base64
import io
import json
import logging
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import grpc
import pytest
import sqlalchemy as sa
import structlog
from auth_api.v1 import auth_pb2, auth_pb2_grpc, keys_pb2_grpc
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from auth_service import app
from auth_service import settings as settings_module
from auth_service.demo import Facility, running_facility
from auth_service.domain import keys as key_rules
from auth_service.domain.accounts import NewAccount
from auth_service.domain.audit import OPERATOR
from auth_service.domain.errors import AlreadyExists
from auth_service.domain.refresh_tokens import RefreshTokens
from auth_service.domain.sealing import KeyEncryptionKeys
from auth_service.settings import Settings
from auth_service.storage import signing_keys
from auth_service.storage.opening import open_database
from auth_service.telemetry import configure_logging
from tests.support.conditions import eventually
from tests.support.postgres import Postgres
from tests.support.sql import executed

ISSUER = "https://auth.facility.example"
AUDIENCE = "facility"
KEY_ENCRYPTION_KEY = base64.b64encode(b"the key-encryption key of tests.").decode()
UOWS_API_KEY = "uows-key-of-the-tests"
ALLOCATIONS_API_KEY = "allocations-key-of-the-tests"
PORTAL_API_KEY = "portal-api-key-of-the-tests"
SERVICES = tuple(
    f"auth_api.v1.{name}Service"
    for name in ("Auth", "User", "Role", "ServiceAccount", "Key", "Audit", "Trust", "Maintenance")
)


def environment(database_url: str, *, facility: Facility | None, data_dir: Path, **changes: str) -> dict[str, str]:
    """The variables of a service on free ports; `changes` are in lower case and without their prefix."""
    values = {
        "data_dir": str(data_dir),
        "database_url": database_url,
        "database_timeout": "5s",
        "grpc_address": "127.0.0.1:0",
        "http_address": "127.0.0.1:0",
        "demo_facility": "false",
        "issuer": ISSUER,
        "audience": AUDIENCE,
        "key_encryption_keys": KEY_ENCRYPTION_KEY,
        "poll_every": "50ms",
        # As cheap as settings allow: many tests hash passwords, and what they show does not hang on the cost.
        "argon2_passes": "2",
        "provider_recheck_after": "0s",
        "api_keys": f"portal={PORTAL_API_KEY},fia=another-{PORTAL_API_KEY}",
        "drain": "0s",
        "grace": "2s",
        "log_level": "debug",
        # Tests make many mistakes; those that are about them set their own.
        "failures_here": "10000",
        "failures_per_account": "20000",
        "failures_per_address": "100000",
    }
    if facility is not None:
        values |= {
            "uows_url": facility.url,
            "uows_api_key": UOWS_API_KEY,
            "allocations_url": f"{facility.url}/graphql",
            "allocations_api_key": ALLOCATIONS_API_KEY,
        }
    return {f"AUTH_{name.upper()}": value for name, value in (values | changes).items()}


@asynccontextmanager
async def running_stand_in() -> AsyncIterator[Facility]:
    async with running_facility(uows_api_key=UOWS_API_KEY, allocations_token=ALLOCATIONS_API_KEY) as facility:
        yield facility


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a call was refused. `details` are those of google.rpc, by the name of their message."""

    code: grpc.StatusCode
    message: str
    details: Mapping[str, Any]
    trailers: Mapping[str, str | bytes]

    @property
    def reason(self) -> str:
        """Of ErrorInfo, with its domain checked; "" where gRPC itself refused."""
        info = self.details.get("ErrorInfo")
        if info is None:
            return ""
        assert info.domain == "auth_api.v1"
        return str(info.reason)

    @property
    def verdict(self) -> tuple[str, str]:
        return self.code.name, self.reason

    @property
    def fields(self) -> set[str]:
        return {each.field for each in self.details["BadRequest"].field_violations}

    @classmethod
    def of(cls, error: grpc.aio.AioRpcError) -> "Refusal":
        trailers = dict(error.trailing_metadata() or ())
        packed = trailers.get("grpc-status-details-bin", b"")
        assert isinstance(packed, bytes)
        details: dict[str, Any] = {}
        for each in status_pb2.Status.FromString(packed).details:
            name = each.type_url.rpartition(".")[2]
            message: Message = getattr(error_details_pb2, name)()
            each.Unpack(message)
            details[name] = message
        return cls(error.code(), error.details() or "", details, trailers)


async def refusal(call: Awaitable[object]) -> Refusal:
    """How `call` was refused; a call that succeeds fails the test."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Refusal.of(caught.value)


def bearer(credential: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {credential}"),)


@dataclass(slots=True)
class Service:
    """A running service and everything with which to talk to it."""

    settings: Settings
    where: app.Running
    facility: Facility
    channel: grpc.aio.Channel
    http: aiohttp.ClientSession
    secrets: set[str] = field(default_factory=set)

    @property
    def auth(self) -> "auth_pb2_grpc.AuthServiceAsyncStub":
        return auth_pb2_grpc.AuthServiceStub(self.channel)

    @property
    def keys(self) -> "keys_pb2_grpc.KeyServiceAsyncStub":
        return keys_pb2_grpc.KeyServiceStub(self.channel)

    def raw(self, path: str) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
        """A method by its path, with bytes in and bytes out."""
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(path)
        return method

    def at(self, channel: grpc.aio.Channel) -> "Service":
        """The same, talking to another replica."""
        return replace(self, channel=channel)

    async def login(self, username: str = "user1001", password: str | None = None) -> auth_pb2.LoginResponse:
        password = f"{username}-password" if password is None else password
        self.secrets.add(password)
        pair = await self.auth.Login(auth_pb2.LoginRequest(username=username, password=password))
        self.secrets |= {pair.access_token, pair.refresh_token}
        return pair

    async def verify(self, token: str) -> auth_pb2.VerifyResponse:
        return await self.auth.Verify(auth_pb2.VerifyRequest(token=token))

    async def refresh(self, refresh_token: str) -> auth_pb2.RefreshResponse:
        pair = await self.auth.Refresh(auth_pb2.RefreshRequest(refresh_token=refresh_token))
        self.secrets |= {pair.access_token, pair.refresh_token}
        return pair

    async def logout(self, refresh_token: str) -> auth_pb2.LogoutResponse:
        return await self.auth.Logout(auth_pb2.LogoutRequest(refresh_token=refresh_token))

    async def experiments(
        self, user_number: int, credential: str, *, page_size: int = 0, page_token: str = ""
    ) -> auth_pb2.ListExperimentsResponse:
        request = auth_pb2.ListExperimentsRequest(user_number=user_number, page_size=page_size, page_token=page_token)
        return await self.auth.ListExperiments(request, metadata=bearer(credential))

    async def jwks(self) -> list[dict[str, str]]:
        async with self.http.get("/.well-known/jwks.json") as response:
            keys: list[dict[str, str]] = (await response.json(content_type=None))["keys"]
            return keys

    async def metric(self, name: str) -> float:
        """`name` is a pattern, with labels. 0 for what was never counted."""
        async with self.http.get("/metrics") as response:
            (value,) = re.findall(rf"^{name} (\S+)$", await response.text(), re.MULTILINE) or ["0"]
            return float(value)

    async def sql(self, *statements: sa.Executable) -> None:
        """What only time, a colleague or a database administrator brings about."""
        await executed(self.settings.database, *statements)

    async def private_key(self) -> tuple[str, RSAPrivateKey]:
        """The kid and the private half of the key that signs: for tokens with a right signature and wrong contents."""
        database = open_database(self.settings.database, budget=self.settings.database_timeout)
        ring = await database.autocommit(signing_keys.read)
        await database.close()
        sealing = KeyEncryptionKeys(self.settings.sealing_secrets)
        return ring.active.kid, key_rules.opened(ring.active, sealing=sealing)

    @property
    def refresh_tokens(self) -> RefreshTokens:
        return RefreshTokens(KeyEncryptionKeys(self.settings.sealing_secrets))


@asynccontextmanager
async def running_service(
    database_url: str, *, facility: Facility, data_dir: Path, waits: bool = True, **changes: str
) -> AsyncIterator[Service]:
    """`waits` until it is ready. `changes` are settings."""
    variables = environment(database_url, facility=facility, data_dir=data_dir, **changes)
    settings, _ = settings_module.load(variables)
    async with (
        app.running(settings) as where,
        grpc.aio.insecure_channel(str(where.grpc)) as channel,
        aiohttp.ClientSession(f"http://{where.http}", timeout=aiohttp.ClientTimeout(total=20)) as http,
    ):
        secrets = {KEY_ENCRYPTION_KEY, UOWS_API_KEY, ALLOCATIONS_API_KEY, PORTAL_API_KEY}
        service = Service(settings, where, facility, channel, http, secrets)
        if waits:
            await eventually(lambda: is_ready(http))
        yield service


async def is_ready(http: aiohttp.ClientSession) -> bool:
    async with http.get("/readyz") as response:
        return response.status == 200


class Databases:
    """Migrated databases, made when asked for."""

    def __init__(self, sqlite_template: Path, postgres: Postgres, home: Path) -> None:
        self._sqlite_template = sqlite_template
        self._postgres = postgres
        self._home = home

    async def make(self, kind: str) -> str:
        name = f"service-{uuid4().hex[:12]}"
        if kind == "sqlite":
            path = self._home / f"{name}.db"
            shutil.copy(self._sqlite_template, path)
            return f"sqlite:///{path}"
        await self._postgres.create_database(name, template="migrated")
        return self._postgres.dsn(name)


class Logs:
    """Everything that was logged, as it was written."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def named(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """The lines of this event that hold these fields."""
        return [line for line in self.lines if line["event"] == event and fields.items() <= line.items()]

    def clear(self) -> None:
        self.stream.seek(0)
        self.stream.truncate()


@contextmanager
def captured_logs(level: str = "debug", style: str = "json") -> Iterator[Logs]:
    """Logs as `serve` would write them, libraries' included."""
    logs = Logs()
    root = logging.getLogger()
    handlers, threshold = list(root.handlers), root.level
    before = structlog.get_config() if structlog.is_configured() else None
    configure_logging(level=level, style=style, stream=logs.stream)
    # Loggers of modules outlive this stream.
    structlog.configure(cache_logger_on_first_use=False)
    try:
        yield logs
    finally:
        structlog.reset_defaults()
        if before is not None:
            structlog.configure(**before)
        root.handlers = handlers
        root.setLevel(threshold)


ADMIN, ADMIN_PASSWORD = "root@facility.example", "correct horse battery staple"


async def admin_token(service: Service) -> str:
    """An access token of somebody with the role `admin`, whose account is made if there is none."""
    return await token_of(service, ADMIN, ADMIN_PASSWORD, "admin")


async def token_of(service: Service, username: str, password: str, *roles: str) -> str:
    """An access token of a person with `roles`, whose account is made if there is none."""
    new = NewAccount(username, display_name="Root", password=lambda: password, roles=frozenset(roles))
    async with app.administering(service.settings) as use:
        with suppress(AlreadyExists):
            await use.accounts.create(new, origin=OPERATOR)
    return (await service.login(username, password)).access_token
