"""The trust stream: a snapshot, changes and heartbeats, resumed by a cursor at whichever replica of the database."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import grpc
import pytest
import sqlalchemy as sa
from auth_api.v1 import keys_pb2, trust_pb2, trust_pb2_grpc

from auth_service.demo import Facility
from auth_service.settings import Address
from auth_service.storage import schema
from tests.rpc.conftest import Start
from tests.support.conditions import eventually
from tests.support.leaving import service_that_leaves
from tests.support.service import (
    Databases,
    Refusal,
    Service,
    admin_token,
    bearer,
    refusal,
    running_service,
)
from tests.support.sql import executed

Response = trust_pb2.WatchTrustResponse
SOON = 10.0
"""Seconds, also on a busy machine. How soon it is told elsewhere is for `bench/trust_stream.py` and the drills."""


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
        response = await stream.read()
        assert response is not grpc.aio.EOF
        if response.WhichOneof("what") == kind:
            assert isinstance(response, Response)
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
    await executed(service.settings.database, sa.insert(schema.revocation), many=made)
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
    # What the snapshot held already may be told once more before it.
    while (beat := await stream.read()).HasField("change"):
        pass
    assert beat.heartbeat.heartbeat_interval == told.snapshot.heartbeat_interval
    assert beat.heartbeat.heartbeat_interval.ToTimedelta() == timedelta(seconds=15)
    stream.cancel()


async def test_a_change_is_told_to_the_streams_of_both_replicas(start: Start) -> None:
    one, other = await start(), await start()
    streams = [watch(one), watch(other)]
    for stream in streams:
        await snapshot(stream)
    pair = await one.login()

    await one.logout(pair.refresh_token)

    for stream in streams:
        told = await told_of(stream, pair.session_id)
        assert not told.change.HasField("keys")
        stream.cancel()


async def test_a_cursor_goes_on_at_another_replica_and_misses_nothing(start: Start) -> None:
    one, other = await start(), await start()
    before = await one.login()
    await one.logout(before.refresh_token)
    stream = watch(one)
    cursor = (await snapshot(stream))[-1].cursor
    stream.cancel()
    pairs = [await one.login() for _ in range(3)]
    for pair in pairs:
        await one.logout(pair.refresh_token)

    resumed = watch(other, cursor)

    missed = {pair.session_id for pair in pairs}
    while missed:
        missed -= set(ids((await until(resumed, "change")).change.revoked))
    resumed.cancel()


async def test_a_cursor_with_nothing_behind_it_is_answered_by_a_heartbeat(start: Start) -> None:
    service = await start()
    stream = watch(service)
    cursor = (await snapshot(stream))[-1].cursor

    assert (await watch(service, cursor).read()).WhichOneof("what") == "heartbeat"


async def test_a_key_that_is_revoked_while_nobody_listens_is_told_with_the_cursor(start: Start) -> None:
    service = await start()
    admin = bearer(await admin_token(service))
    stream = watch(service)
    chunks = await snapshot(stream)
    stream.cancel()
    kid = chunks[0].snapshot.keys.keys[0].kid

    await service.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=kid), metadata=admin)
    told = await until(watch(service, chunks[-1].cursor), "change")

    assert list(told.change.keys.revoked_kids) == [kid]
    assert kid not in {key.kid for key in told.change.keys.keys}


async def test_rotation_and_revocation_of_keys_are_told_at_once(start: Start) -> None:
    one, other = await start(), await start()
    admin = bearer(await admin_token(one))
    stream = watch(other)
    (first,) = await snapshot(stream)
    kids = [key.kid for key in first.snapshot.keys.keys]

    await one.keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(), metadata=admin)
    rotated = await keys_told(stream, version=2)
    await one.keys.RevokeSigningKey(keys_pb2.RevokeSigningKeyRequest(kid=kids[0]), metadata=admin)
    revoked = await keys_told(stream, version=3)

    assert {*kids} < {key.kid for key in rotated.keys}
    assert kids[0] not in {key.kid for key in revoked.keys}
    assert list(revoked.revoked_kids) == [kids[0]]
    stream.cancel()


async def keys_told(stream: Any, *, version: int) -> trust_pb2.TrustedKeys:
    async with asyncio.timeout(SOON):
        while True:
            told = (await until(stream, "change")).change
            if told.HasField("keys") and told.keys.ring_version == version:
                return told.keys


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "t1",
        "\0" * 1000,
        "t1.0123456789abcdef.1-0123456789abcdef.1",
        "t1.0123456789abcdef.1-0123456789abcdef.99999999999999999",
        "t1.0123456789abcdef.1-0123456789abcdef.-1",
        "t1.٠123456789abcdef.1-0123456789abcdef.1",
        "t1.0123456789abcdef.1-0123456789abcdef.1\n",
    ],
)
async def test_any_other_cursor_is_answered_by_a_snapshot(service: Service, cursor: str) -> None:
    stream = watch(service, cursor)

    assert (await snapshot(stream))[-1].cursor
    stream.cancel()


async def test_a_cursor_of_the_future_is_answered_by_a_snapshot(service: Service) -> None:
    stream = watch(service)
    cursor = (await snapshot(stream))[-1].cursor
    stream.cancel()
    head, _, micros = cursor.rpartition(".")

    again = watch(service, f"{head}.{int(micros) + 10**9}")

    assert await snapshot(again)
    again.cancel()


async def test_a_cursor_of_another_database_is_answered_by_a_snapshot(
    databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    cursors: list[str] = []
    for name in ("one", "other"):
        url = await databases.make("sqlite")
        async with running_service(url, facility=facility, data_dir=tmp_path / name) as service:
            for given in ("", *cursors):
                stream = watch(service, given)
                last = (await snapshot(stream))[-1]
                stream.cancel()
            cursors.append(last.cursor)

    assert cursors[0].split(".")[1] != cursors[1].split(".")[1]


async def test_a_cursor_outlives_the_replica_that_gave_it(
    databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    for kind in ("sqlite", "postgresql"):
        url = await databases.make(kind)
        async with running_service(url, facility=facility, data_dir=tmp_path) as service:
            pair = await service.login()
            stream = watch(service)
            cursor = (await snapshot(stream))[-1].cursor
            await service.logout(pair.refresh_token)
            stream.cancel()
        async with running_service(url, facility=facility, data_dir=tmp_path) as service:
            resumed = watch(service, cursor)
            assert pair.session_id in ids((await resumed.read()).change.revoked)
            resumed.cancel()


async def test_a_great_snapshot_comes_in_chunks_below_the_limit_and_whole(start: Start) -> None:
    service = await start()
    revoked = await revoke(service, 100_000)
    fresh = await start()
    streams = [watch(fresh) for _ in range(3)]

    for stream in streams:
        chunks = await snapshot(stream)

        assert len(chunks) == 40
        assert max(chunk.ByteSize() for chunk in chunks) < 1 << 20
        assert {session_id for chunk in chunks for session_id in ids(chunk.snapshot.revoked)} == revoked
        assert [chunk.cursor != "" for chunk in chunks] == [False] * 39 + [True]
        assert [chunk.snapshot.HasField("keys") for chunk in chunks] == [True] + [False] * 39
        stream.cancel()


async def test_many_revocations_at_once_are_told_in_messages_below_the_limit(start: Start) -> None:
    service = await start()
    stream = watch(service)
    await snapshot(stream)

    missing = await revoke(service, 25_000)

    while missing:
        told = await until(stream, "change")
        assert told.ByteSize() < 1 << 20
        missing -= set(ids(told.change.revoked))
    stream.cancel()


@pytest.mark.parametrize("most_read", [0, 1])
async def test_a_stream_that_is_read_too_slowly_is_turned_away_and_can_go_on(start: Start, most_read: int) -> None:
    fresh = await with_much_to_tell(start)
    async with narrow_channel(fresh.where.grpc) as channel:
        stream = watch(fresh.at(channel))
        for _ in range(most_read):
            assert (await stream.read()).snapshot.HasField("keys")
        # It reads no more until the service has given up.
        await eventually(lambda: are_turned_away(fresh, 1))

        async with asyncio.timeout(SOON):
            refused = await ending(stream)

        assert refused.verdict == ("RESOURCE_EXHAUSTED", "OVERLOADED")
        assert "RetryInfo" in refused.details
        await eventually(lambda: are_turned_away(fresh, 0))
        await eventually(lambda: admitted(fresh))


async def test_a_stream_that_is_never_read_keeps_its_place_until_it_is_gone(start: Start) -> None:
    fresh = await with_much_to_tell(start, trust_streams="2")
    async with narrow_channel(fresh.where.grpc) as channel:
        streams = [watch(fresh.at(channel)) for _ in range(2)]
        await eventually(lambda: are_turned_away(fresh, 2))

        refused = await ending(watch(fresh))

        assert refused.verdict == ("RESOURCE_EXHAUSTED", "OVERLOADED")
        for stream in streams:
            stream.cancel()
        await eventually(lambda: are_turned_away(fresh, 0))
        await eventually(lambda: admitted(fresh))


async def with_much_to_tell(start: Start, *, trust_streams: str = "2000") -> Service:
    """A service whose snapshot no reader's window holds, and that waits for readers for a fifth of a second."""
    await revoke(await start(), 40_000)
    return await start(slowest_reader="200ms", trust_streams=trust_streams)


