"""Traces reach a collector, as children of the caller's span; nothing secret travels in them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from auth_api.v1 import auth_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from auth_service import telemetry
from tests.support.service import refusal, running_service, running_stand_in

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
ERROR = 2


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """An OTLP collector that keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    async def Export(self, request: Any, context: object) -> Any:
        self.spans += [span for each in request.resource_spans for scope in each.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


@asynccontextmanager
async def collecting() -> AsyncIterator[tuple[Collector, str]]:
    collector, server = Collector(), grpc.aio.server()
    add = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    add(collector, server)  # type: ignore[no-untyped-call]  # generated without types
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield collector, f"http://127.0.0.1:{port}"
    finally:
        await server.stop(None)


async def test_calls_are_traced_as_children_of_their_caller(sqlite_url: str, tmp_path: Path) -> None:
    async with collecting() as (collector, endpoint), running_stand_in() as facility:
        async with running_service(sqlite_url, facility=facility, data_dir=tmp_path, otlp_endpoint=endpoint) as service:
            traceparent = (("traceparent", f"00-{TRACE_ID}-{PARENT}-01"),)
            request = auth_pb2.LoginRequest(username="user1001", password="user1001-password")
            pair = await service.auth.Login(request, metadata=traceparent)
            await refusal(service.verify("not a token"))

        # Leaving sent what was left.
        spans = {span.name: span for span in collector.spans}
        login, verify = spans["auth_api.v1.AuthService/Login"], spans["auth_api.v1.AuthService/Verify"]
        assert (login.trace_id.hex(), login.parent_span_id.hex()) == (TRACE_ID, PARENT)
        assert login.status.code != ERROR
        assert verify.status.code == ERROR
        told = "".join(str(span) for span in collector.spans)
        assert "user1001-password" not in told
        assert pair.access_token not in told


async def test_a_collector_that_is_silent_is_not_waited_for_once_for_each_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(telemetry, "LAST_SPANS_WITHIN", timedelta(milliseconds=100))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        traces = telemetry.Tracing(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", service_version="1")
        for _ in range(2000):
            traces.tracer.start_span("call").end()

        # Four batches of five seconds each.
        async with asyncio.timeout(10):
            await asyncio.to_thread(traces.close)
