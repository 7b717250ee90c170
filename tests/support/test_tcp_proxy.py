"""Each kind of bad network, seen by a client of an echo server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.ports import free_port
from tests.support.tcp_proxy import Proxy

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SOON = 0.1


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()


@asynccontextmanager
async def proxied_echo() -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


async def connect(proxy: Proxy) -> Streams:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def round_trip(streams: Streams, said: bytes = b"hello") -> bytes:
    reader, writer = streams
    writer.write(said)
    return await reader.readexactly(len(said))


async def is_silent(streams: Streams) -> bool:
    streams[1].write(b"anyone?")
    try:
        await asyncio.wait_for(streams[0].read(1), SOON)
    except TimeoutError:
        return True
    return False


async def test_everything_passes_through_and_a_half_close_too() -> None:
    async with proxied_echo() as proxy:
        reader, writer = await connect(proxy)
        sent = bytes(range(256)) * 4096

        writer.write(sent)
        writer.write_eof()

        assert await reader.read() == sent
        writer.close()


async def test_a_black_hole_silences_open_and_new_connections_and_resets_them_when_it_ends() -> None:
    async with proxied_echo() as proxy:
        old, idle = await connect(proxy), await connect(proxy)
        await round_trip(old)
        await round_trip(idle)

        await proxy.blackhole()
        new = await connect(proxy)
        assert await is_silent(old)
        assert await is_silent(new)
        await proxy.pass_through()

        for streams in (old, new):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await round_trip(streams)
            streams[1].close()
        assert await round_trip(idle) == b"hello"
        idle[1].close()


async def test_refusing_resets_open_connections_and_comes_back_on_the_same_port() -> None:
    async with proxied_echo() as proxy:
        old = await connect(proxy)
        await round_trip(old)

        await proxy.refuse()
        with pytest.raises(ConnectionResetError):
            await old[0].read()
        with pytest.raises(ConnectionRefusedError):
            await connect(proxy)
        await proxy.pass_through()

        again = await connect(proxy)
        assert await round_trip(again) == b"hello"
        old[1].close()
        again[1].close()


async def test_latency_counts_each_way_and_keeps_order_and_throughput() -> None:
    async with proxied_echo() as proxy:
        streams = await connect(proxy)
        await round_trip(streams)
        await proxy.latency(0.2)
        clock = asyncio.get_running_loop().time

        began = clock()
        answer = await round_trip(streams, said=bytes(range(256)) * 4000)
        took = clock() - began

        assert answer == bytes(range(256)) * 4000
        assert 0.4 <= took < 4  # 16 chunks one after the other would take 6.4 s.
        streams[1].close()


async def test_a_target_that_is_down_resets_the_client() -> None:
    async with Proxy("127.0.0.1", free_port()) as proxy:
        reader, writer = await connect(proxy)

        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_connections_are_forgotten_when_both_sides_hung_up() -> None:
    async with proxied_echo() as proxy:
        reader, writer = await connect(proxy)
        await round_trip((reader, writer))
        assert proxy.open_connections == 1

        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(5):
            while proxy.open_connections:  # noqa: ASYNC110 - a proxy needs no event for what only this test awaits
                await asyncio.sleep(0)
