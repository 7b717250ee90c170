"""Whether the time of a refused `Login` tells an unknown name from a wrong password, for accounts of our own.

Asked in turns, one at a time, on PostgreSQL, with failed attempts counted as ever but nobody made to wait. The medians
decide; and how well somebody could tell by the time alone: the share of pairs in which the known name took longer,
0.5 being a coin.
"""

import asyncio
import time
from collections.abc import Sequence
from statistics import median

import grpc
from auth_api.v1 import auth_pb2

from bench.figures import Figure
from bench.service import ACCOUNT, Method, stage

TRIES, WARM = 300, 20
NEVER = "1000000"


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


async def _measure() -> Sequence[Figure]:
    limits = {"failures_here": NEVER, "failures_per_account": f"{NEVER}0", "failures_per_address": NEVER}
    async with stage(providers="local", **limits) as service:
        login = service.method("Login")
        known: list[float] = []
        unknown: list[float] = []
        for number in range(WARM + TRIES):
            # Whichever is first may find the machine colder.
            order = ((ACCOUNT, known), (f"nobody{number}", unknown))
            for name, seconds in order if number % 2 else reversed(order):
                taken = await _refused(login, name)
                if number >= WARM:
                    seconds.append(taken)
    longer = sum(a > b for a in known for b in unknown) / TRIES**2
    return (
        Figure(
            "unknown name : wrong password, medians",
            (median(unknown) / median(known),),
            at_least=0.9,
            raw={"unknown": tuple(unknown), "wrong": tuple(known)},
        ),
        Figure("wrong password : unknown name, medians", (median(known) / median(unknown),), at_least=0.9),
        Figure("how well the time tells them apart", (max(longer, 1 - longer),), at_most=0.72),
    )


async def _refused(login: Method, name: str) -> float:
    request = auth_pb2.LoginRequest(username=name, password="not the password of anybody").SerializeToString()
    began = time.perf_counter()
    try:
        await login(request)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
            raise
        return time.perf_counter() - began
    raise AssertionError("nobody has this password")
