"""D10: SIGTERM with 200 logins in flight, each a second long at the user office; on SQLite and on PostgreSQL.

Health says NOT_SERVING before anything else changes, every login is answered, the process ends with 0 within 10 s. A
second SIGTERM ends it at once.
"""

import asyncio
import os
import signal
import time

import grpc
from grpc_health.v1 import health_pb2

from auth_service.demo.facility import Facility, running_facility
from tests.drills.report import Findings, alone
from tests.drills.stage import KINDS, Caller, Kind, database_of, refusal, settings
from tests.support.processes import ServiceProcess

IN_FLIGHT = 200
EXIT_WITHIN = 10.0
SECOND_WITHIN = 1.0
UOWS_CONNECTIONS = 100


async def drill(*, full: bool) -> list[Findings]:
    async with running_facility() as facility:
        return [await _on(kind, facility, times=5 if full else 1) for kind in KINDS]


async def _on(kind: Kind, facility: Facility, *, times: int) -> Findings:
    findings = Findings(f"D10 SIGTERM, {kind}", f"{IN_FLIGHT} logins in flight" + (f", {times} x" if times > 1 else ""))
    async with database_of(kind) as database:
        service = ServiceProcess(settings(database=database, facility=facility, providers="uows"))
        try:
            for _ in range(times):
                await service.start()
                await _first_signal(findings, facility, service)
            await service.start()
            await _second_signal(findings, facility, service)
        finally:
            await service.close()
    return findings


async def _first_signal(findings: Findings, facility: Facility, service: ServiceProcess) -> None:
    callers = [Caller(service) for _ in range(4)]
    watching = asyncio.create_task(_not_serving(callers[0]))
    try:
        logins = await _in_flight(facility, callers)
        began = time.monotonic()
        ending = asyncio.create_task(service.terminate())
        answers = await asyncio.gather(*logins, return_exceptions=True)
        answered_at = time.monotonic()
        told_at = await watching
        ended = await ending
    finally:
        for caller in callers:
            await caller.__aexit__()
    refused = [refusal(answer) for answer in answers if isinstance(answer, BaseException)]
    findings.expect(
        f"{IN_FLIGHT - len(refused)} of {IN_FLIGHT} answered {[str(each) for each in refused[:2]] or ''}".strip(),
        not refused,
    )
    findings.expect(f"NOT_SERVING after {1000 * (told_at - began):.0f} ms", told_at < answered_at)
    findings.expect(f"exit {ended.code} after {ended.seconds:.1f} s", ended.code == 0 and ended.seconds <= EXIT_WITHIN)


async def _second_signal(findings: Findings, facility: Facility, service: ServiceProcess) -> None:
    async with Caller(service) as caller:
        logins = await _in_flight(facility, [caller])
        os.kill(service.pid, signal.SIGTERM)
        await asyncio.sleep(0.2)
        ended = await service.terminate()
        await asyncio.gather(*logins, return_exceptions=True)
    findings.expect(f"second SIGTERM: exit {ended.code} after {ended.seconds:.2f} s", ended.seconds <= SECOND_WITHIN)


async def _in_flight(facility: Facility, callers: list[Caller]) -> list[asyncio.Task[object]]:
    """Logins that are all within the service: half of them at the user office, the rest waiting for their turn."""
    facility.fault = {}
    for caller in callers:
        await caller.login()
    facility.fault = {"/v1/sessions": "slow:1"}
    asked = facility.hits["/v1/sessions"]
    logins: list[asyncio.Task[object]] = [
        asyncio.create_task(callers[number % len(callers)].login()) for number in range(IN_FLIGHT)
    ]
    await facility.was_asked("/v1/sessions", times=asked + UOWS_CONNECTIONS)
    # The user office has as many as the service sends at once; the others came over the same channels before now.
    await asyncio.sleep(0.3)
    return logins


async def _not_serving(caller: Caller) -> float:
    """When a health check that watches is told so, or loses the connection."""
    watch = caller.channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    watching = watch(health_pb2.HealthCheckRequest())
    try:
        async for said in watching:
            if said.status == health_pb2.HealthCheckResponse.NOT_SERVING:
                return time.monotonic()
    except grpc.aio.AioRpcError:
        pass
    return float("inf")


if __name__ == "__main__":
    alone("D10", drill)
