"""Connections that say nothing, drip, or read no answer, in a process of their own: `strangers_at(...)`.

As a program: opens them, waits until all that it expects to be hung up on are, and prints how long each took.
"""

import asyncio
import itertools
import json
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass

from tests.support.processes import ServiceProcess

DRIPPING_GRPC, UNREAD = "dripping, gRPC", "answer unread"
DRIPS_EVERY = 0.5
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
_PING = b"\x00\x00\x08\x06" + bytes(5) + b"12345678"
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
_BODY = b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
_KEY_SETS = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n\r\n" * 10

HungUp = dict[str, list[float | None]]
"""By kind: for each connection the seconds until the service hung up, or None if it did not."""


@dataclass(frozen=True)
class Size:
    """Connections. A third of `dripping_http` each drips a request, drips a body, or reads no answer."""

    silent_grpc: int
    dripping_grpc: int
    silent_http: int
    dripping_http: int


async def strangers_at(service: ServiceProcess, size: Size, *, patience: float) -> HungUp:
    """What became of them; after `patience` seconds they go by themselves."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.drills.strangers", service.grpc_address, service.http_address, str(patience)),
        *map(str, astuple(size)),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    hung_up: HungUp = json.loads(said)
    return hung_up


async def _main(grpc_address: str, http_address: str, patience: float, size: Size) -> None:
    strangers = [Stranger(*each) for each in _strangers(grpc_address, http_address, size)]
    tasks = [asyncio.create_task(each.call()) for each in strangers]
    expected = [task for task, each in zip(tasks, strangers, strict=True) if each.kind != DRIPPING_GRPC]
    await asyncio.wait(expected, timeout=patience)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    hung_up: HungUp = {}
    for each in strangers:
        hung_up.setdefault(each.kind, []).append(each.seconds)
    print(json.dumps(hung_up))


def _strangers(grpc_address: str, http_address: str, size: Size) -> Iterable[tuple[str, str, bytes]]:
    """Address, kind, and what each begins with and goes on to drip."""
    third = size.dripping_http // 3
    return itertools.chain(
        itertools.repeat((grpc_address, "silent, gRPC", b""), size.silent_grpc),
        itertools.repeat((grpc_address, DRIPPING_GRPC, _PREFACE), size.dripping_grpc),
        itertools.repeat((http_address, "silent, HTTP", b""), size.silent_http),
        itertools.repeat((http_address, "request drips", _REQUEST), third),
        itertools.repeat((http_address, "body drips", _BODY), third),
        itertools.repeat((http_address, UNREAD, _KEY_SETS), third),
    )


class Stranger:
    """`seconds` until the service hung up, once it has."""

    def __init__(self, address: str, kind: str, begins: bytes) -> None:
        self.kind = kind
        self.seconds: float | None = None
        self._address = address
        self._begins = begins

    async def call(self) -> None:
        host, _, port = self._address.rpartition(":")
        line = socket.socket()
        # What the kernel holds is taken for read.
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=line, limit=4096)
        began = time.monotonic()
        writer.write(self._begins)
        # A byte of a header, of a body, or of a PING: nothing of it is ever whole.
        drips = itertools.cycle(_PING[:16]) if self.kind == DRIPPING_GRPC else itertools.repeat(ord("x"))
        try:
            while not writer.is_closing() and not reader.at_eof():
                if self.kind == UNREAD:
                    writer.write(_KEY_SETS)
                    await writer.drain()
                elif self._begins:
                    writer.write(bytes([next(drips)]))
                await self._pause(reader)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
        self.seconds = time.monotonic() - began

    async def _pause(self, reader: asyncio.StreamReader) -> None:
        if self.kind == UNREAD:
            await asyncio.sleep(DRIPS_EVERY)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(DRIPS_EVERY):
                await reader.read(65536)


if __name__ == "__main__":
    _, _grpc, _http, _patience, *_size = sys.argv
    asyncio.run(_main(_grpc, _http, float(_patience), Size(*map(int, _size))))
