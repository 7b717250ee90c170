"""Our own service as a process of its own, for drills that kill it."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from types import TracebackType
from typing import Self

import aiohttp
import psutil

from tests.support.leash import spawn
from tests.support.ports import free_port as free_port
from tests.support.ports import port_of, reserve_port

_REPOSITORY = Path(__file__).resolve().parents[2]
_ADDRESSES = ("AUTH_GRPC_ADDRESS", "AUTH_HTTP_ADDRESS", "AUTH_FACILITY_ADDRESS")
SERVE = ("-m", "auth_service", "serve")


class NotReady(Exception):
    """The service ended or missed its deadline before /readyz answered 200; the message ends with its log."""


@dataclass(frozen=True)
class Ended:
    """`code` as in subprocess: negative for the signal that ended it. `seconds` from the request to the end."""

    code: int
    seconds: float


class ServiceProcess:
    """`python -m auth_service serve` with `environment` instead of any AUTH_ variable of ours.

    Addresses that are not given are free loopback ports, kept over restarts; AUTH_DATA_DIR that is not given is a
    temporary directory, kept over restarts too and deleted on leaving the context. `arguments` are Python's.
    """

    def __init__(self, environment: Mapping[str, str], *, arguments: Sequence[str] = SERVE) -> None:
        self._arguments = arguments
        self.home = Path(tempfile.mkdtemp(prefix="service-"))
        self._reserved = {name: reserve_port() for name in _ADDRESSES if name not in environment}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AUTH_")}
        addresses = {name: f"127.0.0.1:{port_of(held)}" for name, held in self._reserved.items()}
        defaults = {"PYTHONUNBUFFERED": "1", "AUTH_DATA_DIR": str(self.home / "data")}
        self.environment = {**inherited, **defaults, **addresses, **environment}
        self._process: Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def grpc_address(self) -> str:
        return self.environment["AUTH_GRPC_ADDRESS"]

    @property
    def http_address(self) -> str:
        return self.environment["AUTH_HTTP_ADDRESS"]

    @property
    def log_file(self) -> Path:
        return self.home / "log"

    @property
    def log(self) -> str:
        """All it wrote to stdout and stderr, over restarts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def pid(self) -> int:
        return self._running().pid

    def rss(self) -> int:
        """Resident memory in bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    async def start(self, *, deadline: float = 30.0) -> float:
        """Seconds until /readyz answered 200. Raises NotReady after `deadline` seconds or when the process ends."""
        if self._process is not None:
            raise RuntimeError("the service is already running")
        began = time.monotonic()
        self._process = await asyncio.to_thread(
            spawn,
            [sys.executable, *self._arguments],
            log=self.log_file,
            cwd=_REPOSITORY,
            environment=self.environment,
        )
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=1.0)) as http:
            while not await self._is_ready(http):
                code = self._process.poll()
                if code is not None or time.monotonic() - began > deadline:
                    state = f"ended with {code}" if code is not None else f"was not ready after {deadline} s"
                    await self.kill9()
                    raise NotReady(f"the service {state}; the end of its log:\n{self.log[-4000:]}")
                await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def _is_ready(self, http: aiohttp.ClientSession) -> bool:
        try:
            async with http.get(f"http://{self.http_address}/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def terminate(self, *, deadline: float = 30.0) -> Ended:
        """SIGTERM, then SIGKILL if it is still there after `deadline` seconds (code -9)."""
        process, began = self._running(), time.monotonic()
        process.send_signal(signal.SIGTERM)
        ending = asyncio.create_task(asyncio.to_thread(process.wait))
        done, _ = await asyncio.wait([ending], timeout=deadline)
        if not done:
            process.kill()
        self._process = None
        return Ended(code=await ending, seconds=time.monotonic() - began)

    async def kill9(self) -> Ended:
        process, began = self._running(), time.monotonic()
        process.kill()
        self._process = None
        return Ended(code=await asyncio.to_thread(process.wait), seconds=time.monotonic() - began)

    async def close(self) -> None:
        """Kill it if it runs, delete its directory, give its ports back."""
        if self._process is not None:
            await self.kill9()
        for held in self._reserved.values():
            held.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def _running(self) -> Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the service is not running")
        return self._process
