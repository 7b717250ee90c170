"""`Verify` over gRPC, beside an RPC that does nothing (`GetServerInfo`) through the same interceptors.

Fresh tokens are used once each. A token seen before is one of 500 that come round.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import cycle, islice
from uuid import uuid4

from auth_api.v1 import auth_pb2

from auth_service import app
from auth_service.app.keys import token_policy
from auth_service.domain import sessions, tokens
from auth_service.domain.people import Person
from auth_service.domain.sessions import SessionPolicy
from bench.figures import Figure, ratios
from bench.load import Call, Cost, cost
from bench.service import Stage, stage

ROUNDS, CALLS, KNOWN = 9, 1200, 500


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


async def _measure() -> Sequence[Figure]:
    async with stage() as service:
        pid = service.process.pid
        empty, verify = service.method("GetServerInfo"), service.method("Verify")
        fresh: Iterator[Call] = (partial(verify, each) for each in await verify_requests(service, ROUNDS * CALLS))
        known = cycle([partial(verify, each) for each in await verify_requests(service, KNOWN)])
        sides: dict[str, Iterable[Call]] = {
            "empty": cycle([partial(empty, b"")]),
            "fresh": fresh,
            "known": known,
        }
        for side in ("empty", "known"):
            await cost(islice(sides[side], CALLS), pid=pid)
        costs: dict[str, list[Cost]] = {side: [] for side in sides}
        for _ in range(ROUNDS):
            for side, calls in sides.items():
                costs[side].append(await cost(islice(calls, CALLS), pid=pid))
    cpu = {side: tuple(each.cpu for each in made) for side, made in costs.items()}
    wall = {f"{side}, wall": tuple(each.wall for each in made) for side, made in costs.items()}
    raw = {**cpu, **wall}
    return (
        Figure("Verify RPC, fresh token : empty RPC", ratios(cpu["empty"], cpu["fresh"]), at_least=0.65, raw=raw),
        Figure("Verify RPC, token seen before : empty RPC", ratios(cpu["empty"], cpu["known"]), at_least=0.9),
    )


async def verify_requests(service: Stage, count: int) -> Sequence[bytes]:
    """Requests with tokens that the service will believe, each another one; signed here, with its own key."""
    settings = service.settings()
    async with app.core(settings) as core:
        await core.keys.tick()
        signer, now = core.keys.signer(), core.clock.now()
    person = Person(
        id=uuid4(),
        provider="uows",
        provider_subject="1234567",
        username="ada.lovelace@facility.example",
        display_name="Ada Lovelace",
        user_number=1234567,
        provider_roles=frozenset(),
        provider_checked_at=now,
        granted_roles=frozenset(),
        is_listed_staff=False,
        disabled_at=None,
        deleted_at=None,
    )
    session = sessions.start(person.id, now=now, policy=SessionPolicy(*[timedelta(hours=1)] * 3))

    def request(_: int) -> bytes:
        claims = tokens.claims_for(
            person, session, roles=("user",), now=now, lifetime=signer.lifetime, policy=token_policy(settings)
        )
        token = tokens.mint(claims, kid=signer.kid, private_key=signer.private_key)
        return auth_pb2.VerifyRequest(token=token).SerializeToString()

    with ThreadPoolExecutor(2) as workers:
        return list(workers.map(request, range(count)))