def narrow_channel(address: Address) -> grpc.aio.Channel:
    """Its window does not grow to hold what is not read."""
    options = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))
    return grpc.aio.insecure_channel(str(address), options=options)


async def are_turned_away(service: Service, count: int) -> bool:
    """That many were, and have not taken it yet."""
    return await service.metric("auth_streams_unread") == count


async def nobody_follows(service: Service) -> bool:
    return await service.metric("auth_trust_streams") == 0


async def test_no_more_streams_than_were_set(start: Start) -> None:
    service = await start(trust_streams="2")
    streams = [watch(service) for _ in range(2)]
    for stream in streams:
        await snapshot(stream)

    refused = await ending(watch(service))

    assert refused.verdict == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    streams[0].cancel()
    await eventually(lambda: admitted(service))
    streams[1].cancel()


async def test_one_address_leaves_streams_for_others(start: Start) -> None:
    service = await start(trust_streams="4", trust_streams_per_address="2", trusted_proxies="127.0.0.1")
    stub: Any = trust_pb2_grpc.TrustServiceStub(service.channel)

    def watch_from(address: str) -> Any:
        return stub.WatchTrust(trust_pb2.WatchTrustRequest(), metadata=(("x-forwarded-for", address),))

    streams = [watch_from(address) for address in ("2001:db8::1", "2001:db8::2")]
    for stream in streams:
        await snapshot(stream)

    refused = await ending(watch_from("2001:db8::3"))
    other = watch_from("192.0.2.1")
    await snapshot(other)

    assert refused.verdict == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    for stream in (*streams, other):
        stream.cancel()
    await eventually(lambda: nobody_follows(service))
    again = watch_from("2001:db8::3")
    await snapshot(again)
    again.cancel()


