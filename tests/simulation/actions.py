"""What can happen in a world, each thing with how often it does. An action is a function of the world and of chance."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

from auth_client.errors import AuthError

from auth_service.domain.audit import OPERATOR
from tests.simulation.database import Weather
from tests.simulation.people import Person, refreshing
from tests.simulation.promises import Issued
from tests.simulation.replicas import Replica
from tests.simulation.verifiers import MOST_SKEW, Verifier
from tests.simulation.world import LONGEST_LEASE, POLICY, Bomb, Node, World, is_forced

Verb = Coroutine[Any, Any, object]
Action = Callable[[World, Random], None]
ACTIONS: dict[str, tuple[int, Action]] = {}
"""By name, with the weight."""

POINTS = ("work", "begin", "statement", "executed", "commit", "committed")
MOST_PEOPLE = 12
MOST_AHEAD = timedelta(seconds=3)
"""How far the database's clock goes wrong."""


def action(*, weight: int) -> Callable[[Action], Action]:
    def noted(act: Action) -> Action:
        ACTIONS[act.__name__] = (weight, act)
        return act

    return noted


# Time, and people who go about their business.


@action(weight=14)
def a_moment_passes(world: World, chance: Random) -> None:
    world.pass_time(chance.choice([0.05, 0.3, 1.0, 3.0, 10.0]))


@action(weight=6)
def minutes_pass(world: World, chance: Random) -> None:
    world.pass_time(chance.uniform(20.0, 200.0))


@action(weight=2)
def much_time_passes(world: World, chance: Random) -> None:
    world.pass_time(chance.uniform(600.0, 2400.0))


@action(weight=8)
def somebody_signs_in(world: World, chance: Random) -> None:
    person = world.new_person() if len(world.people) < MOST_PEOPLE else chance.choice(world.people)
    person.wants_token()
    world.pass_time(0.5)


@action(weight=14)
def somebody_renews(world: World, chance: Random) -> None:
    if world.people:
        chance.choice(world.people).wants_new_token()
        world.pass_time(chance.choice([0.1, 0.5, 2.0]))


@action(weight=3)
def somebody_logs_out(world: World, chance: Random) -> None:
    if world.people:
        with suppress(AuthError):
            world.run(chance.choice(world.people).log_out())


@action(weight=4)
def somebody_renews_in_two_windows(world: World, chance: Random) -> None:
    """The same token at the same moment, at two replicas."""
    person = _idle(world, chance)
    if person is None or len(world.ready) < 2:
        return
    token = person.session.refresh_token
    for at in chance.sample(world.ready, 2):
        world.outside.spawn(_attempt(world, at, token, person))
    world.pass_time(3.0)


async def _attempt(world: World, at: Replica, token: str, person: Person | None) -> None:
    with suppress(AuthError):
        await world.call(at, refreshing(world, at, token, by=person))


@action(weight=2)
def a_thief_uses_what_lies_about(world: World, chance: Random) -> None:
    robbed = [person for person in world.people if person.spent]
    if not robbed or not world.ready:
        return
    person = chance.choice(robbed)
    person.is_robbed = True
    world.run(_attempt(world, chance.choice(world.ready), chance.choice(person.spent), None))


# Tokens are shown.


@action(weight=16)
def somebody_shows_a_token_everywhere(world: World, chance: Random) -> None:
    living = _living(world)
    if living:
        _show(world, chance.choice(living[-20:]))


@action(weight=5)
def a_token_of_a_session_that_ended_is_shown(world: World, chance: Random) -> None:
    """Now, and again before it is over."""
    living = [issued for issued in _living(world) if issued.session_id in world.record.revoked]
    if not living:
        return
    issued = chance.choice(living)
    _show(world, issued)
    if chance.random() < 0.3:
        _wait_for_its_last_moment(world, chance, issued)


@action(weight=4)
def a_token_is_shown_at_its_last_moment(world: World, chance: Random) -> None:
    """By the clock of the verifier that is furthest behind."""
    living = _living(world)
    if not living:
        return
    _wait_for_its_last_moment(world, chance, chance.choice(living[-20:]))


def _wait_for_its_last_moment(world: World, chance: Random, issued: Issued) -> None:
    slowest = min(world.verifiers, key=lambda each: each.skew)
    left = issued.exp - slowest.now(world.now)
    if left > 3.0:
        world.pass_time(left - chance.uniform(1.0, 3.0))
    _show(world, issued)


def _show(world: World, issued: Issued) -> None:
    async def everywhere() -> None:
        for verifier in world.verifiers:
            await world.present(issued, verifier)

    world.run(everywhere())
    for here in world.ready:
        world.verify_at(here, issued)


