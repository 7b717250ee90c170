"""Connections of the HTTP door: whoever keeps the server waiting is hung up on, and the key set is always there."""

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import sqlalchemy as sa

from auth_service.demo import Facility
from auth_service.storage import schema
from auth_service.web import connections
from auth_service.web.connections import PATIENCE, Waits
from tests.support.conditions import eventually
from tests.support.service import Databases, Logs, Service, running_service
from tests.support.sql import executed
from tests.web.wire import Wire, exchange, wire

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def status_of(service: Service, path: str) -> int:
    async with service.http.get(path) as answer:
        return answer.status


@pytest.fixture
async def crowd(service: Service) -> AsyncIterator[list[Wire]]:
    """A few connections, idle after their first request."""
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(wire(service)) for _ in range(5)]
        for line in lines:
            line.writer.write(HEALTH)
            await line.reader.readuntil(b'"ok"')
        yield lines


@pytest.mark.row("S81")
async def test_a_body_that_drips_is_not_waited_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    assert PATIENCE[Waits.BODY] == 20
    monkeypatch.setitem(PATIENCE, Waits.BODY, 0.2)
    async with wire(service) as line:
        line.writer.write(
            b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 999\r\n\r\n"
        )

        async def drip() -> None:
            while not line.reader.at_eof():
                line.writer.write(b" ")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        answered = await line.read_all()
        dripping.cancel()

    assert answered == b""
    assert await status_of(service, "/healthz") == 200


@pytest.mark.row("S81")
async def test_answers_that_nobody_reads_are_not_kept_for_ever(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "READING_SECONDS", 0.2)

    async def ask_and_never_read() -> None:
        with socket.create_connection((service.where.http.host, service.where.http.port)) as line:
            line.setblocking(False)
            while True:
                # The kernel takes what its buffers hold, and that is taken for read.
                await asyncio.get_running_loop().sock_sendall(line, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20)

    async with asyncio.timeout(20):
        with pytest.raises(ConnectionError):
            await ask_and_never_read()

    assert await status_of(service, "/healthz") == 200


@pytest.mark.row("S81", "S77")
async def test_a_great_document_is_not_kept_once_for_each_who_does_not_read_it(
    databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    url = await databases.make("sqlite")
    async with running_service(url, facility=facility, data_dir=tmp_path) as service, AsyncExitStack() as stack:
        now = datetime.now(UTC)
        ended = {"revoked_at": now, "expires_at": now + timedelta(minutes=12)}
        await executed(
            url, sa.insert(schema.revocation), many=[{"session_id": uuid4(), **ended} for _ in range(20_000)]
        )
        await eventually(lambda: are_revoked(service, 20_000))
        async with service.http.get("/.well-known/revocations") as answer:
            size = len(await answer.read())
        lines = [stack.enter_context(deaf(service)) for _ in range(60)]
        tracemalloc.start()
        stack.callback(tracemalloc.stop)

        for line in lines:
            line.send(b"GET /.well-known/revocations HTTP/1.1\r\nHost: x\r\n\r\n")
        await eventually(lambda: all(has_begun(line) for line in lines))
        assert await status_of(service, "/healthz") == 200

        held, _ = tracemalloc.get_traced_memory()
        # Of the whole process: what it reads and makes meanwhile is among it.
        assert held < len(lines) * size / 2


async def are_revoked(service: Service, count: int) -> bool:
    return await service.metric("auth_revoked_sessions") == count


def deaf(service: Service) -> socket.socket:
    """Takes no more than the kernel keeps for it, which is little."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect((service.where.http.host, service.where.http.port))
    line.setblocking(False)
    return line


def has_begun(line: socket.socket) -> bool:
    try:
        return bool(line.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False


@pytest.mark.row("S81", "S77")
async def test_who_waits_longest_makes_room_where_there_are_too_many(
    service: Service, crowd: list[Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    most = len(crowd) + 1
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", most)

    async with AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(wire(service)) for _ in range(2 * most)]
        answered = await exchange(service, LAST)
        lines = [*crowd, *silent]

        async def is_room() -> bool:
            return sum(not line.reader.at_eof() for line in lines) < most

        await eventually(is_room)

    assert answered.startswith(b"HTTP/1.1 200 ")


@pytest.mark.row("S81", "S77")
async def test_who_does_not_read_makes_room_and_keeps_nobody_waiting(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 4)
    monkeypatch.setattr(connections, "MOST_AT_WORK", 2)
    async with AsyncExitStack() as stack:
        deaf = [await stack.enter_async_context(wire(service)) for _ in range(4)]
        for line in deaf:
            # More than the kernel keeps of the answers, and than a reader takes whom nobody asks.
            line.writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)

        async def is_one_gone() -> bool:
            await exchange(service, LAST)
            for line in deaf:
                line.writer.write(b"\r\n")
            return any(line.writer.is_closing() for line in deaf)

        await eventually(is_one_gone)
        assert await status_of(service, "/experiments") == 401


@pytest.mark.row("S22", "S77")
async def test_the_key_set_and_probes_are_answered_while_all_else_has_to_wait(
    service: Service, facility: Facility, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_AT_WORK", 2)
    facility.fault = {"/v1/sessions": "hang"}
    stuck = [
        asyncio.create_task(_login(service, f"user100{number}")) for number in range(1, connections.MOST_AT_WORK + 2)
    ]

    async def is_refused() -> bool:
        return await status_of(service, "/experiments") == 503

    await eventually(is_refused)
    async with service.http.get("/experiments") as refused:
        assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
        assert (await refused.json())["reason"] == "OVERLOADED"
    always = ("/.well-known/jwks.json", "/.well-known/revocations", "/.well-known/openid-configuration")
    for path in (*always, "/healthz", "/readyz", "/ready", "/metrics"):
        assert await status_of(service, path) == 200
    facility.fault = {}
    await asyncio.gather(*stuck)
    assert await status_of(service, "/experiments") == 401


async def _login(service: Service, name: str) -> int:
    body = {"username": name, "password": f"{name}-password"}
    async with service.http.post("/login", json=body) as answer:
        return answer.status


async def test_requests_that_come_at_once_are_answered_in_their_order(service: Service) -> None:
    answered = await exchange(service, HEALTH + b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" + HEALTH + LAST)

    assert [int(each[:3]) for each in answered.split(b"HTTP/1.1 ")[1:]] == [200, 404, 200, 200]


async def test_who_leaves_in_the_middle_of_a_request_is_no_news(service: Service, logs: Logs) -> None:
    logs.clear()
    async with wire(service) as line:
        line.writer.write(
            b"POST /verify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        )
        await line.writer.drain()
    assert await status_of(service, "/healthz") == 200

    assert not [line for line in logs.lines if line["level"] in ("warning", "error", "critical")]


async def test_nothing_is_upgraded_to(service: Service, logs: Logs) -> None:
    logs.clear()
    upgrade = b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: %s\r\nConnection: Upgrade, close\r\n%s\r\n"

    for protocol, more in (
        (b"h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n"),
        (b"websocket", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"),
    ):
        assert (await exchange(service, upgrade % (protocol, more))).startswith(b"HTTP/1.1 200 ")
    assert not [line for line in logs.lines if line["level"] in ("warning", "error")]
