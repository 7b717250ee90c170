"""Every promise holds in worlds where anything may go wrong, and rules that would break one are found out."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.simulation.actions import ACTIONS
from tests.simulation.planted import PLANTS, Plant
from tests.simulation.storms import hunt, storm, take
from tests.simulation.world import World

MOST_STEPS = 250
"""Within which a planted bug is found, in one of a few worlds."""


class AnyWorld(RuleBasedStateMachine):
    """What hypothesis makes happen: when a promise breaks, it looks for the shortest way there."""

    @initialize(seed=st.integers(0, 2**16))
    def begins(self, seed: int) -> None:
        self.world = World(seed).__enter__()

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.__exit__(None, None, None)


def _rule_of(name: str) -> object:
    def act(machine: AnyWorld, chance: int) -> None:
        take(machine.world, name, chance)

    act.__name__ = name
    return rule(chance=st.integers(0, 2**32 - 1))(act)


for _name in ACTIONS:
    setattr(AnyWorld, _name, _rule_of(_name))


@pytest.mark.parametrize("seed", [1, 2])
def test_every_promise_holds_in_a_storm(seed: int) -> None:
    went = storm(seed, steps=90)

    assert went.broken is None, went.report
    assert went.checked["ring"] > 0
    assert went.checked["refused"] > 0


def test_every_promise_holds_whatever_hypothesis_comes_upon() -> None:
    run_state_machine_as_test(
        AnyWorld,
        settings=settings(
            max_examples=3,
            stateful_step_count=20,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_seed_always_makes_the_same_world() -> None:
    once, again = storm(3, steps=25), storm(3, steps=25)

    assert (once.trace, once.statements, once.checked) == (again.trace, again.statements, again.checked)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant) -> None:
    promises, first_seed = PLANTS[plant]

    found, steps = hunt(plant, seeds=range(first_seed, first_seed + 8), steps=MOST_STEPS)

    assert found is not None, f"not found within {steps} steps"
    assert found.broken is not None
    assert found.broken.promise in promises, found.report
    print(f"{plant.__name__}: found by seed {found.seed} after {found.steps} steps: {found.broken}")
