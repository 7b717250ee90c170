"""D11: three replicas behind a real Envoy (deploy/envoy/ext_authz.yaml) are restarted one after another, under load.

Nobody who calls with our client notices; of those who try once and never again, one in a thousand at most. Nor does who
comes through Envoy to an application. The same client that spreads its calls by itself, without Envoy, notices nothing
either. In the full form the same behind a real nginx.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import grpc
from auth_api.v1 import auth_pb2, auth_pb2_grpc
from auth_client.aio import AuthClient

from tests.drills.report import Findings, alone, milliseconds
from tests.drills.stage import Caller, replicas, running_postgres
from tests.support.gateways import APP, AUTH_GRPC, AUTH_HTTP, DEPLOY, RECIPES, Gateway, Recipe, gateway, why_not
from tests.support.load import OK, Samples, by_exception, steady
from tests.support.processes import ServiceProcess
from tests.support.raw_http import running_application

REPLICAS = 3
SCALED = {"policy_file": str(DEPLOY / "policy.json"), "path_prefix": "/auth", "cookie_path": "/", "drain": "3s"}
"""As deploy/envoy/ext_authz.yaml asks for."""
READY_FOR = 1.5
"""Seconds that a replica is up before the next one goes (`minReadySeconds`): Envoy asks every second."""
ONE_IN = 1000

Call = Callable[[], Awaitable[object]]


class _Refused(Exception):
    pass


async def drill(*, full: bool) -> list[Findings]:
    rounds, rate = (10, 500) if full else (1, 120)
    gateways = ("Envoy, ext_authz", "nginx") if full else ("Envoy, ext_authz",)
    return [await _behind(RECIPES[name], rounds=rounds, rate=rate) for name in gateways]


async def _behind(recipe: Recipe, *, rounds: int, rate: float) -> Findings:
    findings = Findings(f"D11 replicas restarted in turns, {recipe.program}", f"{rate:.0f}/s, {rounds} x {REPLICAS}")
    if reason := why_not(recipe):
        findings.note(f"left out: {reason}")
        return findings
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        postgres = await enter(running_postgres())
        services = await replicas(stack, REPLICAS, database=postgres.dsn(), scaled=SCALED)
        application = await enter(running_application())
        addresses = {
            AUTH_HTTP: [each.http_address for each in services],
            AUTH_GRPC: [each.grpc_address for each in services],
            APP: [application.address],
        }
        running = await enter(gateway(recipe, upstreams=addresses))
        async with Caller(services[0]) as caller:
            pairs = await caller.logins(40)
        await _conduct(findings, stack, services, running, pairs, rounds=rounds, rate=rate)
    return findings


async def _conduct(
    findings: Findings,
    stack: AsyncExitStack,
    services: list[ServiceProcess],
    running: Gateway,
    pairs: list[auth_pb2.LoginResponse],
    *,
    rounds: int,
    rate: float,
) -> None:
    callers = {
        "our client": await _client(stack, running.grpc_address, pairs, options=()),
        "our client, round robin": await _client(
            stack,
            "ipv4:" + ",".join(each.grpc_address for each in services),
            pairs,
            options=(("grpc.lb_policy_name", "round_robin"),),
        ),
        "calls that are never repeated": await _raw(stack, running.grpc_address, pairs[0].access_token),
        "requests to an application": await _browser(stack, running.address, pairs[0].access_token),
    }
    stop = asyncio.Event()
    loads = {
        name: asyncio.create_task(steady(call, rate_per_second=rate / len(callers), stop=stop, classify=by_exception))
        for name, call in callers.items()
    }
    for _ in range(rounds):
        for service in services:
            ended = await service.terminate()
            if ended.code != 0:
                findings.expect(f"a replica ended with {ended.code}", holds=False)
            await service.start()
            await asyncio.sleep(READY_FOR)
    stop.set()
    for name, load in loads.items():
        _judge(findings, name, await load, may_fail=not name.startswith("our client"))


def _judge(findings: Findings, name: str, samples: Samples, *, may_fail: bool) -> None:
    made, failed = len(samples.calls), len(samples.calls) - samples.outcomes[OK]
    outcomes = {outcome: count for outcome, count in samples.outcomes.items() if outcome != OK}
    said = f"{name}: {failed} of {made} failed {outcomes or ''}".strip()
    findings.expect(f"{said}, p99 {milliseconds(samples.p99)}", failed <= (made // ONE_IN if may_fail else 0))


async def _client(
    stack: AsyncExitStack, target: str, pairs: list[auth_pb2.LoginResponse], *, options: tuple[tuple[str, str], ...]
) -> Call:
    """Nine of ten calls verify a token, and the tenth refreshes a session of this client's own."""
    client = await stack.enter_async_context(AuthClient(target, plaintext=True, options=options))
    turns = itertools.count()
    # Each takes what the other has not: a session has one refresh under way at most.
    own: asyncio.Queue[str] = asyncio.Queue()
    for pair in pairs[: len(pairs) // 2] if not options else pairs[len(pairs) // 2 :]:
        own.put_nowait(pair.refresh_token)

    async def call() -> None:
        if next(turns) % 10:
            await client.verify(pairs[0].access_token)
            return
        token = await own.get()
        own.put_nowait((await client.refresh(token)).refresh_token)

    return call


async def _raw(stack: AsyncExitStack, target: str, token: str) -> Call:
    options = (("grpc.enable_retries", 0),)
    channel = await stack.enter_async_context(grpc.aio.insecure_channel(target, options=options))
    auth = auth_pb2_grpc.AuthServiceStub(channel)
    request = auth_pb2.VerifyRequest(token=token)
    return lambda: auth.Verify(request, timeout=5)


async def _browser(stack: AsyncExitStack, address: str, token: str) -> Call:
    http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)))

    async def call() -> None:
        async with http.get(f"http://{address}/me/x", headers={"Authorization": f"Bearer {token}"}) as answer:
            if answer.status != 200:
                raise _Refused(answer.status)

    return call


if __name__ == "__main__":
    alone("D11", drill)
