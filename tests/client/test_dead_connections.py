"""What a client does about a connection that died without a word: nothing comes through it, and nobody closes it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest
from auth_client import AuthError, Code, aio, sync
from auth_client import grpclib as on_grpclib
from auth_client.grpclib import client as grpclib_client

from tests.support.conditions import eventually
from tests.support.tcp_proxy import Proxy

# What takes minutes in earnest.
QUICKLY = (
    ("grpc.keepalive_time_ms", 200),
    ("grpc.keepalive_timeout_ms", 200),
    ("grpc.http2.ping_timeout_ms", 200),
    ("grpc.http2.max_pings_without_data", 0),
)
BEARS_PINGS = (
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10),
    ("grpc.http2.max_ping_strikes", 0),
)
Ask = Callable[[], Awaitable[object]]


@asynccontextmanager
async def on_aio(address: str, _: pytest.MonkeyPatch) -> AsyncIterator[Ask]:
    async with aio.AuthClient(address, plaintext=True, options=QUICKLY) as auth:
        yield auth.get_server_info


@asynccontextmanager
async def on_threads(address: str, _: pytest.MonkeyPatch) -> AsyncIterator[Ask]:
    with sync.AuthClient(address, plaintext=True, options=QUICKLY) as auth:
        yield lambda: asyncio.to_thread(auth.get_server_info)


@asynccontextmanager
async def on_grpclib_(address: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ask]:
    quick = replace(
        grpclib_client._KEEPALIVE,
        _keepalive_time=0.2,
        _keepalive_timeout=0.2,
        _http2_min_sent_ping_interval_without_data=0.1,
    )
    monkeypatch.setattr(grpclib_client, "_KEEPALIVE", quick)
    async with on_grpclib.AuthClient(address, plaintext=True) as auth:
        yield auth.get_server_info


@pytest.mark.parametrize("stack", [on_aio, on_threads, on_grpclib_])
async def test_a_connection_that_died_between_calls_is_not_called_over(
    stack: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as opened:
        server = grpc.aio.server(options=BEARS_PINGS)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        opened.push_async_callback(server.stop, None)
        proxy = await opened.enter_async_context(Proxy("127.0.0.1", port))
        ask: Ask = await opened.enter_async_context(stack(f"127.0.0.1:{proxy.port}", monkeypatch))
        await answered(ask)

        proxy.fall_silent()
        await eventually(lambda: proxy.open_connections == 0)

        await answered(ask)


async def answered(ask: Ask) -> None:
    """This server knows no method, and says so."""
    with pytest.raises(AuthError) as error:
        await ask()
    assert error.value.code is Code.UNIMPLEMENTED
