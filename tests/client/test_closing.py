"""Closing a client while the service says nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from auth_api.v1 import auth_pb2_grpc
from auth_client import AuthError, Code, aio
from auth_client import grpclib as on_grpclib

from tests.support.conditions import eventually


class SaysNothing(auth_pb2_grpc.AuthServiceServicer):
    def __init__(self) -> None:
        self.calls = 0

    async def GetServerInfo(self, request: Any, context: Any) -> Any:
        self.calls += 1
        await asyncio.Event().wait()


@asynccontextmanager
async def served(service: SaysNothing) -> AsyncIterator[int]:
    server = grpc.aio.server()
    auth_pb2_grpc.add_AuthServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@pytest.mark.parametrize("client", [aio.AuthClient, on_grpclib.AuthClient])
async def test_a_call_under_way_ends_when_its_client_is_closed_and_is_not_sent_again(client: Any) -> None:
    silent = SaysNothing()  # type: ignore[abstract]  # nothing else is called
    async with served(silent) as port:
        auth = client(f"127.0.0.1:{port}", plaintext=True)
        # Nobody cancels it, so it must not be cancelled.
        asking = asyncio.create_task(auth.get_server_info())
        await eventually(lambda: silent.calls == 1)

        await auth.close()

        with pytest.raises(AuthError) as error:
            await asking
        assert error.value.code is Code.CANCELLED
        assert silent.calls == 1
