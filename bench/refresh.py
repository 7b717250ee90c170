"""`Refresh` on PostgreSQL, beside the sum of its floors.

The floors: an empty RPC through the same interceptors, one RSA-2048 signature in line, one `UPDATE … RETURNING` and
one `SELECT` by key, each committed, through asyncpg without a pool; all of them, and `Refresh`, 32 in flight. A floor
costs this process what `Refresh` costs the service: processor time, so PostgreSQL's own is on neither side.
32 sessions go on side by side, of an account that only the service knows: no upstream is asked.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import count, repeat
from uuid import UUID

from auth_api.v1 import auth_pb2

from bench.figures import Figure, ratios
from bench.floors import bare_connections, floor, signing
from bench.load import IN_FLIGHT, Call, cost
from bench.service import Stage, stage

ROUNDS, CALLS = 9, 600
FLOORS = ("empty RPC", "signature", "update", "select")


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


async def _measure() -> Sequence[Figure]:
    # Local accounts first, or the facility would be asked for the password.
    async with stage(providers="local") as service, bare_connections(service.dsn) as asked:
        pid = service.process.pid
        refresh, one_session = await _refreshes(service)
        key, generation = UUID(one_session), count(10)
        empty = partial(service.method("GetServerInfo"), b"")
        sign = signing()
        update = asked(
            lambda connection: connection.fetchrow(
                "UPDATE session SET generation = $2, rotated_at = now() WHERE id = $1 RETURNING id",
                key,
                next(generation),
            )
        )
        select = asked(lambda connection: connection.fetchrow("SELECT * FROM session WHERE id = $1", key))
        made = {name: [] for name in ("refresh", *FLOORS)}
        for is_warm in (False, *[True] * ROUNDS):
            costs = {
                "refresh": await cost(repeat(refresh, CALLS), pid=pid),
                "empty RPC": await cost(repeat(empty, CALLS), pid=pid),
                "signature": await floor(sign, CALLS),
                "update": await floor(update, CALLS),
                "select": await floor(select, CALLS),
            }
            for name, each in costs.items() if is_warm else ():
                made[name].append(each)
    cpu = {name: tuple(each.cpu for each in costs) for name, costs in made.items()}
    floors = [sum(each) for each in zip(*(cpu[name] for name in FLOORS), strict=True)]
    wall = {f"{name}, wall": tuple(each.wall for each in costs) for name, costs in made.items()}
    return (Figure("Refresh : sum of its floors", ratios(floors, cpu["refresh"]), at_least=0.7, raw={**cpu, **wall}),)


async def _refreshes(service: Stage) -> tuple[Call, str]:
    """A call that takes one of 32 sessions a step on; and the id of one more session."""
    refresh = service.method("Refresh")
    free: asyncio.LifoQueue[str] = asyncio.LifoQueue()
    for _ in range(IN_FLIGHT):
        free.put_nowait((await service.local_login()).refresh_token)

    async def step() -> None:
        request = auth_pb2.RefreshRequest(refresh_token=free.get_nowait())
        answer = auth_pb2.RefreshResponse.FromString(await refresh(request.SerializeToString()))
        free.put_nowait(answer.refresh_token)

    return step, (await service.local_login()).session_id