# The database.


@action(weight=5)
def the_database_has_weather(world: World, chance: Random) -> None:
    seconds = chance.choice([0.3, 2.0, 8.0, 30.0, 90.0, 230.0])
    world.turn_weather(chance.choice(list(Weather)[1:]), seconds=seconds)
    world.pass_time(chance.choice([0.01, 0.2]))


@action(weight=5)
def a_replica_loses_the_database(world: World, chance: Random) -> None:
    node = chance.choice(world.nodes)
    weather = chance.choice([Weather.SLOW, Weather.FORGETS, Weather.REFUSES, Weather.HANGS])
    world.turn_weather(weather, seconds=chance.choice([2.0, 20.0, 55.0, 90.0, 230.0]), node=node)
    world.pass_time(chance.choice([0.01, 0.2]))


@action(weight=6)
def somebody_renews_as_the_database_goes(world: World, chance: Random) -> None:
    """So that the commit may have happened and its answer not."""
    person = _idle(world, chance)
    if person is None:
        return
    world.turn_weather(Weather.FORGETS, seconds=0.5)
    person.wants_new_token()
    world.pass_time(chance.uniform(0.05, 0.1))
    world.turn_weather(chance.choice([Weather.REFUSES, Weather.HANGS]), seconds=chance.uniform(12.0, 200.0))
    world.pass_time(chance.choice([1.0, 20.0, 250.0]))


@action(weight=4)
def somebody_renews_as_their_replica_goes(world: World, chance: Random) -> None:
    """It is cut off, or crashes; the others go on."""
    person = _idle(world, chance)
    if person is None or not world.ready:
        return
    at = chance.choice(world.ready)
    node = world.node_of(at)
    person.goes_to(at)
    world.turn_weather(Weather.FORGETS, seconds=0.5, node=node)
    person.wants_new_token()
    world.pass_time(chance.uniform(0.05, 0.1))
    if chance.random() < 0.4:
        world.crash(node, back_after=chance.choice([0.5, 30.0, 120.0]))
    else:
        gone = chance.choice([Weather.REFUSES, Weather.HANGS])
        world.turn_weather(gone, seconds=chance.uniform(12.0, 200.0), node=node)
    world.pass_time(chance.choice([1.0, 20.0, 100.0]))


@action(weight=1)
def the_clock_of_the_database_jumps(world: World, chance: Random) -> None:
    world.server.ahead = chance.uniform(-1.0, 1.0) * MOST_AHEAD
    world.disturb(until=world.now + 60.0)


# Replicas.


@action(weight=3)
def a_replica_crashes(world: World, chance: Random) -> None:
    world.crash(chance.choice(world.nodes), back_after=chance.choice([0.5, 5.0, 60.0]))


@action(weight=4)
def a_replica_is_to_crash_at(world: World, chance: Random) -> None:
    """At one of the points of keys-and-sessions section 1, mostly while it rotates."""
    node = _living_node(world, chance)
    if node is None or node.now_here is None:
        return
    node.bomb = Bomb(chance.choice(POINTS), count=chance.choice([1, 1, 2, 3, 5]))
    if chance.random() < 0.6:
        _operate(world, node.now_here, _rotates_when_published_ahead, forced=False)
    world.pass_time(chance.choice([0.1, 1.0]))


@action(weight=1)
def an_upgrade_rolls(world: World, chance: Random) -> None:
    """A replica starts again with other settings than the others have."""
    node = chance.choice(world.nodes)
    node.policy = replace(
        POLICY,
        token_lifetime=timedelta(minutes=chance.choice([8, 10, 12])),
        signer_lease=chance.choice([POLICY.signer_lease, LONGEST_LEASE]),
        rollback_within=timedelta(minutes=chance.choice([0, 5, 10])),
    )
    world.crash(node, back_after=1.0)
    world.pass_time(3.0)


# Operators.


@action(weight=4)
def an_operator_rotates(world: World, chance: Random) -> None:
    if world.ready:
        _operate(world, chance.choice(world.ready), _rotates_when_published_ahead, forced=False)


@action(weight=1)
def an_operator_rotates_at_once(world: World, chance: Random) -> None:
    if world.ready:
        _operate(world, chance.choice(world.ready), _rotates_at_once, forced=True)


@action(weight=1)
def an_operator_rolls_back(world: World, chance: Random) -> None:
    if world.ready:
        _operate(world, chance.choice(world.ready), lambda at: at.keys.roll_back(origin=OPERATOR), forced=True)


