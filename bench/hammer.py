"""`python -m bench.hammer ADDRESS [local]`: sign-ins at a time, without end, from a process of its own.

64 of the facility's people; or 200 of our own account, which is as many passwords to hash. Whoever is told to come
again does so a little later.
"""

import asyncio
import os
import sys

import grpc
from auth_api.v1 import auth_pb2

from bench.load import Call
from bench.login import logins
from bench.service import ACCOUNT, PASSWORD, Method, rpc_of

AT_A_TIME, LOCAL_AT_A_TIME = 64, 200
_AGAIN_AFTER = 0.2
_COME_AGAIN = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)


async def _hammer(address: str, *, is_local: bool) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        method = rpc_of(channel, "Login")
        login = _local_logins(method) if is_local else logins(method)

        async def again_and_again() -> None:
            while True:
                try:
                    await login()
                except grpc.aio.AioRpcError as error:
                    if error.code() not in _COME_AGAIN:
                        raise
                    await asyncio.sleep(_AGAIN_AFTER)

        await asyncio.gather(*[again_and_again() for _ in range(LOCAL_AT_A_TIME if is_local else AT_A_TIME)])


def _local_logins(method: Method) -> Call:
    request = auth_pb2.LoginRequest(username=ACCOUNT, password=PASSWORD).SerializeToString()
    return lambda: method(request)


if __name__ == "__main__":
    # Real callers are elsewhere: here they must not take a core from the service and from whoever measures it.
    os.nice(5)
    asyncio.run(_hammer(sys.argv[1], is_local=sys.argv[2:] == ["local"]))
