"""Who checks tokens: our own client over HTTP and by the trust stream, and gateways that fetch at fixed times only."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any, Protocol, Self

import grpc
import grpc.aio
from auth_api.v1 import trust_pb2
from auth_client import KeySet, KeysUnavailable, TokenVerifier
from auth_client.fetched_keys import FetchedKeys
from auth_client.sources import KeySource
from auth_client.trust import TrustStream

from auth_service.web.wellknown import JWKS_PATH
from tests.simulation.database import BEGINNING
from tests.simulation.loop import Process
from tests.simulation.replicas import Answer, Replica
from tests.usecases.replica import TOKEN_POLICY

LEEWAY = timedelta(seconds=60)
MOST_SKEW = timedelta(seconds=45)
"""How wrong a verifier's clock may be. The rest of the leeway is for what a replica guesses of the database's clock."""


class Unreachable(Exception):
    """No replica is ready, or the way there is cut."""


class Service(Protocol):
    """The service as it is seen from outside: a load balancer in front of the replicas that say they are ready."""

    def ready_replica(self) -> Replica:
        """Raises Unreachable."""
        ...


@dataclass
class Wire:
    """A verifier's way to the service."""

    service: Service
    random: Random
    consumer: str
    is_cut: bool = False
    loses: float = 0.02

    async def get(self, path: str, headers: dict[str, str]) -> Answer:
        """Raises Unreachable."""
        await asyncio.sleep(self.random.uniform(0.001, 0.1))
        if self.is_cut or self.random.random() < self.loses:
            raise Unreachable("the request was lost")
        replica = self.service.ready_replica()
        asked = replica.process.spawn(replica.get(path, headers))
        await asyncio.wait((asked,))
        if asked.cancelled():
            raise Unreachable("the connection was reset")
        await asyncio.sleep(self.random.uniform(0.001, 0.1))
        if self.is_cut or self.random.random() < self.loses:
            raise Unreachable("the answer was lost")
        return asked.result()


@dataclass
class Verifier:
    """`knows_at` says as of which moment its keys are; None before the first. Times are true ones, in seconds."""

    name: str
    wire: Wire
    tokens: TokenVerifier
    source: KeySource
    skew: timedelta
    knows_at: Callable[[], float | None]
    follows: TrustStream | None = None

    def now(self, moment: float) -> float:
        """Its wall clock."""
        return BEGINNING.timestamp() + moment + self.skew.total_seconds()


class Fetching:
    """Fetches the key set, and remembers when what it fetched was true. With a cache between, that may be a while."""

    def __init__(self, wire: Wire, *, through_cache: bool = False) -> None:
        self._wire = wire
        self._through_cache = through_cache
        self._cached: tuple[float, float, Answer] | None = None
        self.true_at: float | None = None

    async def fetch(self, known: KeySet | None) -> tuple[KeySet, float]:
        """The key set, and for how many seconds it is good. Raises Unreachable."""
        loop = asyncio.get_running_loop()
        if self._cached is not None and loop.time() < self._cached[1]:
            true_at, until, answer = self._cached
        else:
            headers = {"User-Agent": self._wire.consumer}
            if known is not None and known.version and not self._through_cache:
                headers["If-None-Match"] = known.version
            true_at, answer = loop.time(), await self._wire.get(JWKS_PATH, headers)
            found = re.search(r"max-age=(\d+)", answer.headers.get("cache-control", ""))
            until = true_at + (float(found[1]) if found else 0.0)
            if self._through_cache and answer.status == 200:
                self._cached = true_at, until, answer
        if answer.status not in (200, 304):
            raise Unreachable(f"the key set is not to be had: {answer.status}")
        keys = known if answer.status == 304 else KeySet.from_jwks(answer.body, answer.headers["etag"])
        assert keys is not None
        self.true_at = true_at
        return keys, until - true_at


class Periodic:
    """As Envoy and Istio do it: fetches at fixed times, and an unknown kid causes nothing."""

    def __init__(self, fetching: Fetching, *, every: timedelta, random: Random) -> None:
        self._fetching = fetching
        self._every = every.total_seconds()
        self._random = random
        self._keys: KeySet | None = None

    def current(self) -> KeySet:
        if self._keys is None:
            raise KeysUnavailable("no key set has been fetched yet")
        return self._keys

    async def look_again(self) -> bool:
        return False

    async def run(self) -> None:
        await asyncio.sleep(self._random.uniform(0.0, 2.0))
        while True:
            try:
                self._keys, _ = await self._fetching.fetch(self._keys)
            except Unreachable:
                await asyncio.sleep(5.0)
            else:
                await asyncio.sleep(self._every)


