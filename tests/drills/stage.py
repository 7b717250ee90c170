"""What drills are set up with: databases, service processes, callers, and reading what a refusal says."""

import asyncio
import base64
import struct
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import aiohttp
import asyncpg
import grpc
from auth_api.v1 import auth_pb2, auth_pb2_grpc, keys_pb2_grpc
from google.rpc import error_details_pb2, status_pb2

from auth_service.demo.facility import Facility
from tests.support.load import OK, by_exception
from tests.support.postgres import Postgres
from tests.support.processes import ServiceProcess

Kind = Literal["sqlite", "postgresql"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgresql")

PERSON = ("user1001", "user1001-password")
ADMIN = ("drill-admin", "a pass phrase for drills only")
API_KEY = "an api key for drills only"
REFUSED_WELL = "UNAVAILABLE with RetryInfo"
ISSUER = "http://auth.drill"

_DETAILS = "grpc-status-details-bin"
_CHANNEL = (
    ("grpc.use_local_subchannel_pool", 1),
    # A service that was killed is looked for again soon, as a load balancer would.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
)


def settings(
    *,
    database: str | None = None,
    facility: Facility | None = None,
    scaled: Mapping[str, str] | None = None,
    **more: str,
) -> dict[str, str]:
    """The environment of a service: on SQLite unless `database` is given, with a facility of its own unless given."""
    values = {
        # A service starts from bytecode, as it would where it is installed; shells of build machines often forbid it.
        "PYTHONDONTWRITEBYTECODE": "",
        "AUTH_LOG_FORMAT": "json",
        "AUTH_ISSUER": ISSUER,
        "AUTH_PROVIDERS": "uows,local",
        "AUTH_API_KEYS": f"drill={API_KEY}",
        **({"AUTH_DATABASE_URL": database} if database else {}),
        **{f"AUTH_{name.upper()}": value for name, value in {**(scaled or {}), **more}.items()},
    }
    if facility is not None:
        values |= {
            "AUTH_DEMO_FACILITY": "false",
            "AUTH_UOWS_URL": facility.url,
            "AUTH_UOWS_API_KEY": "not checked",
            "AUTH_ALLOCATIONS_URL": f"{facility.url}/graphql",
            "AUTH_ALLOCATIONS_API_KEY": "not checked",
        }
    return values


class Caller:
    """Stubs on one channel to one replica, and its HTTP side."""

    def __init__(self, service: ServiceProcess) -> None:
        self.channel = grpc.aio.insecure_channel(service.grpc_address, options=_CHANNEL)
        self.auth = auth_pb2_grpc.AuthServiceStub(self.channel)
        self.keys = keys_pb2_grpc.KeyServiceStub(self.channel)
        self.jwks_url = f"http://{service.http_address}/.well-known/jwks.json"
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5))

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.channel.close()
        await self._http.close()

    async def login(self, person: tuple[str, str] = PERSON, *, timeout: float = 10) -> auth_pb2.LoginResponse:
        return await self.auth.Login(auth_pb2.LoginRequest(username=person[0], password=person[1]), timeout=timeout)

    async def logins(self, count: int, *, at_once: int = 16) -> list[auth_pb2.LoginResponse]:
        """That many sessions of one person, for a drill to begin with: a service just started may say "later"."""
        turn = asyncio.Semaphore(at_once)

        async def one() -> auth_pb2.LoginResponse:
            for _ in range(5):
                try:
                    async with turn:
                        return await self.login()
                except grpc.aio.AioRpcError as error:
                    wait = refusal(error).retry_after
                    if wait is None:
                        raise
                await asyncio.sleep(wait)
            async with turn:
                return await self.login()

        return list(await asyncio.gather(*(one() for _ in range(count))))

    async def refresh(self, token: str, *, timeout: float = 10) -> auth_pb2.RefreshResponse:
        return await self.auth.Refresh(auth_pb2.RefreshRequest(refresh_token=token), timeout=timeout)

    async def logout(self, token: str, *, timeout: float = 10) -> None:
        await self.auth.Logout(auth_pb2.LogoutRequest(refresh_token=token), timeout=timeout)

    async def verify(self, token: str, *, timeout: float = 10) -> auth_pb2.VerifyResponse:
        return await self.auth.Verify(auth_pb2.VerifyRequest(token=token), timeout=timeout)

    async def jwks(self) -> list[dict[str, str]]:
        """The key set. Raises aiohttp.ClientError unless it was served."""
        async with self._http.get(self.jwks_url) as reply:
            reply.raise_for_status()
            document: dict[str, list[dict[str, str]]] = await reply.json(content_type="application/jwk-set+json")
            return document["keys"]

    async def admin_metadata(self) -> tuple[tuple[str, str], ...]:
        """What an operator's calls carry."""
        pair = await self.login(ADMIN)
        return (("authorization", f"Bearer {pair.access_token}"),)


