"""How long `Verify` takes while other work is under way, beside how long it takes when there is none.

`Verify` is asked 200 times a second and its time counts from when it was due, so a stall shows in full. In turns:
nothing else; 64 sign-ins at a time through a facility that takes 50 ms for each answer; 64 at a time through one that
answers at once, which is as many sign-ins as a core can do; 200 at a time of an account of our own, whose password is
hashed each time; one rotation of the signing keys after another. The sign-ins come from a process of their own, and are
under way a second after the first is in. All processes share the cores with the service, and so with one another.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import cycle

import aiohttp
from auth_api.v1 import keys_pb2, keys_pb2_grpc

from auth_service.providers.password_hashing import default_at_once
from bench.figures import Figure, ratios
from bench.service import Stage, running, stage
from bench.verify_rpc import verify_requests
from tests.support.conditions import eventually
from tests.support.load import OK, steady

ROUNDS, RATE, SECONDS, SETTLE = 5, 200, 3.0, 0.5
LEAST_SIGN_INS = 20


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


async def _measure() -> Sequence[Figure]:
    async with stage() as service:
        requests = cycle(await verify_requests(service, 500))
        verify = service.method("Verify")
        moments: dict[str, Callable[[Stage], AbstractAsyncContextManager[None]]] = {
            "quiet": _nothing,
            "sign-ins": partial(_sign_ins, seconds_upstream=0.05),
            "sign-ins, facility at once": partial(_sign_ins, seconds_upstream=0),
            "sign-ins, hashing": _hashing,
            "rotations": _rotations,
        }
        memory = service.process.rss()
        most_memory = []
        p99: dict[str, list[float]] = {name: [] for name in moments}
        for is_warm in (False, *[True] * ROUNDS):
            for name, moment in moments.items():
                async with moment(service):
                    await asyncio.sleep(SETTLE)
                    samples = await steady(lambda: verify(next(requests)), rate_per_second=RATE, seconds=SECONDS)
                    if name == "sign-ins, hashing":
                        most_memory.append((service.process.rss() - memory) / 1e6)
                assert set(samples.outcomes) == {OK}, samples.outcomes
                if is_warm:
                    p99[name].append(samples.percentile(0.99))
    raw = {f"p99, {name}": tuple(values) for name, values in p99.items()}
    quiet = p99.pop("quiet")
    names = {
        "sign-ins": "p99 of Verify during 64 sign-ins : quiet",
        "sign-ins, facility at once": "p99 of Verify during 64 sign-ins at full speed : quiet",
        "sign-ins, hashing": "p99 of Verify during 200 sign-ins that hash : quiet",
        "rotations": "p99 of Verify during key rotations : quiet",
    }
    hashes_mb = default_at_once() * service.settings().argon2_memory_kib * 1024 / 1e6
    return (
        *(Figure(names[name], ratios(values, quiet), at_most=3, raw=raw) for name, values in p99.items()),
        Figure("memory of 200 sign-ins that hash", tuple(most_memory), unit="MB", at_most=round(hashes_mb + 67)),
    )


@asynccontextmanager
async def _nothing(service: Stage) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def _sign_ins(service: Stage, *, seconds_upstream: float) -> AsyncIterator[None]:
    faults = {"/v1": f"slow:{seconds_upstream}"} if seconds_upstream else {}
    async with aiohttp.ClientSession() as http, http.put(f"{service.facility_url}/_faults", json=faults) as answer:
        answer.raise_for_status()
    async with running("bench.hammer", service.process.grpc_address):
        await _under_way(service)
        yield


@asynccontextmanager
async def _hashing(service: Stage) -> AsyncIterator[None]:
    async with running("bench.hammer", service.process.grpc_address, "local"):
        await _under_way(service)
        before = _signed_in(service)
        yield
        # Turning people away costs little, and would say nothing about hashing.
        assert _signed_in(service) - before >= LEAST_SIGN_INS, "hardly a password was hashed"


async def _under_way(service: Stage) -> None:
    before = _signed_in(service)
    await eventually(lambda: _signed_in(service) > before, every=0.1)
    # They all came at one moment, which no two of them do again.
    await asyncio.sleep(1)


def _signed_in(service: Stage) -> int:
    return service.process.log.count('"event":"login"')


@asynccontextmanager
async def _rotations(service: Stage) -> AsyncIterator[None]:
    keys = keys_pb2_grpc.KeyServiceStub(service.channel)
    authorization = ("authorization", f"Bearer {(await service.local_login()).access_token}")

    async def rotate() -> None:
        while True:
            await keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(), metadata=(authorization,))

    task = asyncio.create_task(rotate())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