async def admitted(service: Service) -> bool:
    stream = watch(service)
    try:
        return bool(await stream.read() is not grpc.aio.EOF)
    except grpc.aio.AioRpcError:
        return False
    finally:
        stream.cancel()


async def test_heartbeats_tell_that_nothing_changed_and_move_the_cursor(start: Start) -> None:
    service = await start(trust_heartbeat="100ms")
    stream = watch(service)
    (first,) = await snapshot(stream)

    beats = [await until(stream, "heartbeat") for _ in range(4)]

    assert first.snapshot.heartbeat_interval.ToTimedelta() == timedelta(milliseconds=100)
    assert beats[-1].cursor > first.cursor
    assert all(beat.age.ToTimedelta() < timedelta(seconds=SOON) for beat in beats)
    stream.cancel()


@pytest.mark.parametrize("table", ["revocation", "key_ring"])
async def test_heartbeats_say_how_old_everything_is_also_if_only_half_of_it_cannot_be_read(
    start: Start, table: str
) -> None:
    service = await start(trust_heartbeat="100ms")
    stream = watch(service)
    await snapshot(stream)

    await service.sql(sa.text(f"ALTER TABLE {table} RENAME TO {table}_gone"))
    while (beat := await until(stream, "heartbeat")).age.ToTimedelta() < timedelta(seconds=0.5):
        pass
    await service.sql(sa.text(f"ALTER TABLE {table}_gone RENAME TO {table}"))
    while (await until(stream, "heartbeat")).age.ToTimedelta() > timedelta(seconds=0.3):
        pass

    assert beat.cursor
    stream.cancel()