class TrustChannel:
    """In place of a grpc.aio.Channel to a service of many replicas."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def unary_stream(self, path: str, **_: object) -> "Callable[..., TrustCall]":
        assert path.endswith("/WatchTrust")
        return lambda request, metadata: TrustCall(self._wire, request)


class TrustCall:
    """Messages come in order and whole, or not at all: then the stream has broken."""

    def __init__(self, wire: Wire, request: trust_pb2.WatchTrustRequest) -> None:
        self._wire = wire
        self._request = request
        self._arrived: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=8)
        self._sending: asyncio.Task[None] | None = None

    async def read(self) -> Any:
        if self._sending is None:
            await asyncio.sleep(self._wire.random.uniform(0.001, 0.1))
            if self._wire.is_cut:
                raise _unavailable("connection refused")
            try:
                replica = self._wire.service.ready_replica()
            except Unreachable:
                raise _unavailable("connection refused") from None
            self._sending = replica.process.spawn(self._send(replica))
            self._sending.add_done_callback(self._ended)
        arrived = await self._arrived.get()
        if arrived is None:
            raise _unavailable("connection reset")
        return trust_pb2.WatchTrustResponse.FromString(arrived)

    def cancel(self) -> None:
        if self._sending is not None:
            self._sending.cancel()

    async def _send(self, replica: Replica) -> None:
        async for message in replica.watch_trust(self._request, consumer=self._wire.consumer):
            await asyncio.sleep(self._wire.random.uniform(0.001, 0.1))
            if self._wire.is_cut or self._wire.random.random() < self._wire.loses / 10:
                return
            await self._arrived.put(message)

    def _ended(self, sending: "asyncio.Task[None]") -> None:
        if not sending.cancelled():
            sending.exception()
        # What was on its way and not read is lost with the connection.
        while not self._arrived.empty():
            self._arrived.get_nowait()
        self._arrived.put_nowait(None)


def _unavailable(why: str) -> grpc.aio.AioRpcError:
    nothing = grpc.aio.Metadata()
    return grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, details=why)


def fleet(service: Service, random: Random, outside: Process) -> list[Verifier]:
    """One of each kind, with a clock as wrong as is allowed or less."""

    def skew() -> timedelta:
        return random.choice([-1, -0.5, 0, 0.5, 1]) * MOST_SKEW

    time = asyncio.get_running_loop().time
    made = []

    def verifier(name: str, wire: Wire, source: KeySource, knows_at: Callable[[], float | None]) -> Verifier:
        new = Verifier(
            name=name,
            wire=wire,
            tokens=None,  # type: ignore[arg-type]  # it needs the clock of the verifier that it is part of
            source=source,
            skew=skew(),
            knows_at=knows_at,
        )
        new.tokens = TokenVerifier(
            issuer=TOKEN_POLICY.issuer,
            audience=TOKEN_POLICY.audience,
            keys=source,
            leeway=LEEWAY,
            cache_size=1000,
            clock=lambda: new.now(time()),
        )
        made.append(new)
        return new

    for name, every, through_cache in (
        ("gateway 5 min", timedelta(minutes=5), False),
        ("Envoy 10 min", timedelta(minutes=10), True),
        ("Istio 20 min", timedelta(minutes=20), True),
    ):
        wire = Wire(service, random, name)
        fetching = Fetching(wire, through_cache=through_cache)
        periodic = Periodic(fetching, every=every, random=random)
        verifier(name, wire, periodic, _fetched_at(fetching))
        outside.spawn(periodic.run())
    for name in ("client over HTTP", "client that is seldom online"):
        wire = Wire(service, random, name)
        fetching = Fetching(wire)
        keys = FetchedKeys(fetching.fetch, name=name, clock=time)
        verifier(name, wire, keys, _fetched_at(fetching))
        outside.spawn(keys.refresh())
    for name in ("stream", "another stream"):
        wire = Wire(service, random, name)
        stream = TrustStream("simulated:50051", plaintext=True, clock=time)
        stream._open = partial(TrustChannel, wire)  # type: ignore[assignment,arg-type]  # the far side
        new = verifier(name, wire, stream, _told_at(stream, time))
        new.follows = stream
        outside.spawn(_entered(stream))
    return made


async def _entered(stream: TrustStream) -> None:
    async with stream:
        await asyncio.Event().wait()


def _fetched_at(fetching: Fetching) -> Callable[[], float | None]:
    return lambda: fetching.true_at


def _told_at(stream: TrustStream, time: Callable[[], float]) -> Callable[[], float | None]:
    def told_at() -> float | None:
        age = stream.health.age
        return None if age is None else time() - age.total_seconds()

    return told_at
