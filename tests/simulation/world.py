"""The service, the database, the verifiers and the people, all in one simulated moment.

A world is a function of its seed and of what `actions` do to it. Everything of ours that runs in it is the real thing;
simulated are time, the network, the database server and its clock, the making of keys, and who checks.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import sqlalchemy as sa
import structlog
from auth_client import KeysUnavailable, TokenRefused
from auth_client.errors import AuthError, Code

from auth_service.domain import keys as key_rules
from auth_service.domain import tokens
from auth_service.domain.errors import AuthError as ServiceError
from auth_service.domain.errors import SigningUnavailable
from auth_service.domain.keys import KeyPolicy, KeyRing
from auth_service.domain.sessions import Session
from auth_service.rpc.errors import status_of
from auth_service.storage import schema, signing_keys
from auth_service.storage import sessions as session_rows
from auth_service.storage.database import Connection, Gone
from auth_service.usecases import trust
from tests.simulation.database import DatabaseServer, Weather
from tests.simulation.loop import Process, SimulatedLoop, current_process
from tests.simulation.people import Person
from tests.simulation.promises import Broken, Issued, Record
from tests.simulation.replicas import Absences, Drifting, Replica, replica
from tests.simulation.rsa_keys import KeyMaker
from tests.simulation.verifiers import Unreachable, Verifier, fleet
from tests.usecases.replica import Facility

T = TypeVar("T")

POLICY = KeyPolicy(
    size_bits=2048,
    rotate_every=timedelta(minutes=40),
    publish_ahead=timedelta(minutes=35),
    signer_lease=timedelta(seconds=60),
    token_lifetime=timedelta(minutes=10),
    clock_skew=timedelta(seconds=60),
)
LONGEST_LEASE = timedelta(seconds=90)
"""Where an upgrade rolls."""
PUBLISHED_WITHIN = timedelta(seconds=90)
"""Until a key that is marked as published is in what every ready replica publishes: a lease, and its making."""
REPLICA_NAMES = ("replica 1", "replica 2", "replica 3")
AS_OF = timedelta(seconds=5)
"""How wrong a replica may be about as of when it knows: by its guess of the database's clock, and that one's jumps."""

is_forced: ContextVar[bool] = ContextVar("is_forced", default=False)
"""Whether an operator wants the change at once, published ahead or not."""


class PromiseBroken(AssertionError):
    """Says how to see it again."""

    def __init__(self, broken: Broken, *, seed: int, trace: list[str]) -> None:
        steps = len(trace)
        last = "\n  ".join(trace[-25:])
        super().__init__(
            f"{broken}\nafter {steps} steps of seed {seed}; again: make simulate SEED={seed} STEPS={steps}\n  {last}"
        )
        self.broken = broken


@dataclass
class Bomb:
    """A replica dies when it gets to `point` for the `count`th time."""

    point: str
    count: int


@dataclass
class Node:
    """A place where replicas of one name run, one after another."""

    name: str
    policy: KeyPolicy
    now_here: Replica | None = None
    bomb: Bomb | None = None
    clears: asyncio.TimerHandle | None = None
    """Its own weather."""


class World:
    """Use it as a context manager; outside of it everything is as it was."""

    def __init__(self, seed: int, *, plant: Callable[[ExitStack], None] = lambda _stack: None) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.record = Record()
        self.trace: list[str] = []
        self.crashes: Counter[str] = Counter()
        self.people: list[Person] = []
        self.verifiers: list[Verifier] = []
        self.facility = Facility()
        self.poll_every = timedelta(seconds=self.random.choice([5, 15, 15, 15]))
        self.nodes = [Node(name, POLICY) for name in REPLICA_NAMES]
        self.disturbed_until = 0.0
        self.away = Absences()
        """Of the database, for everybody."""
        self.clears: asyncio.TimerHandle | None = None
        self._spenders: dict[tuple[UUID, int], Replica] = {}
        self._plant = plant
        self._stack = ExitStack()
        self._last_revocation = 0
        self._names = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(random.setstate, random.getstate())
            random.seed(self.seed)
            stack.enter_context(_quiet(self.record))
            self.loop = SimulatedLoop(Random(self.seed + 1))
            self.loop.set_exception_handler(self._unforeseen)
            stack.callback(self.loop.close)
            self.workers = stack.enter_context(ThreadPoolExecutor(1))
            self.server = DatabaseServer(Random(self.seed + 2), committed=self._committed)
            stack.callback(self.server.close)
            stack.enter_context(swapped(key_rules, "rsa", KeyMaker(Random(self.seed + 3))))
            stack.enter_context(swapped(tokens, "mint", self._recorded(tokens.mint)))
            stack.enter_context(swapped(trust, "_Stream", _numbered(trust._Stream)))
            stack.enter_context(swapped(session_rows, "rotate", self._noting_who_spends(session_rows.rotate)))
            self._plant(stack)
            self.outside = Process("outside", self.loop)
            stack.callback(self._end)
            self.run(self._begin())
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def now(self) -> float:
        """True time, in seconds since the beginning."""
        return self.loop.time()

    @property
    def replicas(self) -> list[Replica]:
        """Those that live."""
        return [node.now_here for node in self.nodes if node.now_here is not None]

    @property
    def ready(self) -> list[Replica]:
        return [each for each in self.replicas if each.is_ready]

    def ready_replica(self) -> Replica:
        if not self.ready:
            raise Unreachable("no replica is ready")
        return self.random.choice(self.ready)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        async def outside() -> T:
            return await self.outside.spawn(coroutine)

        return self.loop.run_until_complete(outside())

    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def say(self, what: str) -> None:
        """One step of the trace."""
        self.trace.append(f"{len(self.trace) + 1:>4} {self.now:>9.1f} s  {what}")

    def judge(self) -> None:
        """Raises PromiseBroken."""
        if self.record.broken:
            raise PromiseBroken(self.record.broken[0], seed=self.seed, trace=self.trace)

    def disturb(self, *, until: float) -> None:
        self.disturbed_until = max(self.disturbed_until, until)

    @property
    def calm_for(self) -> float:
        """Seconds since anything was last wrong."""
        return max(0.0, self.now - self.disturbed_until)

    # The database and the replicas.

    def turn_weather(self, weather: Weather, *, seconds: float, node: Node | None = None) -> None:
        """For a while, at one node or everywhere, instead of what it was there."""
        self.disturb(until=self.now + seconds)
        holder: World | Node = self if node is None else node
        if holder.clears is not None:
            holder.clears.cancel()
        self._set_weather(weather, node)
        holder.clears = self.loop.call_later(seconds, self._set_weather, Weather.FINE, node)

    def _set_weather(self, weather: Weather, node: Node | None) -> None:
        if node is None:
            self.server.weather = weather
            self.away.note(weather.is_away, moment=self.now)
        elif node.now_here is not None:
            node.now_here.link.own_weather = weather
            node.now_here.away.note(weather.is_away, moment=self.now)

    def absence(self, *replicas: Replica | None, since: float) -> float:
        """For how many of the seconds since then one of these had no database, or had crashed."""
        spans = [*self.away.until(self.now)]
        for each in replicas:
            if each is not None:
                spans += each.away.until(self.now)
        total, reached = 0.0, since
        for begun, ended in sorted(spans):
            total += max(0.0, ended - max(begun, reached))
            reached = max(reached, ended)
        return total

    def spender(self, session_id: UUID, generation: int) -> Replica | None:
        """Who made the session go on from `generation`; None if it does not know so far that it did."""
        return self._spenders.get((session_id, generation))

    def keep_from_reading_the_ring(self, node: Node, *, seconds: float) -> None:
        """At one node; all else that it asks the database is answered."""
        if node.now_here is None:
            return
        link = node.now_here.link
        link.failing = frozenset({signing_keys._version, signing_keys._read})
        self.disturb(until=self.now + seconds)

        def clears() -> None:
            link.failing = frozenset()

        self.loop.call_later(seconds, clears)

    def node_of(self, here: Replica) -> Node:
        return next(node for node in self.nodes if node.name == here.name)

    def crash(self, node: Node, *, back_after: float) -> None:
        self.disturb(until=self.now + back_after + 10.0)
        if node.now_here is None:
            return
        node.now_here.process.kill()
        node.now_here.away.note(True, moment=self.now)
        node.now_here, node.bomb = None, None
        if node.clears is not None:
            node.clears.cancel()

        async def comes_back() -> None:
            await asyncio.sleep(back_after)
            self.start(node)

        self.outside.spawn(comes_back())

    def start(self, node: Node) -> None:
        process = Process(node.name, self.loop, reached=lambda point: self._reached(node, point))
        monotonic = Drifting(
            self.loop.time, rate=1 + self.random.uniform(-1e-4, 1e-4), began=self.random.uniform(0, 1e6)
        )
        node.now_here, database = replica(
            node.name,
            server=self.server,
            process=process,
            policy=node.policy,
            monotonic=monotonic,
            poll_every=self.poll_every,
            facility=self.facility,
            workers=self.workers,
        )
        node.now_here.started_at = self.now
        process.spawn(node.now_here.serve(database))

    def _reached(self, node: Node, point: str) -> None:
        bomb = node.bomb
        if bomb is None or bomb.point != point:
            return
        bomb.count -= 1
        if bomb.count <= 0:
            self.crashes[point] += 1
            self.crash(node, back_after=self.random.uniform(1.0, 30.0))

    # Calls from outside.

    async def call(self, at: Replica, answer: Callable[[], Coroutine[Any, Any, T]], *, loses: float = 0.02) -> T:
        """What `at` answers. Raises AuthError: what it refuses, and UNAVAILABLE where no answer comes."""
        lost = AuthError(Code.UNAVAILABLE, "", "the connection was reset")
        await asyncio.sleep(self.random.uniform(0.001, 0.05))
        if at.process.is_dead or self.random.random() < loses:
            raise lost
        task = at.process.spawn(answer())
        if self.random.random() < loses:
            # The caller's connection breaks in the middle: the server stops answering, or does not notice.
            await asyncio.sleep(self.random.uniform(0.0, 0.05))
            if self.random.random() < 0.5:
                task.cancel()
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise lost
        await asyncio.wait((task,))
        if task.cancelled():
            raise lost
        await asyncio.sleep(self.random.uniform(0.001, 0.05))
        error = task.exception()
        if isinstance(error, ServiceError):
            raise AuthError(Code(status_of(error).value[0]), error.reason, str(error)) from error
        if error is not None:
            self.record.check("defects", False, f"a call failed with {type(error).__name__}: {error}")
            raise AuthError(Code.INTERNAL, "", str(error)) from error
        if self.random.random() < loses:
            raise lost
        return task.result()

    def new_person(self) -> Person:
        self._names += 1
        person = Person(self, f"person {self._names}")
        self.people.append(person)
        return person

    # Judging.

    async def present(self, issued: Issued, verifier: Verifier) -> None:
        """Show the token to the verifier, and hold what it says against what it should know."""
        should_accept = self._must_accept(issued, verifier)
        try:
            await verifier.tokens.verify(issued.token)
        except TokenRefused as refused:
            reason = refused.reason
        except KeysUnavailable:
            reason = "no keys"
        else:
            ends_known, keys_known = self._known_until(verifier)
            self.record.accepted(
                issued, by=verifier.name, knows_session_ends_until=ends_known, knows_keys_until=keys_known
            )
            return
        # What changed while it looked for keys is no fault of its.
        within_contract = should_accept and self._must_accept(issued, verifier)
        self.record.refused(issued, by=verifier.name, reason=reason, within_contract=within_contract)

    def _must_accept(self, issued: Issued, verifier: Verifier) -> bool:
        """Whether the token is in its time by the verifier's clock, and its keys are as new as its profile promises."""
        if verifier.now(self.now) >= issued.exp or not self.record.is_good(issued):
            return False
        knows_at = verifier.knows_at()
        if knows_at is None:
            return False
        with suppress(KeysUnavailable):
            if issued.kid in verifier.source.current():
                return True
        if issued.is_canary:
            return False
        is_recent = self.now - knows_at <= (POLICY.publish_ahead - PUBLISHED_WITHIN).total_seconds()
        return is_recent and issued.kid not in self.record.hasty_kids

    def _known_until(self, verifier: Verifier) -> tuple[float, float]:
        """The moments before which it should know of every session that ended, and of every key that was revoked."""
        knows_at = verifier.knows_at()
        assert knows_at is not None
        if verifier.follows is None:
            # A replica that cannot read the ring publishes what it knows for as long as a load balancer asks it.
            return float("-inf"), knows_at - (LONGEST_LEASE + AS_OF).total_seconds()
        return max(knows_at - AS_OF.total_seconds(), self._all_know()), knows_at - AS_OF.total_seconds()

    def _all_know(self) -> float:
        """The moment before which whatever happened is known to all who follow, if nothing was wrong since."""
        takes = 2.5 * self.poll_every.total_seconds() + 3.0
        # A stream that broke takes ten seconds to notice at least, and its pauses double up to ten.
        return self.now - takes if self.calm_for > takes + 90.0 else float("-inf")

    def verify_at(self, here: Replica, issued: Issued) -> None:
        """What `Verify` says."""
        is_expired = here.clock.timestamp() >= issued.exp
        try:
            here.verifier.verify_now(issued.token)
        except TokenRefused as refused:
            # A key that it cannot know yet: whoever signed with it was faster than its poll.
            knows_kid = issued.kid in here.keys.verifying.current()
            self.record.refused(
                issued, by=_identity(here), reason=refused.reason, within_contract=knows_kid and not is_expired
            )
            return
        age = (here.clock.now() - here.revoked.read_at).total_seconds() + AS_OF.total_seconds()
        self.record.accepted(
            issued,
            by=_identity(here),
            knows_session_ends_until=max(self.now - age, self._all_know()),
            knows_keys_until=self._all_know(),
        )

    def _committed(self) -> None:
        """A transaction was, at this moment: what did it change?"""
        version = self.server.look(sa.select(schema.key_ring.c.version))
        if version and version[0]["version"] != self.record.ring.version:
            may_sign = []
            for each in self.replicas:
                with suppress(SigningUnavailable):
                    may_sign.append((each.name, each.keys.signer().kid))
            self.record.ring_changed(self._ring(), moment=self.now, by_operator=is_forced.get(), may_sign=may_sign)
        revocation = schema.revocation
        for row in self.server.look(
            sa.select(revocation.c.id, revocation.c.session_id)
            .where(revocation.c.id > self._last_revocation)
            .order_by(revocation.c.id)
        ):
            self._last_revocation = row["id"]
            self.record.revoked.setdefault(str(row["session_id"]), self.now)

    def _ring(self) -> KeyRing:
        """As the database holds it."""
        reading = signing_keys.read(_Looking(self.server))  # type: ignore[arg-type]  # it only reads rows
        try:
            reading.send(None)
        except StopIteration as read:
            ring: KeyRing = read.value
            return ring
        raise AssertionError("looking does not wait")

    def _recorded(self, mint: Callable[..., str]) -> Callable[..., str]:
        def minted(*args: Any, **named: Any) -> str:
            token = mint(*args, **named)
            process = current_process()
            assert process is not None
            longest = max(node.policy.signer_lease for node in self.nodes)
            self.record.signed(token, moment=self.now, by=process.name, lease=longest)
            return token

        return minted

    def _noting_who_spends(self, rotate: Callable[..., Coroutine[Any, Any, bool]]) -> Callable[..., Any]:
        async def noted(connection: Connection, successor: Session, **named: Any) -> bool:
            here = next((each for each in self.replicas if each.process is current_process()), None)
            key = (successor.id, successor.generation - 1)
            try:
                has_rotated = await rotate(connection, successor, **named)
            except Gone:
                # Done all the same, if it is the latest use.
                query = sa.select(schema.session.c.rotated_at).where(schema.session.c.id == successor.id)
                if here is not None and self.server.look(query)[0]["rotated_at"] == successor.rotated_at:
                    self._spenders.setdefault(key, here)
                raise
            if has_rotated and here is not None:
                self._spenders[key] = here
            return has_rotated

        return noted

    async def _begin(self) -> None:
        for node in self.nodes:
            self.start(node)
        await asyncio.sleep(5.0)
        self.verifiers = fleet(self, Random(self.seed + 4), self.outside)
        await asyncio.sleep(10.0)

    def _end(self) -> None:
        for each in self.replicas:
            each.process.kill()
        self.outside.kill()
        # So that they hear of it.
        self.loop.run_until_complete(asyncio.sleep(1.0))

    def _unforeseen(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.record.check("defects", False, f"{context.get('message')}: {context.get('exception')!r}")


class _Looking:
    """A connection for one who judges: it answers at once."""

    chains = False

    def __init__(self, server: DatabaseServer) -> None:
        self._server = server

    async def rows(self, statement: Any, **values: Any) -> Any:
        return self._server.execute(statement, values).rows


def _identity(here: Replica) -> str:
    """Another one after each start: what a replica has refused, the next one of the name need not remember."""
    return f"{here.name}, started at {here.started_at:.0f} s"


def _numbered(kind: type) -> type:
    """Streams in the order in which they began, whatever their addresses: sets of them are gone through."""

    class Numbered(kind):  # type: ignore[misc]
        __slots__ = ("_number",)
        made = 0

        def __init__(self) -> None:
            super().__init__()
            Numbered.made += 1
            self._number = Numbered.made

        def __hash__(self) -> int:
            return self._number

    return Numbered


@contextmanager
def swapped(holder: Any, name: str, value: object) -> Iterator[None]:
    """`holder.name` is `value` meanwhile."""
    before = getattr(holder, name)
    setattr(holder, name, value)
    try:
        yield
    finally:
        setattr(holder, name, before)


@contextmanager
def _quiet(record: Record) -> Iterator[None]:
    """The service's log goes nowhere; but what it calls a defect is one."""

    def note(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event["event"] in ("background.defect", "background.failed"):
            record.check("defects", False, f"{event['event']} in {event.get('step')}: {event.get('cause')}")
        raise structlog.DropEvent

    before = structlog.get_config()
    client = logging.getLogger("auth_client")
    structlog.configure(
        processors=[note],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        cache_logger_on_first_use=False,
    )
    was_disabled, client.disabled = client.disabled, True
    try:
        yield
    finally:
        client.disabled = was_disabled
        structlog.configure(**before)
