"""A call of the service and the same call of the bare server, in turns."""

from collections.abc import Sequence
from functools import partial
from itertools import repeat

from bench.figures import Figure, ratios
from bench.load import Call, Cost, cost
from bench.service import Bare, Stage


async def against_floors(
    name: str,
    service: Stage,
    ours: Call,
    floors: Bare,
    theirs: Call,
    *,
    rounds: int,
    calls: int,
    at_least: float,
) -> Sequence[Figure]:
    """How near `ours` comes to `theirs`; and, for the record, in calls per second and beside an empty RPC."""
    empty = partial(floors.method("GetServerInfo"), b"")
    sides = ((name, ours, service.process.pid), ("floors", theirs, floors.pid), ("empty RPC", empty, floors.pid))
    costs: dict[str, list[Cost]] = {side: [] for side, _, _ in sides}
    for is_warm in (False, *[True] * rounds):
        for side, call, pid in sides:
            each = await cost(repeat(call, calls), pid=pid)
            if is_warm:
                costs[side].append(each)
    cpu = {side: tuple(each.cpu for each in made) for side, made in costs.items()}
    wall = {f"{side}, wall": tuple(each.wall for each in made) for side, made in costs.items()}
    return (
        Figure(f"{name} : sum of its floors", ratios(cpu["floors"], cpu[name]), at_least=at_least, raw={**cpu, **wall}),
        Figure(f"{name} : sum of its floors, on the wall", ratios(wall["floors, wall"], wall[f"{name}, wall"])),
    )
