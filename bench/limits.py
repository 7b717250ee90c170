"""What auditing and limiting cost `Login` and `Refresh`: the service beside one that does neither, in turns.

What counts is the processor time of the service for one call, as in `refresh` and `login`.
"""

import asyncio
from collections.abc import Sequence
from itertools import repeat

from bench.figures import Figure, ratios
from bench.load import Call, Cost, cost
from bench.login import logins
from bench.refresh import refreshes
from bench.service import Stage, stage

ROUNDS, CALLS = 9, 500


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


async def _measure() -> Sequence[Figure]:
    async with stage() as ours, stage(arguments=("-m", "bench.without"), rate_limits="none") as without:
        calls = {
            "Login": (logins(ours.method("Login")), logins(without.method("Login"))),
            "Refresh": (await refreshes(ours), await refreshes(without)),
        }
        return [figure for name, pair in calls.items() for figure in await _compared(name, pair, (ours, without))]


async def _compared(name: str, calls: tuple[Call, Call], stages: tuple[Stage, Stage]) -> Sequence[Figure]:
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for is_warm in (False, *[True] * ROUNDS):
        for call, service, made in zip(calls, stages, costs, strict=True):
            each = await cost(repeat(call, CALLS), pid=service.process.pid)
            if is_warm:
                made.append(each)
    cpu, without_cpu = (tuple(each.cpu for each in made) for made in costs)
    wall, without_wall = (tuple(each.wall for each in made) for made in costs)
    title = f"{name} : without audit and limits"
    return (
        Figure(title, ratios(cpu, without_cpu), at_most=1.15, raw={name: cpu, "without": without_cpu}),
        Figure(f"{title}, on the wall", ratios(wall, without_wall), raw={name: wall, "without": without_wall}),
    )
