"""Closing a client while the service says nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import grpc
import pytest
from auth_api.v1 import auth_pb2_grpc
from auth_client import AuthError, Code, HttpJwks, KeysUnavailable, aio, sync
from auth_client import grpclib as on_grpclib

from tests.client.jwks_endpoint import JwksEndpoint
from tests.client.minting import token, verifier
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


async def test_threads_that_verify_while_their_verifier_is_closed_are_all_told() -> None:
    async with JwksEndpoint() as endpoint:
        endpoint.hangs = True
        keys = HttpJwks(endpoint.url, timeout=timedelta(milliseconds=100))
        began = [Event() for _ in range(8)]

        def verify(blocking: sync.BlockingVerifier, each: Event) -> None:
            """Until it is not open."""
            with suppress(RuntimeError):
                while True:
                    with suppress(KeysUnavailable):
                        blocking.verify(token())
                    each.set()

        def closed_meanwhile() -> bool:
            with sync.BlockingVerifier(verifier(keys=keys), keys) as blocking:
                threads = [Thread(target=verify, args=(blocking, each), daemon=True) for each in began]
                for thread in threads:
                    thread.start()
                assert all(each.wait(10) for each in began)
            for thread in threads:
                thread.join(10)
            return any(thread.is_alive() for thread in threads)

        assert not await asyncio.to_thread(closed_meanwhile)
