"""D7: connections that say nothing and connections that drip, at both doors, more than the HTTP door lets in at a time.

Full form: 1,000 silent and 200 dripping ones for gRPC, 120 for HTTP, which drip a request, drip a body or leave answers
unread, and 1,200 silent ones for HTTP besides. Somebody else, who verifies and takes the key set 40 times a second,
does not notice; whoever says nothing is hung up on; in the end hardly more files are open than before.
"""

import asyncio
import itertools
import resource
import socket
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import psutil

from tests.drills.report import Findings, alone, milliseconds
from tests.drills.stage import Caller, settings
from tests.support.load import OK, steady
from tests.support.processes import ServiceProcess

CLOSED_WITHIN = 130.0
FILES_LEFT = 10
WORST = 1.5
"""Seconds: the bystander's slowest call; of the short form, which is for busy machines, all but one in a hundred."""
DRIPS_EVERY = 0.5
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)
_PING = b"\x00\x00\x08\x06" + bytes(5) + b"12345678"
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "
_BODY = b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
_KEY_SETS = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n\r\n" * 50
DRIPPING_GRPC, UNREAD = "dripping, gRPC", "answer unread"


@dataclass(frozen=True)
class Size:
    """Connections. A third of `dripping_http` each drips a request, drips a body, or reads no answer."""

    silent_grpc: int
    dripping_grpc: int
    silent_http: int
    dripping_http: int


FULL, SHORT = Size(1000, 200, 1200, 120), Size(200, 40, 1050, 30)


async def drill(*, full: bool) -> list[Findings]:
    size = FULL if full else SHORT
    findings = Findings("D7 slowloris", "full" if full else "short")
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(ServiceProcess(settings()))
        bystander = await stack.enter_async_context(Caller(service))
        token = (await bystander.login()).access_token
        await bystander.jwks()
        before = _open_files(service)
        stop = asyncio.Event()
        verifying = asyncio.create_task(steady(lambda: bystander.verify(token), rate_per_second=20, stop=stop))
        fetching = asyncio.create_task(steady(bystander.jwks, rate_per_second=20, stop=stop))
        strangers = [Stranger(address, kind, drips) for address, kind, drips in _strangers(service, size)]
        async with asyncio.TaskGroup() as all_of_them:
            tasks = [all_of_them.create_task(each.call()) for each in strangers]
            waited_for = [task for task, each in zip(tasks, strangers, strict=True) if each.is_hung_up_on]
            await asyncio.wait(waited_for, timeout=CLOSED_WITHIN + 10)
            for task in tasks:
                task.cancel()
        stop.set()
        for name, samples in (("Verify", await verifying), ("key set", await fetching)):
            failed = len(samples.calls) - samples.outcomes[OK]
            findings.expect(
                f"{name}: {failed} of {len(samples.calls)} failed, p99 {milliseconds(samples.p99)}, worst "
                f"{milliseconds(samples.max)}",
                not failed and (samples.max if full else samples.p99) <= WORST,
            )
        _judge_closing(findings, strangers)
        left = await _files_left(service, before)
        findings.expect(f"{left} files more than before", left <= FILES_LEFT)
    return [findings]


def _strangers(service: ServiceProcess, size: Size) -> Iterable[tuple[str, str, bytes]]:
    """Address, kind, and what each begins with and goes on to drip."""
    third = size.dripping_http // 3
    return itertools.chain(
        itertools.repeat((service.grpc_address, "silent, gRPC", b""), size.silent_grpc),
        itertools.repeat((service.grpc_address, DRIPPING_GRPC, _PREFACE), size.dripping_grpc),
        itertools.repeat((service.http_address, "silent, HTTP", b""), size.silent_http),
        itertools.repeat((service.http_address, "request drips", _REQUEST), third),
        itertools.repeat((service.http_address, "body drips", _BODY), third),
        itertools.repeat((service.http_address, UNREAD, _KEY_SETS), third),
    )


class Stranger:
    """`seconds` until the service hung up, once it has."""

    def __init__(self, address: str, kind: str, begins: bytes) -> None:
        self.kind = kind
        self.seconds: float | None = None
        self._address = address
        self._begins = begins

    @property
    def is_hung_up_on(self) -> bool:
        """A connection that speaks HTTP/2 may be slow for as long as it likes."""
        return self.kind != DRIPPING_GRPC

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


def _judge_closing(findings: Findings, strangers: Iterable[Stranger]) -> None:
    by_kind: dict[str, list[float | None]] = {}
    for each in strangers:
        if each.is_hung_up_on:
            by_kind.setdefault(each.kind, []).append(each.seconds)
    for kind, seconds in by_kind.items():
        closed = [each for each in seconds if each is not None]
        slowest = max(closed, default=0.0)
        findings.expect(
            f"{kind}: {len(closed)} of {len(seconds)} hung up on within {slowest:.0f} s",
            len(closed) == len(seconds) and slowest <= CLOSED_WITHIN,
        )


async def _files_left(service: ServiceProcess, before: int) -> int:
    """More than `before`, once the service has heard that they are gone."""
    for _ in range(300):
        if _open_files(service) <= before + FILES_LEFT:
            break
        await asyncio.sleep(0.1)
    return _open_files(service) - before


def _open_files(service: ServiceProcess) -> int:
    return int(psutil.Process(service.pid).num_fds())


if __name__ == "__main__":
    alone("D7", drill)
