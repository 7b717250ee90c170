"""What is in the log, once, and what is never in it (row A18, section 9 of the security bar)."""

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress

import grpc
import pytest
import sqlalchemy as sa
import structlog
from auth_api.v1 import auth_pb2, keys_pb2

from auth_service.demo import Facility
from tests.rpc.conftest import Start
from tests.support.conditions import eventually
from tests.support.service import (
    ADMIN_PASSWORD,
    PORTAL_API_KEY,
    Logs,
    Service,
    admin_token,
    bearer,
    captured_logs,
    refusal,
)

PASSWORD = "a password that nobody may ever read"


async def quietly(call: Awaitable[object]) -> None:
    with suppress(grpc.aio.AioRpcError):
        await call


@pytest.mark.row("A18", "S91")
async def test_each_event_is_one_line_with_who_and_the_request_id(start: Start, logs: Logs) -> None:
    service = await start(provider_recheck_after="1h")
    admin = await admin_token(service)
    logs.clear()
    request = auth_pb2.LoginRequest(username="user1001", password="user1001-password")
    pair = await service.auth.Login(request, metadata=(("x-request-id", "the-login"),))
    person = (await service.verify(pair.access_token)).subject
    second = await service.refresh(pair.refresh_token)
    await service.refresh(second.refresh_token)
    await refusal(service.refresh(pair.refresh_token))
    other = await service.login("staff1002")
    await service.logout(other.refresh_token)
    await service.logout(other.refresh_token)
    rotated = await service.keys.RotateSigningKey(keys_pb2.RotateSigningKeyRequest(), metadata=bearer(admin))
    await service.keys.RevokeSigningKey(
        keys_pb2.RevokeSigningKeyRequest(kid=rotated.standby.kid), metadata=bearer(admin)
    )

    (login,) = logs.named("login", session=pair.session_id)
    assert (login["person"], login["provider"], login["request_id"]) == (person, "uows", "the-login")
    assert len(logs.named("refresh", session=pair.session_id)) == 2
    assert len(logs.named("refresh.reused", session=pair.session_id, level="warning")) == 1
    assert len(logs.named("session.ended", session=pair.session_id, reason="reuse")) == 1
    assert len(logs.named("session.ended", session=other.session_id, reason="logout")) == 1
    (turned,) = logs.named("keys.rotated")
    (revoked,) = logs.named("keys.revoked", kid=rotated.standby.kid)
    assert turned["by"] == revoked["by"] != person
    for line in (login, turned, revoked, *logs.named("refresh.reused"), *logs.named("session.ended")):
        assert line["request_id"]
        assert line["timestamp"].endswith("Z")


@pytest.mark.row("A18", "S91", "S61")
async def test_no_secret_of_a_whole_run_is_in_the_log(start: Start, facility: Facility, logs: Logs) -> None:
    service = await start(providers="uows,local")
    logs.clear()
    facility.knows("grace.hopper@facility.example", PASSWORD, number=7001)
    pair = await service.login("grace.hopper@facility.example", PASSWORD)
    admin = await admin_token(service)
    successor = await service.refresh(pair.refresh_token)
    for each in (
        service.login("grace.hopper@facility.example", PASSWORD + "!"),
        service.login("grace.hopper@facility.example\r\nforged", PASSWORD),
        service.verify(pair.access_token + "x"),
        service.verify(f"prefix {pair.access_token}"),
        service.refresh(pair.refresh_token[:-1]),
        service.experiments(7001, pair.access_token),
        service.experiments(7001, PORTAL_API_KEY + "x"),
        service.keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=bearer(admin)),
        service.raw("/auth_api.v1.AuthService/Login")(PASSWORD.encode()),
    ):
        await quietly(each)
    for fault in ("status 500", "reset", "html", "bad json", "answer {'password': 'x'}"):
        facility.fault = {"/v1/sessions": fault}
        await quietly(service.login("grace.hopper@facility.example", PASSWORD))
    facility.fault = {}
    await service.logout(successor.refresh_token)

    text = logs.text
    for secret in (*service.secrets, PASSWORD, ADMIN_PASSWORD, PORTAL_API_KEY):
        assert secret not in text
        assert secret[8:40] not in text or len(secret) < 30
    assert "hopper" not in text
    assert "grac" not in text
    assert len(logs.named("login.refused", username_start="gra")) >= 1
    assert all(set(line) >= {"event", "level", "timestamp"} for line in logs.lines)


