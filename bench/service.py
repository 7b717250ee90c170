"""The service as a process of its own, on a PostgreSQL of its own and beside a facility of its own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
from auth_api.v1 import auth_pb2

from auth_service import settings
from auth_service.settings import Settings
from bench import facility
from tests.support.leash import spawn
from tests.support.ports import port_of, reserve_port
from tests.support.postgres import Postgres
from tests.support.processes import SERVE, ServiceProcess

PACKAGE = "/auth_api.v1.AuthService/"
_REPOSITORY = Path(__file__).resolve().parents[1]
_DATABASE = "bench"
ACCOUNT, PASSWORD = "ada", "correct horse battery staple 1843"


Method = Callable[[bytes], Awaitable[bytes]]


def rpc_of(channel: grpc.aio.Channel, name: str) -> Method:
    """An RPC whose messages stay bytes: the load generator should cost little."""
    rpc: Method = channel.unary_unary(PACKAGE + name)  # type: ignore[assignment]  # generic, and nothing to infer from
    return rpc


@dataclass(frozen=True)
class Bare:
    """The floors as a server; see `bench.bare`."""

    pid: int
    channel: grpc.aio.Channel

    def method(self, name: str) -> Method:
        return rpc_of(self.channel, name)


@dataclass(frozen=True)
class Stage:
    """What a measurement works with."""

    process: ServiceProcess
    channel: grpc.aio.Channel
    dsn: str
    facility_url: str

    def method(self, name: str) -> Method:
        return rpc_of(self.channel, name)

    def settings(self) -> Settings:
        """What the service runs with."""
        return settings.load(self.process.environment)[0]

    async def local_login(self) -> auth_pb2.LoginResponse:
        """A session of the account that only the service knows, so that no refresh asks the facility."""
        return await self._login(ACCOUNT, PASSWORD)

    async def _login(self, username: str, password: str) -> auth_pb2.LoginResponse:
        request = auth_pb2.LoginRequest(username=username, password=password)
        return auth_pb2.LoginResponse.FromString(await self.method("Login")(request.SerializeToString()))


@asynccontextmanager
async def stage(
    *, providers: str = "uows,local", arguments: Sequence[str] = SERVE, **settings: str
) -> AsyncIterator[Stage]:
    """Everything running, with one local account made. `arguments` are Python's, for another service than ours."""
    with Postgres() as postgres:
        await postgres.create_database(_DATABASE)
        async with _facility() as facility_url:
            environment = {
                "AUTH_DATABASE_URL": postgres.dsn(_DATABASE),
                "AUTH_UOWS_URL": facility_url,
                "AUTH_UOWS_API_KEY": facility.API_KEY,
                "AUTH_PROVIDERS": providers,
                "AUTH_LOG_FORMAT": "json",
                "AUTH_REFLECTION": "false",
                **{f"AUTH_{name.upper()}": value for name, value in settings.items()},
            }
            async with ServiceProcess(environment, arguments=arguments) as process:
                await asyncio.to_thread(_create_account, process)
                async with _channel(process.grpc_address) as channel:
                    yield Stage(process, channel, postgres.dsn(_DATABASE), facility_url)


@asynccontextmanager
async def bare(service: Stage) -> AsyncIterator[Bare]:
    """The floors, on the service's own database and facility; there must be a session already."""
    with reserve_port() as held:
        port = port_of(held)
        async with (
            running("bench.bare", str(port), service.dsn, service.facility_url) as process,
            _channel(f"127.0.0.1:{port}") as channel,
        ):
            yield Bare(process.pid, channel)


@asynccontextmanager
async def _channel(address: str) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(address) as channel:
        async with asyncio.timeout(10):
            await channel.channel_ready()
        yield channel


@asynccontextmanager
async def _facility() -> AsyncIterator[str]:
    with reserve_port() as held:
        port = port_of(held)
        async with running("bench.facility", str(port)):
            url = f"http://127.0.0.1:{port}"
            await _answers(url)
            yield url


@asynccontextmanager
async def running(module: str, *arguments: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A module of ours as a process of its own, killed at the end."""
    process = await asyncio.to_thread(
        spawn,
        [sys.executable, "-m", module, *arguments],
        log=Path("/dev/null"),
        cwd=_REPOSITORY,
        environment=os.environ,
    )
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


async def _answers(url: str) -> None:
    async with asyncio.timeout(10), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(url):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)


def _create_account(process: ServiceProcess) -> None:
    command = [sys.executable, "-m", "auth_service", "users", "create", ACCOUNT, "--role", "admin"]
    command.append("--password-stdin")
    subprocess.run(command, env=process.environment, input=PASSWORD, text=True, check=True, stdout=subprocess.DEVNULL)