async def test_a_server_that_leaves_tells_its_streams_to_go_elsewhere(
    databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    url = await databases.make("postgresql")
    async with (
        service_that_leaves(url, facility=facility, data_dir=tmp_path, grace="60s") as service,
        grpc.aio.insecure_channel(str(service.where.grpc)) as channel,
    ):
        stub: Any = trust_pb2_grpc.TrustServiceStub(channel)
        streams = [stub.WatchTrust(trust_pb2.WatchTrustRequest()) for _ in range(20)]
        for stream in streams:
            await snapshot(stream)

        service.leave()

        for stream in streams:
            assert (await ending(stream)).verdict == ("UNAVAILABLE", "SERVER_LEAVING")
        async with asyncio.timeout(30):
            await service.gone


@pytest.mark.parametrize("slowest_reader", ["200ms", "60s"])
async def test_streams_that_nobody_reads_do_not_keep_the_service_from_leaving(
    databases: Databases, facility: Facility, tmp_path: Path, slowest_reader: str
) -> None:
    url = await databases.make("postgresql")
    settings = {"slowest_reader": slowest_reader, "grace": "1s"}
    async with running_service(url, facility=facility, data_dir=tmp_path) as staying:
        await revoke(staying, 40_000)
        async with (
            service_that_leaves(url, facility=facility, data_dir=tmp_path, **settings) as service,
            narrow_channel(service.where.grpc) as channel,
            aiohttp.ClientSession(f"http://{service.where.http}") as http,
        ):
            stream = watch(staying.at(channel))
            await eventually(lambda: says(http, "auth_trust_streams 1.0"))
            if slowest_reader == "200ms":
                await eventually(lambda: says(http, "auth_streams_unread 1.0"))

            service.leave()

            async with asyncio.timeout(30):
                await service.gone
            stream.cancel()


async def says(http: aiohttp.ClientSession, line: str) -> bool:
    async with http.get("/metrics") as response:
        return line in await response.text()


async def test_a_replica_that_learnt_of_keys_before_sessions_is_gone_on_from_as_well(start: Start) -> None:
    service = await start()
    await service.sql(sa.text("ALTER TABLE revocation RENAME TO revocation_gone"))
    replica = await start(waits=False)
    await service.sql(sa.text("ALTER TABLE revocation_gone RENAME TO revocation"))
    await eventually(lambda: admitted(replica))

    stream = watch(replica)
    beat = await until(stream, "heartbeat")
    stream.cancel()
    resumed = watch(replica, beat.cursor)

    assert (await resumed.read()).WhichOneof("what") != "snapshot"
    resumed.cancel()


async def test_nothing_is_told_before_it_is_known(start: Start) -> None:
    service = await start()
    await service.sql(sa.text("ALTER TABLE revocation RENAME TO revocation_gone"))

    replica = await start(waits=False)

    assert (await ending(watch(replica))).verdict == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
