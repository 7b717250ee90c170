"""How soon the service serves, how much memory it holds then, and what importing the client costs.

On SQLite, with the second start of a data directory and bytecode that is there already (a warm virtualenv). SERVING is
what grpc.health.v1 says, counted from the moment the process was made; on a busy machine the processor time says more.
Memory is read two seconds later, without the stand-in facility, which no deployment runs.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.figures import Figure
from bench.load import cpu_seconds
from tests.support.processes import ServiceProcess

STARTS, IMPORTS = 5, 9
_IDLE_SECONDS = 2
_TIMED_IMPORT = "import time; began = time.perf_counter(); import auth_client; print(time.perf_counter() - began)"


def measure() -> Sequence[Figure]:
    with tempfile.TemporaryDirectory(prefix="bytecode-") as bytecode:
        # Bytecode of its own, whatever the environment says of writing it.
        warm = {"PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""}
        starts, spent, bare, whole = asyncio.run(_starts(warm))
        imports = _imports({**os.environ, **warm})
    return (
        Figure("start to SERVING, on SQLite", starts, unit="s", at_most=2),
        Figure("processor time until SERVING", spent, unit="s"),
        Figure("memory of an idle process", bare, unit="MB", at_most=110),
        Figure("memory with the stand-in facility", whole, unit="MB"),
        Figure("import auth_client", imports, unit="s", at_most=0.25),
    )


async def _starts(warm: dict[str, str]) -> tuple[tuple[float, ...], ...]:
    seconds: list[float] = []
    spent: list[float] = []
    megabytes: dict[str, list[float]] = {"false": [], "true": []}
    for facility, memory in megabytes.items():
        service = ServiceProcess({**warm, "AUTH_DEMO_FACILITY": facility})
        try:
            for is_warm in (False, *[True] * STARTS):
                began = time.perf_counter()
                # If the process ends instead, so does the waiting.
                async with asyncio.TaskGroup() as both:
                    both.create_task(service.start())
                    await _serving(service.grpc_address)
                    taken, cpu = time.perf_counter() - began, cpu_seconds(service.pid)
                await asyncio.sleep(_IDLE_SECONDS if is_warm else 0)
                if is_warm:
                    memory.append(service.rss() / 1e6)
                    if facility == "true":
                        seconds.append(taken)
                        spent.append(cpu)
                await service.kill9()
        finally:
            await service.close()
    return tuple(seconds), tuple(spent), tuple(megabytes["false"]), tuple(megabytes["true"])


async def _serving(address: str) -> None:
    request = health_pb2.HealthCheckRequest()
    async with asyncio.timeout(30), grpc.aio.insecure_channel(address, options=_IMPATIENT) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                answer = await health.Check(request)  # type: ignore[attr-defined]  # left out of the stubs
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            await asyncio.sleep(0.02)


# A refused connection is tried again soon, and none is taken over from the process before: the seconds count.
_IMPATIENT = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 20),
    ("grpc.min_reconnect_backoff_ms", 20),
    ("grpc.max_reconnect_backoff_ms", 20),
)


def _imports(environment: dict[str, str]) -> tuple[float, ...]:
    def once() -> float:
        command = [sys.executable, "-c", _TIMED_IMPORT]
        return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)

    once()
    return tuple(once() for _ in range(IMPORTS))
