"""While the service leaves it says so at both doors, and still answers, and still learns which sessions have ended."""

from pathlib import Path
from typing import Any

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from auth_service.demo import Facility
from tests.support.conditions import eventually
from tests.support.leaving import service_that_leaves
from tests.support.service import Databases, is_ready, refusal, running_service


async def test_a_leaving_replica_is_not_ready_and_still_up_to_date(
    databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    url = await databases.make("postgresql")
    async with (
        service_that_leaves(url, facility=facility, data_dir=tmp_path, drain="20s", poll_every="50ms") as service,
        running_service(url, facility=facility, data_dir=tmp_path) as staying,
        grpc.aio.insecure_channel(str(service.where.grpc)) as channel,
        aiohttp.ClientSession(f"http://{service.where.http}") as http,
    ):
        await eventually(lambda: is_ready(http))
        pair = await staying.login()
        service.leave()

        stub: Any = health_pb2_grpc.HealthStub(channel)

        async def says_not_serving() -> bool:
            answer = await stub.Check(health_pb2.HealthCheckRequest())
            return bool(answer.status == health_pb2.HealthCheckResponse.NOT_SERVING)

        await eventually(says_not_serving)
        assert not await is_ready(http)
        assert not service.gone.done()

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
