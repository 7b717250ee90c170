"""The service as a process of its own, on a PostgreSQL of its own and beside a facility of its own."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
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
from tests.support.processes import ServiceProcess

PACKAGE = "/auth_api.v1.AuthService/"
_REPOSITORY = Path(__file__).resolve().parents[1]
_DATABASE = "bench"
_ACCOUNT, _PASSWORD = "ada", "correct horse battery staple 1843"


@dataclass(frozen=True)
class Stage:
    """What a measurement works with."""

    process: ServiceProcess
    channel: grpc.aio.Channel
    dsn: str
    facility_url: str

    def method(self, name: str) -> Callable[[bytes], Awaitable[bytes]]:
        """An RPC whose messages stay bytes: the load generator should cost little."""
        return self.channel.unary_unary(PACKAGE + name)

    def settings(self) -> Settings:
        """What the service runs with."""
        return settings.load(self.process.environment)[0]

    async def local_login(self) -> auth_pb2.LoginResponse:
        """A session of the account that only the service knows, so that no refresh asks the facility."""
        return await self._login(_ACCOUNT, _PASSWORD)

    async def _login(self, username: str, password: str) -> auth_pb2.LoginResponse:
        request = auth_pb2.LoginRequest(username=username, password=password)
        return auth_pb2.LoginResponse.FromString(await self.method("Login")(request.SerializeToString()))


@asynccontextmanager
async def stage(*, providers: str = "uows,local") -> AsyncIterator[Stage]:
    """Everything running, with one local account made."""
    postgres = Postgres()
    with postgres:
        await postgres.create_database(_DATABASE)
        async with _facility() as facility_url:
            environment = {
                "AUTH_DATABASE_URL": postgres.dsn(_DATABASE),
                "AUTH_UOWS_URL": facility_url,
                "AUTH_UOWS_API_KEY": facility.API_KEY,
                "AUTH_PROVIDERS": providers,
                "AUTH_LOG_FORMAT": "json",
                "AUTH_REFLECTION": "false",
            }
            async with ServiceProcess(environment) as process:
                await asyncio.to_thread(_create_account, process)
                # A pool of subchannels is shared between channels in one process unless told otherwise.
                options = (("grpc.use_local_subchannel_pool", 1),)
                async with grpc.aio.insecure_channel(process.grpc_address, options=options) as channel:
                    await channel.channel_ready()
                    yield Stage(process, channel, postgres.dsn(_DATABASE), facility_url)


@asynccontextmanager
async def _facility() -> AsyncIterator[str]:
    with reserve_port() as held:
        port = port_of(held)
        process = spawn(
            [sys.executable, "-m", "bench.facility", str(port)],
            log=Path("/dev/null"),
            cwd=_REPOSITORY,
            environment={},
        )
        url = f"http://127.0.0.1:{port}"
        try:
            await _answers(url)
            yield url
        finally:
            process.kill()
            process.wait()


async def _answers(url: str) -> None:
    async with asyncio.timeout(10), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(url):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)


def _create_account(process: ServiceProcess) -> None:
    command = [sys.executable, "-m", "auth_service", "users", "create", _ACCOUNT, "--password-stdin"]
    subprocess.run(command, env=process.environment, input=_PASSWORD, text=True, check=True, stdout=subprocess.DEVNULL)
