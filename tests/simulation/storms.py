"""Worlds in which things happen at random, out of a seed."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random

from tests.simulation.actions import ACTIONS
from tests.simulation.promises import Broken
from tests.simulation.world import PromiseBroken, World


@dataclass
class Storm:
    """How one went. `broken` is None if every promise held; else `report` says how, and how to see it again."""

    seed: int
    steps: int = 0
    broken: Broken | None = None
    report: str = ""
    simulated_seconds: float = 0.0
    took_seconds: float = 0.0
    statements: int = 0
    tokens: int = 0
    rotations: int = 0
    checked: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)


def storm(seed: int, *, steps: int, plant: Callable[[ExitStack], None] = lambda _stack: None) -> Storm:
    """Up to so many steps of the world of `seed`; it ends with the first promise that is broken."""
    names, weights = list(ACTIONS), [weight for weight, _ in ACTIONS.values()]
    chance, went, began = Random(seed), Storm(seed), time.perf_counter()
    with World(seed, plant=plant) as world:
        try:
            for _ in range(steps):
                (name,) = chance.choices(names, weights)
                take(world, name, chance.getrandbits(32))
        except PromiseBroken as broken:
            went.broken, went.report = broken.broken, str(broken)
        went.steps = len(world.trace)
        went.simulated_seconds = world.now
        went.statements = world.server.statements
        went.tokens = len(world.record.issued)
        went.rotations = world.record.rotations
        went.checked, went.crashes, went.trace = world.record.checked, world.crashes, world.trace
    went.took_seconds = time.perf_counter() - began
    return went


def hunt(plant: Callable[[ExitStack], None], *, seeds: Iterable[int], steps: int) -> tuple[Storm | None, int]:
    """The first storm that finds the planted bug, and how many steps were taken in all."""
    taken = 0
    for seed in seeds:
        went = storm(seed, steps=steps, plant=plant)
        taken += went.steps
        if went.broken is not None:
            return went, taken
    return None, taken


def take(world: World, name: str, chance: int) -> None:
    """One step. Raises PromiseBroken."""
    world.say(name.replace("_", " "))
    ACTIONS[name][1](world, Random(chance))
    world.judge()
