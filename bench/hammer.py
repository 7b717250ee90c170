"""`python -m bench.hammer ADDRESS`: 64 sign-ins at a time, without end, from a process of its own."""

import asyncio
import sys

import grpc

from bench.login import logins
from bench.service import rpc_of

AT_A_TIME = 64


async def _hammer(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        login = logins(rpc_of(channel, "Login"))

        async def again_and_again() -> None:
            while True:
                await login()

        await asyncio.gather(*[again_and_again() for _ in range(AT_A_TIME)])


if __name__ == "__main__":
    asyncio.run(_hammer(sys.argv[1]))
