"""How often a method may be called: from one address, by everybody, on all replicas together."""

import asyncio
from collections import Counter
from typing import Any

import grpc
import pytest
from auth_api.v1 import auth_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from auth_service.rpc.interceptors.rate_limit import UnknownMethod
from tests.rpc.conftest import Start, through_valkey
from tests.support.conditions import eventually
from tests.support.service import Refusal, Service, refusal

OK, LATER = "OK", "RATE_LIMITED"
WINDOW = 60

pytestmark = pytest.mark.usefixtures("one_minute")


@pytest.fixture(params=["through the database", "through Valkey"])
def shared_limits(request: pytest.FixtureRequest) -> dict[str, str]:
    return through_valkey(request.getfixturevalue("valkey")) if request.param == "through Valkey" else {}


async def logged_out(service: Service, times: int, *, address: str = "192.0.2.1") -> Counter[str]:
    """Calls a method that anybody may call: how many came to what."""

    async def one() -> str:
        request = auth_pb2.LogoutRequest(refresh_token="rt1.of-nobody")
        try:
            await service.auth.Logout(request, metadata=(("x-forwarded-for", address),))
        except grpc.aio.AioRpcError as error:
            return Refusal.of(error).reason
        return OK

    return Counter([await one() for _ in range(times)])


@pytest.mark.row("E14")
async def test_a_method_is_answered_so_often_for_each_address(start: Start) -> None:
    service = await start(rate_limits="Logout=5/m,*=1000/m", trusted_proxies="127.0.0.1")

    assert await logged_out(service, 8) == {OK: 5, LATER: 3}
    assert await logged_out(service, 5, address="192.0.2.2") == {OK: 5}


@pytest.mark.row("E14")
async def test_a_refusal_says_when_the_next_window_begins(start: Start) -> None:
    service = await start(rate_limits="Login=1/m")
    await service.login()

    refused = await refusal(service.login())

    assert refused.verdict == ("RESOURCE_EXHAUSTED", LATER)
    assert 0 < refused.details["RetryInfo"].retry_delay.ToTimedelta().total_seconds() <= WINDOW


@pytest.mark.row("E14")
async def test_all_methods_together_have_a_limit(start: Start) -> None:
    service = await start(rate_limits="*=4/m")
    token = (await service.login()).refresh_token
    token = (await service.refresh(token)).refresh_token
    await logged_out(service, 2)

    assert (await refusal(service.login())).reason == LATER
    assert (await refusal(service.refresh(token))).reason == LATER


@pytest.mark.row("E14")
async def test_everybody_together_has_a_limit(start: Start) -> None:
    service = await start(rate_limits="all:Logout=6/m", trusted_proxies="127.0.0.1")

    told = [await logged_out(service, 1, address=f"192.0.2.{number}") for number in range(9)]

    assert sum(told, Counter()) == {OK: 6, LATER: 3}


@pytest.mark.row("E14")
async def test_what_services_ask_for_everybody_is_not_limited_unless_it_is_named(start: Start) -> None:
    service = await start(rate_limits="*=1/m")
    token = (await service.login()).access_token
    health: Any = health_pb2_grpc.HealthStub(service.channel)

    for _ in range(5):
        await service.verify(token)
        await health.Check(health_pb2.HealthCheckRequest())

    named = await start(rate_limits="Verify=1/m")
    await named.verify(token)
    assert (await refusal(named.verify(token))).reason == LATER


@pytest.mark.row("E14")
async def test_replicas_count_together(start: Start) -> None:
    one, other = await start(rate_limits="Logout=1000/m"), await start(rate_limits="Logout=1000/m")
    assert await logged_out(one, 950) == {OK: 950}
    let_through = 0

    async def is_told() -> bool:
        nonlocal let_through
        told = await logged_out(other, 1)
        let_through += told[OK]
        return told[LATER] == 1

    # It hears of the others' calls when it has enough of its own to tell, which is far from refusing any by itself.
    await eventually(is_told)
    assert let_through < 500


async def test_calls_that_are_refused_do_not_count(start: Start) -> None:
    service = await start(rate_limits="Login=2/m,*=3/m")
    await service.login()
    await service.login()
    await asyncio.gather(*(refusal(service.login()) for _ in range(5)))

    assert await logged_out(service, 2) == {OK: 1, LATER: 1}


async def test_a_limit_for_a_method_that_there_is_not_refuses_the_start(start: Start) -> None:
    with pytest.raises(UnknownMethod, match="AUTH_RATE_LIMITS: there is no method Logn"):
        await start(rate_limits="Logn=5/m")