@pytest.mark.row("S91")
async def test_a_service_that_signs_in_is_a_line_that_says_from_where(start: Start, logs: Logs) -> None:
    service = await start(trusted_proxies="127.0.0.1")
    logs.clear()

    await service.auth.LoginService(
        auth_pb2.LoginServiceRequest(api_key=PORTAL_API_KEY),
        metadata=(("x-forwarded-for", "192.0.2.7"), ("x-request-id", "the-portal")),
    )

    (line,) = logs.named("login.service", service="portal")
    assert (line["address"], line["request_id"]) == ("192.0.2.7", "the-portal")
    assert PORTAL_API_KEY not in logs.text


@pytest.mark.row("S91")
async def test_whoever_tries_what_they_may_not_is_named_in_the_log(service: Service, logs: Logs) -> None:
    pair = await service.login()
    person = (await service.verify(pair.access_token)).subject
    logs.clear()

    for credential in (pair.access_token, PORTAL_API_KEY):
        await refusal(service.keys.ListSigningKeys(keys_pb2.ListSigningKeysRequest(), metadata=bearer(credential)))

    lines = logs.named("rpc", method="KeyService/ListSigningKeys", code="PERMISSION_DENIED")
    assert [(line["by"], line["address"]) for line in lines] == [(person, "127.0.0.1"), ("portal", "127.0.0.1")]
    assert pair.access_token not in logs.text


@pytest.mark.row("S82")
async def test_a_defect_of_ours_tells_the_caller_its_number_and_the_log_its_place_only(
    start: Start, logs: Logs
) -> None:
    service = await start()
    pair = await service.login()
    # What nobody planned for: a column is gone, so the answer is neither late nor lost but a defect.
    await service.sql(sa.text("ALTER TABLE person RENAME COLUMN username TO username_gone"))
    logs.clear()

    refused = await refusal(service.login("user1001"))
    also = await refusal(service.refresh(pair.refresh_token))

    for each in (refused, also):
        assert each.verdict == ("INTERNAL", "DEFECT")
        assert each.message == "something went wrong on our side"
    lines = logs.named("rpc.defect", request_id=refused.trailers["x-request-id"])
    assert len(lines) == 1
    assert lines[0]["exception"]
    for secret in service.secrets:
        assert secret not in logs.text


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_no_variable_and_no_token(style: str) -> None:
    with captured_logs(style=style) as logs:
        log = structlog.get_logger()

        def fails(password: str) -> None:
            token = f"eyJ{'a' * 40}.{'b' * 40}.{'c' * 40}"
            raise RuntimeError(f"cannot read {token} nor rt1.{'d' * 80}", len(password))

        try:
            fails(PASSWORD)
        except RuntimeError:
            log.exception("defect", token="a-token", nested={"password": PASSWORD, "list": [f"rt1.{'e' * 80}"]})
            logging.getLogger("a.library").exception("it failed")

    assert "RuntimeError" in logs.text
    assert PASSWORD not in logs.text
    for secret in ("a-token", "b" * 20, "d" * 20, "e" * 20):
        assert secret not in logs.text
    assert "it failed" in logs.text


@pytest.mark.row("S91", "S59")
@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("forged", ["a\nb", "a\r\nlevel=error", "a\x1b[2Jb", "a\u2028b", "a\x85b"])
def test_nobody_forges_a_line(style: str, forged: str) -> None:
    with captured_logs(style=style) as logs:
        structlog.get_logger().info("event", name=forged)
        logging.getLogger("a.library").warning("said %s", forged)

    assert len(logs.text.splitlines()) == 2
    assert "\x1b[2J" not in logs.text


def test_the_level_is_a_threshold() -> None:
    with captured_logs(level="warning") as logs:
        structlog.get_logger().info("quiet")
        structlog.get_logger().warning("loud")

    assert [line["event"] for line in logs.lines] == ["loud"]


async def test_a_caller_that_goes_away_is_a_line_and_no_more(service: Service, facility: Facility, logs: Logs) -> None:
    asked = facility.hits["/v1/sessions"]
    facility.fault = {"/v1/sessions": "hang"}
    logs.clear()
    call = asyncio.ensure_future(
        service.auth.Login(
            auth_pb2.LoginRequest(username="user1001", password=PASSWORD), metadata=(("x-request-id", "gone"),)
        )
    )
    await facility.was_asked("/v1/sessions", times=asked + 1)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    await eventually(lambda: bool(logs.named("rpc", code="CANCELLED", request_id="gone")))
    facility.fault = {}
    assert [line for line in logs.lines if line["level"] not in ("debug", "info")] == []
