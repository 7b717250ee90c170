"""Callers in a process of their own, so that their work does not delay whoever measures: `crowd.at(...)`.

As a program: waits for a line, makes the calls evenly over `SPREAD` seconds, prints what each came to and how long it
took.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import Literal

import grpc
from auth_api.v1 import auth_pb2, auth_pb2_grpc

from tests.drills.stage import API_KEY, refusal
from tests.support.load import OK
from tests.support.processes import ServiceProcess

SPREAD = 3.0
"""Seconds. Shorter than what an upstream is given, so that at the end all are stuck at once."""
Kind = Literal["login", "experiments"]


@dataclass(frozen=True, slots=True)
class Crowd:
    process: asyncio.subprocess.Process

    async def call(self) -> list[tuple[str, float]]:
        """What each call came to, and after how many seconds."""
        said, _ = await self.process.communicate(b"go\n")
        return [(str(outcome), float(seconds)) for outcome, seconds in json.loads(said)]


async def at(service: ServiceProcess, kind: Kind, count: int) -> Crowd:
    """Ready to call; let them `call` in the end, or they wait until this process is gone."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.drills.crowd", service.grpc_address, kind, str(count)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    return Crowd(process)


async def _main(address: str, kind: str, count: int) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = auth_pb2_grpc.AuthServiceStub(channel)
        await channel.channel_ready()
        print("ready", flush=True)
        if not await asyncio.to_thread(sys.stdin.readline):
            return

        async def call(number: int) -> tuple[str, float]:
            await asyncio.sleep(SPREAD * number / count)
            began = time.monotonic()
            try:
                if kind == "login":
                    # Each somebody else: of one account the facility is asked about one attempt at a time.
                    await stub.Login(auth_pb2.LoginRequest(username=f"person{number}", password="any"), timeout=10)
                else:
                    # Each for another person, so that neither the cache nor sharing a question helps.
                    await stub.ListExperiments(
                        auth_pb2.ListExperimentsRequest(user_number=1_000_000 + number),
                        metadata=(("authorization", f"Bearer {API_KEY}"),),
                        timeout=10,
                    )
            except grpc.aio.AioRpcError as error:
                return refusal(error).code, time.monotonic() - began
            return OK, time.monotonic() - began

        print(json.dumps(await asyncio.gather(*(call(number) for number in range(count)))))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
