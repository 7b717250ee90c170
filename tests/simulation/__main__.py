"""Storms of new seeds for a while, and then the hunt for planted bugs. `make simulate SEED=7 STEPS=90` repeats one."""

import argparse
import os
import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import count

from tests.simulation.planted import PLANTS, Plant
from tests.simulation.storms import Storm, hunt, storm

STEPS = 300
"""Of each storm: longer than that, and a world's past says little about its future."""
WORLDS_FOR_A_PLANT = 12


def main() -> None:
    parser = argparse.ArgumentParser(description="Look for a broken promise in simulated worlds.")
    parser.add_argument("--seed", type=int, help="one storm of this seed, step by step")
    parser.add_argument("--steps", type=int, default=STEPS, help="of each storm")
    parser.add_argument("--seconds", type=float, default=40.0, help="for storms; the hunt takes as long again")
    parser.add_argument("--first", type=int, help="seed of the first storm; a new one each time if not given")
    parser.add_argument("--storms", type=int, help="how many, however long it takes")
    parser.add_argument("--plant", choices=[plant.__name__ for plant in PLANTS], help="with this bug in it")
    chosen = parser.parse_args()
    if chosen.seed is not None:
        sys.exit(_again(chosen.seed, steps=chosen.steps, plant_name=chosen.plant))
    first = random.SystemRandom().randrange(10**6) if chosen.first is None else chosen.first
    sys.exit(_search(first, storms_at_most=chosen.storms, seconds=chosen.seconds, steps=chosen.steps))


def _again(seed: int, *, steps: int, plant_name: str | None) -> int:
    plants = {plant.__name__: plant for plant in PLANTS}
    went = storm(seed, steps=steps, plant=plants[plant_name]) if plant_name else storm(seed, steps=steps)
    print("\n".join(went.trace))
    print(went.report or f"every promise held: {_figures([went], took=went.took_seconds)}")
    return int(went.broken is not None)


def _search(first: int, *, storms_at_most: int | None, seconds: float, steps: int) -> int:
    began = time.monotonic()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        storms: list[Storm] = []
        at_once = 2 * (os.cpu_count() or 1)
        for batch in count():
            seeds = range(first + batch * at_once, first + (batch + 1) * at_once)
            storms += pool.map(partial(storm, steps=steps), seeds)
            if time.monotonic() >= began + seconds if storms_at_most is None else len(storms) >= storms_at_most:
                break
        took = time.monotonic() - began
        hunted = list(pool.map(partial(_hunted, steps=steps, first=first), PLANTS))
    print(f"simulation, seeds {first} to {storms[-1].seed}: {_figures(storms, took=took)}")
    found = [(plant.__name__, went, taken) for plant, (went, taken) in zip(PLANTS, hunted, strict=True) if went]
    for name, went, taken in found:
        assert went.broken is not None
        print(f"  planted: {name:<34} found by seed {went.seed}, {taken:>5} steps: {went.broken.promise}")
    print(f"simulation, planted bugs: {len(found)} of {len(PLANTS)} found")
    broken = [went for went in storms if went.broken is not None]
    for went in broken:
        print(went.report)
    return int(bool(broken) or len(found) < len(PLANTS))


def _hunted(plant: Plant, *, steps: int, first: int) -> tuple[Storm | None, int]:
    return hunt(plant, seeds=range(first, first + WORLDS_FOR_A_PLANT), steps=steps)


def _figures(storms: list[Storm], *, took: float) -> str:
    steps = sum(each.steps for each in storms)
    checked: Counter[str] = sum((each.checked for each in storms), Counter())
    crashes: Counter[str] = sum((each.crashes for each in storms), Counter())
    figures = {
        "storms": len(storms),
        "steps": steps,
        "steps/s": steps / took,
        "hours simulated": sum(each.simulated_seconds for each in storms) / 3600,
        "database statements": sum(each.statements for each in storms),
        "tokens": sum(each.tokens for each in storms),
        "rotations": sum(each.rotations for each in storms),
        "crashes at a point": crashes.total(),
        "checks": checked.total(),
        "broken": sum(each.broken is not None for each in storms),
    }
    return ", ".join(f"{value:,.0f} {name}" for name, value in figures.items())


if __name__ == "__main__":
    main()
