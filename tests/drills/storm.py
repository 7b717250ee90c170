"""Sign-ins at once, from a process of its own: `Storm.of(...)`, then `break_loose`.

As a program: opens its connections, waits for a line, makes every sign-in at that moment, each again and again when the
service says so, and prints what the first answers were and how long it took until each was in.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass

import grpc
from auth_api.v1 import auth_pb2, auth_pb2_grpc

from tests.drills.stage import refusal
from tests.support.load import OK

PATIENCE = 120.0
"""Seconds in which somebody who comes again when told to wants to be in."""


@dataclass(frozen=True, slots=True)
class Broken:
    """`first` counts the first answers; `within` are the seconds after which each was in, if it was."""

    first: Counter[str]
    within: list[float]


@dataclass(frozen=True, slots=True)
class Storm:
    process: asyncio.subprocess.Process

    @classmethod
    async def of(cls, address: str, *, connections: int, calls: int, people: int) -> "Storm":
        """`calls` on each of `connections`, by `people` of `bench.facility`; ready to break loose."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.drills.storm", address, str(connections), str(calls), str(people)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
        assert process.stdout is not None
        await process.stdout.readline()
        return cls(process)

    async def break_loose(self) -> Broken:
        said, _ = await self.process.communicate(b"go\n")
        first, within = json.loads(said)
        return Broken(Counter(first), within)


async def _main(address: str, connections: int, calls: int, people: int) -> None:
    channels = [
        grpc.aio.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) for _ in range(connections)
    ]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
    stubs = [auth_pb2_grpc.AuthServiceStub(channel) for channel in channels]
    print("ready", flush=True)
    if not await asyncio.to_thread(sys.stdin.readline):
        return
    first: Counter[str] = Counter()
    within: list[float] = []
    began = time.monotonic()

    async def sign_in(number: int) -> None:
        request = auth_pb2.LoginRequest(username=f"person{number % people}", password="right")
        is_first = True
        while True:
            said, wait = OK, None
            try:
                await stubs[number % connections].Login(request, timeout=PATIENCE)
            except grpc.aio.AioRpcError as error:
                refused = refusal(error)
                said, wait = f"{refused.code} {refused.reason}".strip(), refused.retry_after
                said += "" if wait is not None else " without RetryInfo"
            if is_first or not said.startswith(("RESOURCE_EXHAUSTED", OK)):
                first[said] += 1
            is_first = False
            if said == OK:
                within.append(time.monotonic() - began)
                return
            if wait is None or time.monotonic() - began > PATIENCE:
                return
            await asyncio.sleep(wait * random.uniform(1, 1.2))

    await asyncio.gather(*(sign_in(number) for number in range(connections * calls)))
    print(json.dumps([first, within]))
    await asyncio.gather(*(channel.close() for channel in channels))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], *map(int, sys.argv[2:5])))
