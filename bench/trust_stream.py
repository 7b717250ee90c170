"""One server with 1,000 open trust streams: how soon a session that ends is told to all, and what a stream costs.

The readers are in this process and keep bytes as bytes; what they cost is part of the time until the last one knows.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc
from auth_api.v1 import auth_pb2, trust_pb2

from bench.figures import Figure
from bench.service import Stage, stage

STREAMS, CHANNELS, ENDED, VERIFIES = 1000, 8, 20, 1500
FIRST = 100
"""Streams that are open before memory is counted: what the first one loads is no cost of the others."""
_WATCH = "/auth_api.v1.TrustService/WatchTrust"
_HEARTBEAT, _SETTLING = "60s", 3.0


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


async def _measure() -> Sequence[Figure]:
    async with stage(trust_heartbeat=_HEARTBEAT, trust_streams_per_address=str(2 * STREAMS)) as service:
        pair = await service.local_login()
        request = auth_pb2.VerifyRequest(token=pair.access_token).SerializeToString()
        alone = await _verify_p99(service, request)
        address = service.process.grpc_address
        async with _Readers(address, FIRST):
            await asyncio.sleep(_SETTLING)
            before = _resident(service)
            async with _Readers(address, STREAMS):
                await asyncio.sleep(_SETTLING)
                grown = _resident(service) - before
        async with _Readers(address, STREAMS) as readers:
            followed = await _verify_p99(service, request)
            told = [await readers.time_until_all_know(await _ended(service)) for _ in range(ENDED)]
    every = [seconds for each in told for seconds in each]
    return (
        Figure(
            "session ends : 1,000 streams know, p99",
            (sorted(every)[int(len(every) * 0.99)],),
            unit="s",
            at_most=1.0,
        ),
        Figure("the same, the last of all", (max(every),), unit="s"),
        Figure("memory of 1,000 trust streams", (grown / 1e6,), unit="MB", at_most=30),
        Figure("Verify p99, 1,000 streams open : none", (followed / alone,), at_most=1.5),
    )


class _Readers:
    def __init__(self, address: str, count: int) -> None:
        self._address = address
        self._count = count
        self._channels: list[grpc.aio.Channel] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._wanted, self._known_at = b"\0", list[float]()
        self._all_know = asyncio.Event()

    async def __aenter__(self) -> "_Readers":
        begun = asyncio.Semaphore(0)
        # Channels share a connection unless something tells them apart.
        options = [(("grpc.use_local_subchannel_pool", 1),) for _ in range(CHANNELS)]
        self._channels = [grpc.aio.insecure_channel(self._address, options=each) for each in options]
        for number in range(self._count):
            self._tasks.append(asyncio.create_task(self._read(self._channels[number % CHANNELS], begun)))
        for _ in range(self._count):
            await begun.acquire()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for channel in self._channels:
            await channel.close()

    async def time_until_all_know(self, ended: tuple[bytes, float, Awaitable[object]]) -> list[float]:
        """Seconds, of each stream."""
        session_id, began, call = ended
        self._wanted, self._known_at = session_id, []
        self._all_know.clear()
        await call
        async with asyncio.timeout(30):
            await self._all_know.wait()
        return [at - began for at in self._known_at]

    async def _read(self, channel: grpc.aio.Channel, begun: asyncio.Semaphore) -> None:
        watch: Any = channel.unary_stream(_WATCH)
        call = watch(trust_pb2.WatchTrustRequest().SerializeToString())
        await call.read()
        begun.release()
        while (message := await call.read()) is not grpc.aio.EOF:
            if self._wanted in message:
                self._known_at.append(perf_counter())
                if len(self._known_at) == self._count:
                    self._all_know.set()


async def _ended(service: Stage) -> tuple[bytes, float, Awaitable[object]]:
    pair = await service.local_login()
    request = auth_pb2.LogoutRequest(refresh_token=pair.refresh_token).SerializeToString()
    return pair.session_id.encode(), perf_counter(), service.method("Logout")(request)


async def _verify_p99(service: Stage, request: bytes) -> float:
    """Seconds, of calls one after another."""
    took = []
    for _ in range(VERIFIES):
        began = perf_counter()
        await service.method("Verify")(request)
        took.append(perf_counter() - began)
    return sorted(took)[int(VERIFIES * 0.99)]


def _resident(service: Stage) -> int:
    """Bytes of memory that the server's process holds."""
    for line in Path(f"/proc/{service.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise LookupError("VmRSS")
