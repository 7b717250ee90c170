"""Routes of the HTTP door, beside one that does nothing (`/healthz`); and Envoy's `Check`, beside an empty RPC.

Fresh tokens are used once each. A token seen before is one of 500 that come round, as where a page asks for much.
One service has a policy of 20 rules, a second one of 2,000.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
from auth_api.v1 import auth_pb2

from auth_service.rpc.ext_authz import CHECK, check_pb2
from bench.figures import Figure, ratios
from bench.http_load import Connections, UnexpectedAnswer, request
from bench.load import Call, Cost, cost
from bench.service import Method, Stage, stage
from bench.verify_rpc import verify_requests

ROUNDS, CALLS, KNOWN = 7, 500, 500
FEW_RULES, MANY_RULES = 20, 2000
JWKS, LOCATION = "/.well-known/jwks.json", "/things/7/parts/3"
_MANY = "/authz, 2,000 rules"
_OK_RESPONSE = b"x-auth-subject"


def measure() -> Sequence[Figure]:
    return asyncio.run(_measure())


@dataclass(frozen=True)
class _Doors:
    """A service with a policy, and tokens that it believes."""

    service: Stage
    http: Connections
    tokens: Sequence[str]

    @property
    def pid(self) -> int:
        return self.service.process.pid

    @property
    def known(self) -> Iterator[str]:
        return cycle(self.tokens[:KNOWN])


async def _measure() -> Sequence[Figure]:
    async with AsyncExitStack() as stack:
        few = await _doors(stack, rules=FEW_RULES, tokens=3 * (ROUNDS + 1) * CALLS + KNOWN)
        many = await _doors(stack, rules=MANY_RULES, tokens=KNOWN)
        fresh = iter(few.tokens[KNOWN:])
        known_by_etag = request("GET", JWKS, headers={"If-None-Match": await _etag(few)})
        of_few: dict[str, Iterator[Call]] = {
            "empty route": cycle([partial(few.http.ask, request("GET", "/healthz"))]),
            "JWKS": cycle([partial(few.http.ask, request("GET", JWKS))]),
            "JWKS, 304": cycle([partial(few.http.ask, known_by_etag, status=304)]),
            "/verify, fresh token": (_verify(few, each) for each in fresh),
            "/verify, token seen before": (_verify(few, each) for each in few.known),
            "/authz, fresh token": (_authz(few, each) for each in fresh),
            "/authz, token seen before": (_authz(few, each) for each in few.known),
            "empty RPC": cycle([partial(few.service.method("GetServerInfo"), b"")]),
            "Check, fresh token": (_check(few, each) for each in fresh),
            "Check, token seen before": (_check(few, each) for each in few.known),
        }
        sides = {side: (few.pid, calls) for side, calls in of_few.items()}
        costs = await _in_turns(sides | {_MANY: (many.pid, (_authz(many, each) for each in many.known))})
    return _figures(costs)


async def _doors(stack: AsyncExitStack, *, rules: int, tokens: int) -> _Doors:
    policy = Path(stack.enter_context(TemporaryDirectory())) / "policy.json"
    policy.write_text(json.dumps(_policy(rules)))
    service = await stack.enter_async_context(stage(policy_file=str(policy)))
    http = stack.enter_context(closing(Connections(service.process.http_address)))
    requests = await verify_requests(service, tokens)
    return _Doors(service, http, [auth_pb2.VerifyRequest.FromString(each).token for each in requests])


def _policy(rules: int) -> dict[str, object]:
    """The rule that lets the caller in comes last, and its location looks like all the others."""
    others = [
        {"roles": [f"role-{number}"], "locations": [f"/things/{{id}}/parts/{number}x", f"/pages-{number}/*"]}
        for number in range(rules - 1)
    ]
    return {"rules": [*others, {"roles": ["user"], "methods": ["GET"], "locations": ["/things/{id}/parts/*"]}]}


async def _etag(doors: _Doors) -> str:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://{doors.service.process.http_address}{JWKS}") as answer,
    ):
        return answer.headers["ETag"]


def _verify(doors: _Doors, token: str) -> Call:
    return partial(doors.http.ask, request("POST", "/verify", body=json.dumps({"token": token}).encode()))


def _authz(doors: _Doors, token: str) -> Call:
    headers = {"X-Original-Method": "GET", "X-Original-URI": LOCATION, "Authorization": f"Bearer {token}"}
    return partial(doors.http.ask, request("GET", "/authz", headers=headers))


def _check(doors: _Doors, token: str) -> Call:
    headers = {":authority": "bench", "user-agent": "bench", "authorization": f"Bearer {token}"}
    asked = check_pb2.AttributeContext.HttpRequest(method="GET", path=LOCATION, headers=headers)
    attributes = check_pb2.AttributeContext(request=check_pb2.AttributeContext.Request(http=asked))
    question = check_pb2.CheckRequest(attributes=attributes).SerializeToString()
    check: Method = doors.service.channel.unary_unary(CHECK)  # type: ignore[assignment]  # as in `rpc_of`
    return partial(_lets_in, check, question)


async def _lets_in(check: Method, question: bytes) -> None:
    # A refusal is an answer, too; it has no such field.
    if _OK_RESPONSE not in await check(question):
        raise UnexpectedAnswer("Check refused")


async def _in_turns(sides: Mapping[str, tuple[int, Iterator[Call]]]) -> dict[str, tuple[Cost, ...]]:
    """By the name of each side; `sides` tell the process that is watched, and the calls."""
    costs: dict[str, list[Cost]] = {side: [] for side in sides}
    for is_warm in (False, *[True] * ROUNDS):
        for side, (pid, calls) in sides.items():
            each = await cost(islice(calls, CALLS), pid=pid)
            if is_warm:
                costs[side].append(each)
    return {side: tuple(made) for side, made in costs.items()}


def _figures(costs: Mapping[str, tuple[Cost, ...]]) -> Sequence[Figure]:
    cpu = {side: tuple(each.cpu for each in made) for side, made in costs.items()}
    wall = {f"{side}, wall": tuple(each.wall for each in made) for side, made in costs.items()}
    targets = {
        "JWKS": ("empty route", 0.8),
        "JWKS, 304": ("empty route", 0.8),
        # A gateway asks about each request of a page, and a consumer shows one token many times: those have the target.
        # To check a signature alone costs half of what an empty route does.
        "/verify, fresh token": ("empty route", None),
        "/verify, token seen before": ("empty route", 0.6),
        "/authz, fresh token": ("empty route", None),
        "/authz, token seen before": ("empty route", 0.6),
        "Check, fresh token": ("empty RPC", None),
        "Check, token seen before": ("empty RPC", 0.6),
    }
    compared = [
        Figure(f"{side} : {empty}", ratios(cpu[empty], cpu[side]), at_least=least)
        for side, (empty, least) in targets.items()
    ]
    by_rules = ratios(cpu[_MANY], cpu["/authz, token seen before"])
    return (*compared, Figure("/authz, 2,000 rules : 20 rules", by_rules, at_most=1.2, raw={**cpu, **wall}))
