"""`Refresh` on PostgreSQL, beside the sum of its floors.

The floors are an empty RPC through the same interceptors, one `SELECT` by key, one `UPDATE … RETURNING`, each
committed, and one RSA-2048 signature. Their sum is measured where they are met, in the handler of a bare server
(`bench.bare`), for each of them costs more there than by itself in a loop. Both servers are asked in turns, 32 calls
in flight; what counts is the processor time of the server for one call, PostgreSQL's own being on neither side.
32 sessions go on side by side, of an account that only the service knows: no upstream is asked.
"""

import asyncio
from collections.abc import Sequence

from auth_api.v1 import auth_pb2

from bench.figures import Figure
from bench.load import IN_FLIGHT, Call
from bench.service import Bare, Stage, bare, stage
from bench.turns import against_floors

ROUNDS, CALLS = 9, 600


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


async def _measure() -> Sequence[Figure]:
    # Only local accounts, or the facility would be asked for the password first.
    async with stage(providers="local") as service:
        refresh = await refreshes(service)
        async with bare(service) as floors:
            bare_refresh = await _bare_refreshes(service, floors)
            return await against_floors(
                "Refresh", service, refresh, floors, bare_refresh, rounds=ROUNDS, calls=CALLS, at_least=0.7
            )


async def refreshes(service: Stage) -> Call:
    """A call that takes the next of 32 sessions a step on."""
    refresh = service.method("Refresh")
    free: asyncio.LifoQueue[str] = asyncio.LifoQueue()
    for _ in range(IN_FLIGHT):
        free.put_nowait((await service.local_login()).refresh_token)

    async def step() -> None:
        request = auth_pb2.RefreshRequest(refresh_token=free.get_nowait())
        answer = auth_pb2.RefreshResponse.FromString(await refresh(request.SerializeToString()))
        free.put_nowait(answer.refresh_token)

    return step


async def _bare_refreshes(service: Stage, floors: Bare) -> Call:
    refresh = floors.method("Refresh")
    free: asyncio.LifoQueue[str] = asyncio.LifoQueue()
    for _ in range(IN_FLIGHT):
        free.put_nowait((await service.local_login()).session_id)

    async def step() -> None:
        session = free.get_nowait()
        request = auth_pb2.RefreshRequest(refresh_token=session)
        auth_pb2.RefreshResponse.FromString(await refresh(request.SerializeToString()))
        free.put_nowait(session)

    return step
