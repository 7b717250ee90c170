"""Notices about maintenance: what the facility's pages are told, and who may say it."""

from pathlib import Path
from typing import Any

import pytest
from auth_api.v1 import audit_pb2, audit_pb2_grpc, maintenance_pb2, maintenance_pb2_grpc

from auth_service.demo import Facility
from tests.rpc.conftest import Start
from tests.support.conditions import eventually
from tests.support.postgres import Postgres
from tests.support.service import Databases, Service, admin_token, bearer, refusal, running_service, token_of
from tests.support.tcp_proxy import in_front_of

NOW = maintenance_pb2.NOTICE_KIND_MAINTENANCE
SOON = maintenance_pb2.NOTICE_KIND_SCHEDULED_MAINTENANCE
NOTHING = b'{"show":false,"message":""}'


async def told(service: Service, path: str = "/maintenance") -> bytes:
    async with service.http.get(path) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
        return await answer.read()


async def put(service: Service, token: str, kind: int, *, show: bool, message: str = "") -> Any:
    stub: Any = maintenance_pb2_grpc.MaintenanceServiceStub(service.channel)
    request = maintenance_pb2.SetNoticeRequest(kind=kind, show=show, message=message)  # type: ignore[arg-type]  # any
    return (await stub.SetNotice(request, metadata=bearer(token))).notice


@pytest.mark.row("A15")
async def test_pages_are_told_what_an_administrator_set(start: Start) -> None:
    service = await start()
    admin = await admin_token(service)
    before = [await told(service, path) for path in ("/maintenance", "/scheduled_maintenance")]

    notice = await put(service, admin, SOON, show=True, message='Sunday 06:00–09:00 <UTC>: "sign-in" rests')
    soon, now = await told(service, "/scheduled_maintenance"), await told(service)
    await put(service, admin, SOON, show=False, message="Sunday is over")
    hidden = await told(service, "/scheduled_maintenance")

    assert before == [NOTHING, NOTHING]
    assert notice.show
    assert notice.changed_at.seconds > 0
    assert soon == '{"show":true,"message":"Sunday 06:00–09:00 <UTC>: \\"sign-in\\" rests"}'.encode()
    assert now == NOTHING
    assert hidden == b'{"show":false,"message":"Sunday is over"}'


@pytest.mark.row("A15", "E2")
async def test_what_changed_is_in_the_log_and_what_did_not_is_not(start: Start) -> None:
    service = await start()
    admin = await admin_token(service)

    for _ in range(2):
        await put(service, admin, NOW, show=True, message="Back at noon")

    log: Any = audit_pb2_grpc.AuditServiceStub(service.channel)
    request = audit_pb2.ListAuditEventsRequest(type="notice.changed")
    (event,) = (await log.ListAuditEvents(request, metadata=bearer(admin))).events
    assert event.actor_kind == audit_pb2.ACTOR_KIND_PERSON
    assert dict(event.details) == {"kind": "maintenance", "show": "true", "message": "Back at noon"}


@pytest.mark.row("A15")
async def test_who_is_no_administrator_changes_nothing(start: Start) -> None:
    service = await start()
    person = (await service.login()).access_token
    helper = await token_of(service, "helper", "correct horse battery staple")

    assert (await refusal(put(service, person, NOW, show=True, message="x"))).reason == "PERMISSION_DENIED"
    assert (await refusal(put(service, helper, NOW, show=True, message="x"))).reason == "PERMISSION_DENIED"
    assert (await refusal(put(service, "garbage", NOW, show=True, message="x"))).reason == "CREDENTIALS_INVALID"
    assert await told(service) == NOTHING


@pytest.mark.parametrize(
    ("kind", "message", "field"),
    [
        (0, "x", "kind"),
        (7, "x", "kind"),
        (NOW, "", "message"),
        (NOW, " \n", "message"),
        (NOW, "a\x00b", "message"),
        (NOW, "x" * 1001, "message"),
    ],
    ids=["no kind", "unknown kind", "nothing", "blank", "control character", "too long"],
)
async def test_a_wrong_notice_is_told_what_is_wrong(service: Service, kind: int, message: str, field: str) -> None:
    refused = await refusal(put(service, await admin_token(service), kind, show=True, message=message))

    assert (refused.reason, refused.fields) == ("INVALID_FIELD", {field})


@pytest.mark.row("A15", "A22")
async def test_other_replicas_learn_of_a_notice(start: Start) -> None:
    one, other = await start(), await start()

    await put(one, await admin_token(one), NOW, show=True, message="Back at noon")

    async def is_known() -> bool:
        return await told(other) == b'{"show":true,"message":"Back at noon"}'

    await eventually(is_known)


@pytest.mark.row("A15")
async def test_away_from_its_database_the_service_tells_the_last_notice(
    databases: Databases, facility: Facility, tmp_path: Path
) -> None:
    async with (
        in_front_of(await databases.make("postgresql")) as (proxy, through),
        running_service(through, facility=facility, data_dir=tmp_path, database_timeout="2s") as service,
    ):
        admin = await admin_token(service)
        await put(service, admin, NOW, show=True, message="Back at noon")
        await proxy.refuse()

        refused = await refusal(put(service, admin, NOW, show=False))

        assert refused.reason == "DATABASE_UNAVAILABLE"
        assert await told(service) == b'{"show":true,"message":"Back at noon"}'


async def test_before_the_notices_were_read_pages_are_told_to_come_again(
    migrated_postgres: Postgres, facility: Facility, tmp_path: Path
) -> None:
    production = {"profile": "production", "allow_plaintext": "true", "providers": "local"}
    nothing_else = {"uows_url": "", "allocations_url": ""}
    url = migrated_postgres.dsn("no-such-database")

    async with (
        running_service(
            url, facility=facility, data_dir=tmp_path, waits=False, **production, **nothing_else
        ) as service,
        service.http.get("/maintenance") as answer,
    ):
        assert (answer.status, (await answer.json())["reason"]) == (503, "DATABASE_UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) >= 1
