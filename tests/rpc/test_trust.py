"""The trust stream: a snapshot, changes and heartbeats, resumed by a cursor at whichever replica of the database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
import sqlalchemy as sa
from auth_api.v1 import keys_pb2, trust_pb2, trust_pb2_grpc

from auth_service import app
from auth_service import settings as settings_module
from auth_service.demo import Facility
from auth_service.storage import schema
from tests.rpc.conftest import Start
from tests.support.conditions import eventually
from tests.support.service import Databases, Refusal, Service, admin_token, bearer, environment, refusal

Response = trust_pb2.WatchTrustResponse
SOON = 1.0
"""Seconds within which every replica tells of a change."""


def watch(service: Service, cursor: str = "") -> Any:
    stub: Any = trust_pb2_grpc.TrustServiceStub(service.channel)
    return stub.WatchTrust(trust_pb2.WatchTrustRequest(cursor=cursor))


async def snapshot(stream: Any) -> list[Response]:
    """The chunks of a snapshot, from the first to the last."""
    chunks = [await stream.read()]
    assert chunks[0].WhichOneof("what") == "snapshot"
    while not chunks[-1].snapshot.last:
        chunks.append(await stream.read())
    return chunks


async def until(stream: Any, kind: str) -> Response:
    while True:
        response: Response = await stream.read()
        assert response is not grpc.aio.EOF
        if response.WhichOneof("what") == kind:
            return response


async def told_of(stream: Any, session_id: str) -> Response:
    """The change that tells of the session."""
    async with asyncio.timeout(SOON):
        while True:
            response = await until(stream, "change")
            if session_id in ids(response.change.revoked):
                return response


def ids(groups: Any) -> list[str]:
    return [session_id for group in groups for session_id in group.session_ids]


async def ending(stream: Any) -> Refusal:
    async def drained() -> None:
        while await stream.read() is not grpc.aio.EOF:
            pass

    return await refusal(drained())


async def revoke(service: Service, count: int) -> set[str]:
    """Write revocations past the service."""
    now = datetime.now(UTC)
    made = [{"session_id": uuid4(), "revoked_at": now, "expires_at": now + timedelta(minutes=12)} for _ in range(count)]
    for first in range(0, count, 5000):
        await service.sql(sa.insert(schema.revocation).values(made[first : first + 5000]))
    return {str(each["session_id"]) for each in made}


async def test_a_stream_begins_with_all_that_is_trusted_and_a_heartbeat(start: Start) -> None:
    service = await start()
    pair, other = await service.login(), await service.login()
    await service.logout(pair.refresh_token)
    stream = watch(service)

    (told,) = await snapshot(stream)

    assert [key.kid for key in told.snapshot.keys.keys] == [key["kid"] for key in await service.jwks()]
    assert told.snapshot.keys.ring_version == 1
    assert ids(told.snapshot.revoked) == [pair.session_id]
    assert other.session_id not in str(told)
    (group,) = told.snapshot.revoked
    # 10 minutes of a token, twice the minute of leeway, up to the end of a minute.
    assert timedelta(minutes=11) < group.until.ToDatetime() - told.now.ToDatetime() <= timedelta(minutes=13)
    assert told.age.ToTimedelta() < timedelta(seconds=SOON)
    assert told.cursor
    beat = await stream.read()
    assert beat.heartbeat.heartbeat_interval == told.snapshot.heartbeat_interval
    assert beat.heartbeat.heartbeat_interval.ToTimedelta() == timedelta(seconds=15)
    stream.cancel()
