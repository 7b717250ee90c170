"""The limits of section 7, seen from outside: raw HTTP/2 frames where gRPC's own client would hide them."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from auth_api.v1 import auth_pb2

from auth_service.demo import Facility
from auth_service.rpc.server import OPTIONS
from tests.rpc.conftest import Start
from tests.support.service import Databases, Refusal, Service, refusal, running_service

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY = 4, 6, 7
MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE = 3, 6


def frame(kind: int, payload: bytes = b"", *, flags: int = 0) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + bytes(4) + payload


class Connection:
    """A connection that speaks frames and nothing above them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def frame(self, kind: int) -> bytes:
        """The payload of the next frame of this kind that is no acknowledgement."""
        while True:
            head = await self._reader.readexactly(9)
            payload = await self._reader.readexactly(int.from_bytes(head[:3]))
            if head[3] == kind and not (kind in (SETTINGS, PING) and head[4] & 1):
                return payload


@asynccontextmanager
async def connected(service: Service) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection(service.where.grpc.host, service.where.grpc.port)
    writer.write(PREFACE + frame(SETTINGS))
    async with asyncio.timeout(15):
        yield Connection(reader, writer)
    writer.transport.abort()


async def test_streams_and_metadata_are_bounded_in_so_many_words(service: Service) -> None:
    async with connected(service) as connection:
        payload = await connection.frame(SETTINGS)

    told = dict(struct.iter_unpack("!HI", payload))
    assert told[MAX_CONCURRENT_STREAMS] == 1000
    assert told[MAX_HEADER_LIST_SIZE] <= 16 << 10


@pytest.mark.row("S76")
async def test_who_pings_too_often_is_sent_away(service: Service) -> None:
    async with connected(service) as connection:
        await connection.frame(SETTINGS)
        for _ in range(5):
            connection.writer.write(frame(PING, b"12345678"))
        payload = await connection.frame(GOAWAY)

    assert payload[8:] == b"too_many_pings"
    assert int.from_bytes(payload[4:8]) == 11  # ENHANCE_YOUR_CALM
    assert (await service.login()).session_id


@pytest.mark.row("S78")
@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        bytes(range(256)) * 8,
        b"\0" * 4096,
    ],
)
async def test_what_is_no_http2_disturbs_nobody(service: Service, raw: bytes) -> None:
    reader, writer = await asyncio.open_connection(service.where.grpc.host, service.where.grpc.port)
    writer.write(raw)

    await asyncio.gather(reader.read(), return_exceptions=True)
    writer.transport.abort()

    assert (await service.login()).session_id


@pytest.mark.row("S78")
async def test_rapid_resets_disturb_nobody(service: Service) -> None:
    bystander = await service.login()
    request = auth_pb2.LoginRequest(username="user1001", password="user1001-password")
    for _ in range(8):
        calls = [asyncio.ensure_future(service.auth.Login(request)) for _ in range(25)]
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

        assert (await service.verify(bystander.access_token)).session_id == bystander.session_id


async def test_a_crowd_of_password_hashes_is_answered_or_told_when_to_come_again(
    databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    url = await databases.make("sqlite")
    patient = running_service(url, facility=facility, data_dir=tmp_path, providers="local", request_deadline="60s")
    async with patient as service:

        async def outcome(number: int) -> Refusal:
            # Of one name the attempts would wait for each other.
            return await refusal(service.login(f"nobody{number}", "a password of nobody at all"))

        refusals = await asyncio.gather(*map(outcome, range(240)))

    verdicts = Counter(each.verdict for each in refusals)
    assert verdicts["UNAUTHENTICATED", "BAD_CREDENTIALS"] > 0
    assert verdicts.keys() <= {("UNAUTHENTICATED", "BAD_CREDENTIALS"), ("RESOURCE_EXHAUSTED", "OVERLOADED")}
    for each in refusals:
        if each.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            assert each.details["RetryInfo"].retry_delay.ToMilliseconds() > 0


async def test_a_three_megabyte_token_is_refused_before_it_is_read(service: Service) -> None:
    refused = await refusal(service.verify("x" * 3_000_000))

    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.row("S81")
async def test_connections_that_are_idle_or_drip_disturb_nobody(service: Service) -> None:
    openings = [b""] * 100 + [PREFACE[:10]] * 50 + [PREFACE + frame(SETTINGS)] * 50
    where = service.where.grpc
    writers = [(await asyncio.open_connection(where.host, where.port))[1] for _ in openings]
    for writer, opening in zip(writers, openings, strict=True):
        writer.write(opening)

    for number in range(20):
        # A byte of a PING each: nothing of it is ever whole.
        for writer in writers[-20:]:
            writer.write(frame(PING, b"12345678")[number : number + 1] if number < 16 else b"")
        assert (await service.login()).session_id

    for writer in writers:
        writer.transport.abort()


@pytest.mark.row("S77")
@pytest.mark.parametrize(
    "shorter",
    [
        {"grpc.max_connection_idle_ms": 200},
        {"grpc.max_connection_age_ms": 200, "grpc.max_connection_age_grace_ms": 100},
        # The peer answers no ping.
        {"grpc.keepalive_time_ms": 1000, "grpc.http2.ping_timeout_ms": 100},
    ],
    ids=["idle", "old", "dead"],
)
async def test_a_connection_that_is_idle_old_or_dead_is_closed(
    start: Start, monkeypatch: pytest.MonkeyPatch, shorter: dict[str, int]
) -> None:
    usual = dict(OPTIONS)
    assert usual["grpc.keepalive_time_ms"] + usual["grpc.http2.ping_timeout_ms"] <= 140_000
    assert usual["grpc.max_connection_idle_ms"] == 15 * 60_000
    assert usual["grpc.max_connection_age_ms"] == 30 * 60_000
    monkeypatch.setattr("auth_service.rpc.server.OPTIONS", tuple({**usual, **shorter}.items()))
    service = await start()

    async with connected(service) as connection:
        await connection.frame(SETTINGS)
        assert await connection.frame(GOAWAY)
        with pytest.raises(asyncio.IncompleteReadError):
            await connection.frame(0xFF)
