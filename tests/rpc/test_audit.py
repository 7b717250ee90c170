"""The audit log by RPC: pages, and a stream that follows it."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
import sqlalchemy as sa
from auth_api.v1 import audit_pb2, audit_pb2_grpc, auth_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from auth_service.demo import Facility
from auth_service.domain.audit import EventType, Origin, happened
from auth_service.storage import audit, schema
from auth_service.storage.database import Connection
from auth_service.storage.opening import open_database
from tests.rpc.conftest import Start
from tests.support.conditions import eventually
from tests.support.leaving import service_that_leaves
from tests.support.service import (
    PORTAL_API_KEY,
    Databases,
    Refusal,
    Service,
    admin_token,
    bearer,
    refusal,
    running_service,
)

Stub = Any
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def stub(service: Service) -> Stub:
    return audit_pb2_grpc.AuditServiceStub(service.channel)


async def listed(service: Service, token: str, **filters: Any) -> list[audit_pb2.AuditEvent]:
    """All pages."""
    events: list[audit_pb2.AuditEvent] = []
    page_token = ""
    while True:
        request = audit_pb2.ListAuditEventsRequest(page_token=page_token, **filters)
        page = await stub(service).ListAuditEvents(request, metadata=bearer(token))
        events += page.events
        page_token = page.next_page_token
        if not page_token:
            return events


async def write(service: Service, *events: Any) -> None:
    """Into the log, past the service."""
    database = open_database(service.settings.database, budget=timedelta(seconds=5))

    async def step(connection: Connection) -> None:
        for event in events:
            await audit.add(connection, event)

    await database.transaction(step)
    await database.close()


def event(what: EventType = EventType.ROLE_GRANTED, *, minutes: int = 0, **about: Any) -> Any:
    return happened(what, origin=Origin(request_id="a-call"), now=NOON + timedelta(minutes=minutes), **about)


def at(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


@pytest.mark.row("E17", "C14", "S91")
async def test_a_sign_in_is_told_with_who_what_from_where_and_which_call(start: Start) -> None:
    service = await start(providers="uows,local")
    admin = await admin_token(service)
    request = auth_pb2.LoginRequest(username="user1001", password="user1001-password")
    pair = await service.auth.Login(request, metadata=(("x-request-id", "the-call"),))
    subject = (await service.verify(pair.access_token)).subject

    (told,) = await listed(service, admin, request_id="the-call")

    assert (told.type, told.outcome) == ("session.started", audit_pb2.AUDIT_OUTCOME_SUCCESS)
    assert (told.actor_kind, told.actor_id, told.subject_id) == (audit_pb2.ACTOR_KIND_PERSON, subject, subject)
    assert (told.address, told.request_id) == ("127.0.0.1", "the-call")
    assert told.details["session_id"] == pair.session_id
    assert str(UUID(told.event_id)) == told.event_id
    assert not {pair.access_token, pair.refresh_token, "user1001-password"} & set(told.details.values())


async def test_pages_are_newest_first_and_hold_every_event_once(start: Start) -> None:
    service = await start(providers="uows,local")
    admin = await admin_token(service)
    # Several of one moment: the time alone is no position.
    written = [event(EventType.STAFF_ADDED, minutes=number // 4, on=uuid4()) for number in range(25)]
    await write(service, *written)

    found = await listed(service, admin, page_size=7, type="staff.added")

    assert [UUID(each.event_id) for each in found] == [each.id for each in reversed(written)]
    assert await listed(service, admin, page_size=1000, type="staff.") == found


async def test_each_filter_holds_alone_and_with_the_others(start: Start) -> None:
    service = await start(providers="uows,local")
    admin = await admin_token(service)
    ada, eve = uuid4(), uuid4()
    granted = event(minutes=1, on=ada, by=eve)
    refused = event(EventType.SESSION_REFUSED, minutes=2, on=ada, outcome="refused", reason="BAD_CREDENTIALS")
    updated = event(EventType.ROLE_UPDATED, minutes=3, by=eve)
    await write(service, granted, refused, updated)

    async def ids(**filters: Any) -> list[UUID]:
        span = {"until": at(NOON + timedelta(hours=1))} | filters
        return [UUID(each.event_id) for each in await listed(service, admin, **span)]

    assert await ids() == [updated.id, refused.id, granted.id]
    assert await ids(subject_id=str(ada)) == [refused.id, granted.id]
    assert await ids(actor_id=str(eve)) == [updated.id, granted.id]
    assert await ids(type="role.granted") == [granted.id]
    assert await ids(type="role.") == [updated.id, granted.id]
    assert await ids(outcome=audit_pb2.AUDIT_OUTCOME_REFUSED) == [refused.id]
    assert await ids(request_id="a-call") == [updated.id, refused.id, granted.id]
    assert await ids(since=at(NOON + timedelta(minutes=2)), until=at(NOON + timedelta(minutes=3))) == [refused.id]
    assert await ids(subject_id=str(ada), actor_id=str(eve), type="role.granted") == [granted.id]
    assert await ids(subject_id=str(uuid4())) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "role"),
        ("type", "."),
        ("type", "role.granted."),
        ("type", "\0"),
        ("subject_id", "ada"),
        ("subject_id", "\0"),
        ("actor_id", "{12345678-1234-1234-1234-123456789012}"),
        ("outcome", 99),
        ("request_id", "a call"),
        ("request_id", "\0"),
        ("request_id", "x" * 37),
        ("since", Timestamp(seconds=-(10**12))),
        ("since", Timestamp(seconds=2**62)),
        ("until", Timestamp(nanos=-1)),
        ("until", Timestamp(seconds=1, nanos=2**31 - 1)),
        ("page_size", -1),
        ("page_token", "x"),
    ],
)
async def test_a_filter_that_no_event_can_meet_names_its_field(service: Service, field: str, value: Any) -> None:
    request = audit_pb2.ListAuditEventsRequest(**{field: value})

    refused = await refusal(stub(service).ListAuditEvents(request, metadata=bearer(await reader(service))))

    assert refused.verdict == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert refused.fields == {field}


async def test_a_page_token_is_good_for_its_own_filters_only(start: Start) -> None:
    service = await start(providers="uows,local")
    admin = await admin_token(service)
    await write(service, *(event(minutes=number) for number in range(3)))
    first = await stub(service).ListAuditEvents(
        audit_pb2.ListAuditEventsRequest(page_size=1, type="role."), metadata=bearer(admin)
    )

    others: list[dict[str, Any]] = [{"type": "role.granted"}, {}, {"type": "role.", "request_id": "a-call"}]
    for other in others:
        request = audit_pb2.ListAuditEventsRequest(page_token=first.next_page_token, **other)
        refused = await refusal(stub(service).ListAuditEvents(request, metadata=bearer(admin)))
        assert (refused.reason, refused.fields) == ("INVALID_FIELD", {"page_token"})


async def test_only_administrators_read_the_log(service: Service) -> None:
    user = (await service.login()).access_token

    for credential in (user, PORTAL_API_KEY):
        refused = await refusal(
            stub(service).ListAuditEvents(audit_pb2.ListAuditEventsRequest(), metadata=bearer(credential))
        )
        assert refused.verdict == ("PERMISSION_DENIED", "PERMISSION_DENIED")
        watched = await ending(watch(service, credential))
        assert watched.verdict == ("PERMISSION_DENIED", "PERMISSION_DENIED")
    assert (await ending(stub(service).WatchAuditEvents(audit_pb2.WatchAuditEventsRequest()))).reason == (
        "CREDENTIALS_MISSING"
    )


async def reader(service: Service) -> str:
    """An administrator, made at most once for a service that a module shares."""
    return await admin_token(service)


def watch(service: Service, token: str, **request: Any) -> Any:
    return stub(service).WatchAuditEvents(audit_pb2.WatchAuditEventsRequest(**request), metadata=bearer(token))


async def begun(stream: Any) -> None:
    """From here on it misses nothing."""
    assert not (await stream.read()).HasField("event")


async def ending(call: Any) -> Refusal:
    """How a stream was refused."""

    async def drained() -> None:
        while await call.read() is not grpc.aio.EOF:
            pass

    return await refusal(drained())


async def some(call: Any, count: int) -> list[audit_pb2.AuditEvent]:
    """The next events of a stream, signs of life left out."""
    found: list[audit_pb2.AuditEvent] = []
    while len(found) < count:
        response = await call.read()
        assert response is not grpc.aio.EOF
        if response.HasField("event"):
            found.append(response.event)
    return found


@pytest.mark.row("E17")
async def test_a_stream_sends_what_happens_in_its_order(start: Start) -> None:
    service = await start(providers="uows,local")
    admin = await admin_token(service)
    stream = watch(service, admin, type="session.")
    await begun(stream)

    pairs = [await service.login(name) for name in ("user1001", "staff1002", "user1003")]

    assert [each.details["session_id"] for each in await some(stream, 3)] == [pair.session_id for pair in pairs]
    stream.cancel()


async def test_a_stream_begins_behind_the_event_that_is_named(start: Start) -> None:
    service = await start(providers="uows,local")
    admin = await admin_token(service)
    written = [event(minutes=-number, on=uuid4()) for number in range(450)]
    await write(service, *written)

    stream = watch(service, admin, after_event_id=str(written[9].id), type="role.")

    # As they were written, whatever the time on them says.
    assert [UUID(each.event_id) for each in await some(stream, 440)] == [each.id for each in written[10:]]
    stream.cancel()


async def test_an_event_that_is_not_in_the_log_is_nowhere_to_begin(service: Service) -> None:
    admin = await reader(service)

    assert (await ending(watch(service, admin, after_event_id=str(uuid4())))).verdict == ("NOT_FOUND", "NOT_FOUND")
    assert (await ending(watch(service, admin, after_event_id="x"))).fields == {"after_event_id"}
    assert (await ending(watch(service, admin, type="nothing"))).fields == {"type"}


async def test_a_stream_ends_when_its_reader_is_no_administrator_any_more(start: Start) -> None:
    service = await start(providers="uows,local")
    admin = await admin_token(service)
    stream = watch(service, admin)
    await begun(stream)

    await service.sql(sa.delete(schema.person_role))

    assert (await ending(stream)).verdict == ("PERMISSION_DENIED", "PERMISSION_DENIED")


async def test_a_stream_ends_when_its_reader_signs_out(start: Start) -> None:
    service = await start(providers="uows,local")
    await admin_token(service)
    pair = await service.login("root@facility.example", "correct horse battery staple")
    stream = watch(service, pair.access_token)
    await begun(stream)

    await service.logout(pair.refresh_token)

    assert (await ending(stream)).verdict == ("UNAUTHENTICATED", "TOKEN_REVOKED")


async def test_a_reader_that_is_being_turned_away_may_lose_its_rights_meanwhile(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    service = await start(providers="uows,local", slowest_reader="200ms")
    admin = await admin_token(service)
    await write(service, event(EventType.ROLE_CREATED), *(event(text="x" * 60_000) for _ in range(200)))
    (first,) = await listed(service, admin, type="role.created")
    stream = watch(service, admin, after_event_id=first.event_id, type="role.")
    await some(stream, 1)
    await eventually(lambda: is_turned_away(service))

    await service.sql(sa.delete(schema.person_role))
    await eventually(lambda: is_over(service, "WatchAuditEvents"))

    assert (await ending(stream)).verdict == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    assert "Unexpected" not in caplog.text


async def is_over(service: Service, method: str) -> bool:
    async with service.http.get("/metrics") as response:
        return f'/{method}",' in await response.text()


async def test_a_reader_that_is_too_slow_is_turned_away_and_can_go_on_where_it_was(start: Start) -> None:
    service = await start(providers="uows,local", slowest_reader="200ms")
    admin = await admin_token(service)
    written = [event(minutes=number, text="x" * 60_000) for number in range(200)]
    await write(service, event(EventType.ROLE_CREATED), *written)
    (first,) = await listed(service, admin, type="role.created")
    stream = watch(service, admin, after_event_id=first.event_id, type="role.")
    (arrived,) = await some(stream, 1)
    # It reads no more until the service has given up.
    await eventually(lambda: is_turned_away(service))

    got = [arrived]

    async def drained() -> None:
        while True:
            got.extend(await some(stream, 1))

    refused = await refusal(drained())

    assert refused.verdict == ("RESOURCE_EXHAUSTED", "OVERLOADED")
    assert 0 < len(got) < 200
    rest = watch(service, admin, after_event_id=got[-1].event_id, type="role.")
    got += await some(rest, 200 - len(got))
    rest.cancel()
    assert [UUID(each.event_id) for each in got] == [each.id for each in written]


async def is_turned_away(service: Service) -> bool:
    return await service.metric("auth_streams_unread") == 1


async def test_streams_end_well_and_at_once_when_the_service_leaves(
    databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    url = await databases.make("postgresql")
    async with (
        running_service(url, facility=facility, data_dir=tmp_path, providers="uows,local") as staying,
        service_that_leaves(url, facility=facility, data_dir=tmp_path, grace="60s", providers="uows,local") as service,
        grpc.aio.insecure_channel(str(service.where.grpc)) as channel,
    ):
        stream = watch(staying.at(channel), await admin_token(staying))
        await begun(stream)

        service.leave()

        assert await stream.read() is grpc.aio.EOF
        assert await stream.code() is grpc.StatusCode.OK
        async with asyncio.timeout(30):
            await service.gone
