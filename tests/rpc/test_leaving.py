"""While the service leaves it says so at both doors, and still answers, and still learns which sessions have ended."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from auth_service import app
from auth_service import settings as settings_module
from auth_service.demo import Facility
from tests.support.conditions import eventually
from tests.support.service import Databases, environment, is_ready, refusal, running_service


async def test_a_leaving_replica_is_not_ready_and_still_up_to_date(
    databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    url = await databases.make("postgresql")
    variables = environment(url, facility=facility, data_dir=tmp_path, drain="20s", poll_every="50ms")
    settings, _ = settings_module.load(variables)
    leave, left = asyncio.Event(), asyncio.Event()
    where: asyncio.Future[app.Running] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        async with app.running(settings) as running:
            where.set_result(running)
            await leave.wait()
        left.set()

    serving = asyncio.create_task(serve())
    addresses = await where
    async with (
        running_service(url, facility=facility, data_dir=tmp_path) as staying,
        grpc.aio.insecure_channel(str(addresses.grpc)) as channel,
        aiohttp.ClientSession(f"http://{addresses.http}") as http,
    ):
        await eventually(lambda: is_ready(http))
        pair = await staying.login()
        leave.set()

        stub: Any = health_pb2_grpc.HealthStub(channel)

        async def says_not_serving() -> bool:
            answer = await stub.Check(health_pb2.HealthCheckRequest())
            return bool(answer.status == health_pb2.HealthCheckResponse.NOT_SERVING)

        await eventually(says_not_serving)
        assert not await is_ready(http)
        assert not left.is_set()

        await staying.logout(pair.refresh_token)
        leaving = staying.at(channel)

        async def knows_of_the_logout() -> bool:
            try:
                await leaving.verify(pair.access_token)
            except grpc.aio.AioRpcError:
                return True
            return False

        await eventually(knows_of_the_logout)
        assert (await refusal(leaving.verify(pair.access_token))).reason == "TOKEN_REVOKED"
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
