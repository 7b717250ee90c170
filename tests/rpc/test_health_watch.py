"""Who watches health is told of the end, and does not hold it up."""

import time
from datetime import timedelta

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from auth_service.rpc.health import Health
from auth_service.rpc.interceptors.streams import Streams
from auth_service.rpc.local_calls import LocalCalls
from auth_service.rpc.server import GrpcServer

NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture
def health() -> Health:
    return Health()


async def test_a_watcher_hears_the_end_and_does_not_hold_it_up(health: Health) -> None:
    bare = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health, bare)
    server = GrpcServer(bare, health, Streams(patience=timedelta(seconds=30)), LocalCalls())
    port = server.bind("127.0.0.1:0", None)
    await server.start()
    await server.say(serving=True)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )(health_pb2.HealthCheckRequest())
        told = [await watch.read()]

        await server.say(serving=False)
        told.append(await watch.read())
        began = time.monotonic()
        await server.stop(timedelta(seconds=30))
        took = time.monotonic() - began

        assert told == [health_pb2.HealthCheckResponse(status=status) for status in (SERVING, NOT_SERVING)]
        assert await watch.read() is grpc.aio.EOF
        assert took < 5