async def create_admin(service: ServiceProcess) -> None:
    """By the command line, as an operator would."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "auth_service", "users", "create", ADMIN[0], "--role", "admin", "--password-stdin"),
        env=service.environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(f"{ADMIN[1]}\n".encode())
    if process.returncode != 0:
        raise RuntimeError(f"users create: {said.decode()}")


async def replicas(
    stack: AsyncExitStack,
    count: int,
    *,
    database: str,
    scaled: Mapping[str, str] | None = None,
    own: Sequence[dict[str, str]] = (),
) -> list[ServiceProcess]:
    """On one database, running until `stack` is left, each at addresses of its own.

    `own` is what the environment of each has besides.
    """
    own = own or [{}] * count
    first = ServiceProcess(settings(database=database, scaled=scaled) | own[0])
    await stack.enter_async_context(first)
    # They share the keys that seal, as replicas must.
    shared = settings(database=database, data_dir=first.environment["AUTH_DATA_DIR"], scaled=scaled)
    others = [ServiceProcess(shared | each) for each in own[1:]]
    await asyncio.gather(*(stack.enter_async_context(other) for other in others))
    return [first, *others]


@asynccontextmanager
async def running_postgres() -> AsyncIterator[Postgres]:
    """A cluster of this drill's own, for it may be stopped, frozen or killed."""
    postgres = await asyncio.to_thread(lambda: Postgres().__enter__())
    try:
        yield postgres
    finally:
        await asyncio.to_thread(postgres.close)


@asynccontextmanager
async def database_of(kind: Kind) -> AsyncIterator[str | None]:
    """What `settings` takes as `database`."""
    if kind == "sqlite":
        yield None
        return
    async with running_postgres() as postgres:
        yield postgres.dsn()


async def rows(service: ServiceProcess, query: str) -> list[tuple[object, ...]]:
    """What `query` finds in the service's database, read past the service."""
    url = service.environment.get("AUTH_DATABASE_URL")
    if url is None:
        return await asyncio.to_thread(_sqlite_rows, service, query)
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row.values()) for row in await connection.fetch(query)]
    finally:
        await connection.close()


def _sqlite_rows(service: ServiceProcess, query: str) -> list[tuple[object, ...]]:
    import sqlite3

    connection = sqlite3.connect(sqlite_path(service))
    try:
        return list(connection.execute(query))
    finally:
        connection.close()


def sqlite_path(service: ServiceProcess) -> str:
    return f"{service.environment['AUTH_DATA_DIR']}/auth.sqlite3"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the service said, beyond the status code. Without a `reason` it was gRPC that spoke, not the service."""

    code: str
    reason: str
    retry_after: float | None


def refusal(error: BaseException) -> Refusal:
    """Of an error that a stub raised."""
    code, reason, retry_after = by_exception(None, error), "", None
    if isinstance(error, grpc.aio.AioRpcError):
        trailers: Mapping[str, object] = dict(error.trailing_metadata() or ())
        packed = trailers.get(_DETAILS, b"")
        status = status_pb2.Status.FromString(packed if isinstance(packed, bytes) else b"")
        for detail in status.details:
            info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
            if detail.Unpack(info):
                reason = info.reason
            elif detail.Unpack(retry):
                retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return Refusal(code, reason, retry_after)


def by_refusal(_result: object, error: BaseException | None) -> str:
    """For `steady`: ok, UNAVAILABLE with RetryInfo, or the status and reason."""
    if error is None:
        return OK
    said = refusal(error)
    if said.code == "UNAVAILABLE" and said.retry_after is not None:
        return REFUSED_WELL
    return f"{said.code} {said.reason}".strip()


def generation_of(refresh_token: str) -> int:
    """What the token says of itself; only the service can tell whether it is genuine."""
    raw = base64.urlsafe_b64decode(refresh_token.removeprefix("rt1."))
    generation: int = struct.unpack_from("!Q", raw, len(raw) - 40)[0]
    return generation


def session_of(refresh_token: str) -> UUID:
    raw = base64.urlsafe_b64decode(refresh_token.removeprefix("rt1."))
    return UUID(bytes=raw[len(raw) - 56 : len(raw) - 40])