@action(weight=1)
def an_operator_revokes_a_key(world: World, chance: Random) -> None:
    if world.ready and chance.random() < 0.5:
        kid = chance.choice([key.kid for key in world.record.ring.published])
        _operate(world, chance.choice(world.ready), lambda at: at.keys.revoke(kid, origin=OPERATOR), forced=True)


@action(weight=2)
def an_operator_tries_a_canary(world: World, chance: Random) -> None:
    if not world.ready:
        return
    _operate(world, chance.choice(world.ready), lambda at: at.canaries.mint(origin=OPERATOR), forced=False)
    canaries = [issued for issued in world.record.issued if issued.is_canary]
    if canaries:
        _show(world, canaries[-1])


@action(weight=4)
def a_key_rotates_behind_a_replica(world: World, chance: Random) -> None:
    """Which goes on signing with the demoted one for the rest of its lease."""
    if len(world.ready) < 2:
        return
    behind, at = chance.sample(world.ready, 2)
    world.keep_from_reading_the_ring(world.node_of(behind), seconds=chance.uniform(40.0, 150.0))
    at_once = chance.random() < 0.4
    _operate(world, at, _rotates_at_once if at_once else _rotates_when_published_ahead, forced=at_once)
    for _ in range(chance.choice([2, 4, 6])):
        world.pass_time(chance.uniform(5.0, 30.0))
        if world.people and behind.is_ready:
            person = chance.choice(world.people)
            person.goes_to(behind)
            person.wants_new_token()
    world.pass_time(1.0)
    if world.record.issued and chance.random() < 0.5:
        _wait_for_its_last_moment(world, chance, world.record.issued[-1])


@action(weight=2)
def a_key_is_revoked_behind_a_replica(world: World, chance: Random) -> None:
    """Whose trust stream goes on telling of sessions, and knows nothing of the key."""
    if len(world.ready) < 2:
        return
    behind, at = chance.sample(world.ready, 2)
    world.keep_from_reading_the_ring(world.node_of(behind), seconds=chance.uniform(60.0, 240.0))
    kid = world.record.ring.active.kid
    _operate(world, at, lambda at: at.keys.revoke(kid, origin=OPERATOR), forced=True)
    world.pass_time(chance.uniform(10.0, 200.0))
    signed = [issued for issued in _living(world) if issued.kid == kid]
    if signed:
        _show(world, chance.choice(signed))


def _rotates_at_once(at: Replica) -> Verb:
    return at.keys.rotate(origin=OPERATOR)


def _rotates_when_published_ahead(at: Replica) -> Verb:
    return at.keys.rotate(origin=OPERATOR, require_published_ahead=True)


def _operate(world: World, at: Replica, verb: Callable[[Replica], Verb], *, forced: bool) -> None:
    async def operated() -> None:
        is_forced.set(forced)
        with suppress(AuthError):
            await world.call(at, lambda: verb(at))

    world.run(operated())


# Verifiers.


@action(weight=4)
def a_verifier_is_cut_off(world: World, chance: Random) -> None:
    verifier = chance.choice(world.verifiers)
    _cut(world, verifier, seconds=chance.choice([0.2, 5.0, 60.0, 600.0]))


@action(weight=2)
def one_is_offline_for_long(world: World, chance: Random) -> None:
    (verifier,) = (each for each in world.verifiers if "seldom" in each.name)
    _cut(world, verifier, seconds=chance.choice([1800.0, 7200.0, 90_000.0]))


@action(weight=2)
def the_clock_of_a_verifier_jumps(world: World, chance: Random) -> None:
    chance.choice(world.verifiers).skew = chance.uniform(-1.0, 1.0) * MOST_SKEW


def _cut(world: World, verifier: Verifier, *, seconds: float) -> None:
    wire = verifier.wire
    wire.is_cut = True
    world.disturb(until=world.now + min(seconds, 600.0))

    def mend() -> None:
        wire.is_cut = False
        world.disturb(until=world.now)

    world.loop.call_later(seconds, mend)
    world.pass_time(0.05)


def _living(world: World) -> list[Issued]:
    """Tokens that somebody may still believe, oldest first."""
    earliest = min(verifier.now(world.now) for verifier in world.verifiers)
    return [issued for issued in world.record.issued[-400:] if issued.exp > earliest - 60]


def _idle(world: World, chance: Random) -> Person | None:
    """Somebody who has a session and renewed it a while ago."""
    idle = [person for person in world.people if person.is_idle]
    return chance.choice(idle) if idle else None


def _living_node(world: World, chance: Random) -> Node | None:
    living = [node for node in world.nodes if node.now_here is not None]
    return chance.choice(living) if living else None
