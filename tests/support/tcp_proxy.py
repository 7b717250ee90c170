"""A TCP proxy that turns into a bad network while connections are open."""

import asyncio
import enum
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from tests.support.ports import port_of, reserve_port

_CHUNK = 65536
_CHUNKS_UNDERWAY = 256
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Mode(enum.Enum):
    PASS = enum.auto()
    BLACKHOLE = enum.auto()
    REFUSE = enum.auto()


class _Weather:
    """What the network is like right now, for every connection alike."""

    mode = _Mode.PASS
    delay = 0.0

    @property
    def swallows(self) -> bool:
        return self.mode is _Mode.BLACKHOLE


class Proxy:
    """Listens on `port` of 127.0.0.1 for the target; starts out passing everything through.

    Each mode replaces the one before: there is no latency in a black hole.
    """

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        self._weather = _Weather()
        self._reserved = reserve_port()
        self.port = port_of(self._reserved)
        self._server: asyncio.Server | None = None
        self._connections: dict[_Connection, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.refuse()
        self._reserved.close()

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    async def pass_through(self) -> None:
        await self._clear_up(delay=0.0)

    async def lead_to(self, target_host: str, target_port: int) -> None:
        """Connections from now on go elsewhere; those that are open are reset."""
        await self.refuse()
        self._target = (target_host, target_port)
        await self.pass_through()

    async def latency(self, seconds: float) -> None:
        """Every byte arrives `seconds` later, each way: a round trip takes twice that. Throughput stays."""
        await self._clear_up(delay=seconds)

    async def blackhole(self) -> None:
        """Bytes and hang-ups vanish both ways and nobody is told; new connections are accepted and stay silent.

        A connection that lost something is reset when the mode ends: a stream with a hole in it is no TCP any more.
        """
        self._weather.mode = _Mode.BLACKHOLE
        await self._listen()

    def fall_silent(self) -> None:
        """Of connections that are open the bytes vanish both ways, and only hang-ups pass; new connections are good."""
        for connection in self._connections:
            connection.is_silent = True

    async def refuse(self) -> None:
        """New connections are refused, open ones are reset; both have happened on return."""
        self._weather.mode = _Mode.REFUSE
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._reset(list(self._connections))

    async def _clear_up(self, *, delay: float) -> None:
        self._weather.mode, self._weather.delay = _Mode.PASS, delay
        await self._reset([connection for connection in self._connections if connection.lost_something])
        await self._listen()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _reset(self, connections: list["_Connection"]) -> None:
        tasks = [self._connections[connection] for connection in connections]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self._weather, self._target)
        task = asyncio.create_task(connection.serve(reader, writer))
        self._connections[connection] = task
        if self._weather.mode is _Mode.REFUSE:
            task.cancel()  # It slipped in just before the listener closed.
        await asyncio.wait([task])
        del self._connections[connection]


@asynccontextmanager
async def in_front_of(database: str) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy for the server of `database`, and the address that leads through it."""
    url = sa.make_url(database)
    assert url.host is not None
    assert url.port is not None
    async with Proxy(url.host, url.port) as proxy:
        yield proxy, url.set(host="127.0.0.1", port=proxy.port).render_as_string(hide_password=False)


class _Connection:
    """A client and the target, joined until both have hung up; cancelling `serve` resets them."""

    def __init__(self, weather: _Weather, target: tuple[str, int]) -> None:
        self.lost_something = self.is_silent = False
        self._weather = weather
        self._target = target

    async def serve(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        writers = [to_client]
        try:
            if self._weather.swallows:
                self.lost_something = True
                await _swallow(from_client)
                return
            from_target, to_target = await asyncio.open_connection(*self._target)
            writers.append(to_target)
            async with asyncio.TaskGroup() as group:
                for reader, writer in ((from_client, to_target), (from_target, to_client)):
                    chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_UNDERWAY)
                    group.create_task(self._collect(reader, chunks))
                    group.create_task(self._deliver(chunks, writer))
        except* (OSError, asyncio.CancelledError):
            _reset(writers)
        finally:
            for writer in writers:
                writer.close()

    async def _collect(self, reader: asyncio.StreamReader, chunks: asyncio.Queue[tuple[float, bytes]]) -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = await reader.read(_CHUNK)
            except ConnectionError:
                if not self._weather.swallows:
                    raise
                chunk = b""
            await chunks.put((asyncio.get_running_loop().time() + self._weather.delay, chunk))

    async def _deliver(self, chunks: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        chunk = b"-"
        while chunk:
            due, chunk = await chunks.get()
            wait = due - asyncio.get_running_loop().time()
            if wait > 0:
                await asyncio.sleep(wait)
            if self._weather.swallows:
                self.lost_something = True
            elif not chunk:
                writer.write_eof()
            elif not self.is_silent:
                writer.write(chunk)
                await writer.drain()


async def _swallow(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(_CHUNK):
            pass


def _reset(writers: list[asyncio.StreamWriter]) -> None:
    for writer in writers:
        with suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        writer.transport.abort()
