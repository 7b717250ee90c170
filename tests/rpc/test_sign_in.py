"""Signing in where more than a right password is asked for, and what the audit log tells of it."""

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from auth_api.v1 import auth_pb2

from auth_service.storage import schema
from tests.rpc.conftest import Start
from tests.support.administering import PASSWORD, Acting, administrator, found, new_name
from tests.support.conditions import eventually
from tests.support.service import Logs, Service, refusal

NEW_PASSWORD = "nine walnuts under a wicker chair"
WRONG = ("UNAUTHENTICATED", "BAD_CREDENTIALS")
MUST_CHANGE = ("FAILED_PRECONDITION", "PASSWORD_CHANGE_REQUIRED")


@pytest.fixture
async def admin(service: Service) -> Acting:
    return await administrator(service)


async def login(service: Service, username: str, password: str, new_password: str = "") -> auth_pb2.LoginResponse:
    request = auth_pb2.LoginRequest(username=username, password=password, new_password=new_password)
    return await service.auth.Login(request)


async def events(service: Service, **conditions: Any) -> list[Any]:
    """Of the audit log, oldest first."""
    event = schema.audit_event
    conditions = {name: getattr(event.c, name) == value for name, value in conditions.items()}
    return list(await found(service, sa.select(event).where(*conditions.values()).order_by(event.c.id)))


@pytest.mark.row("E17")
async def test_a_password_that_an_administrator_set_is_changed_at_the_first_sign_in(admin: Acting) -> None:
    service = admin.service
    made = await admin.create(must_change_password=True)
    name = made.username

    assert (await refusal(login(service, name, "not the password"))).verdict == WRONG
    assert (await refusal(login(service, name, "not the password", NEW_PASSWORD))).verdict == WRONG
    assert (await refusal(login(service, name, PASSWORD))).verdict == MUST_CHANGE
    for weak in ("short", PASSWORD, "passwordpassword"):
        refused = await refusal(login(service, name, PASSWORD, weak))
        assert (refused.verdict, refused.fields) == (("INVALID_ARGUMENT", "INVALID_FIELD"), {"new_password"})
    assert not (await admin.get(made.user_id)).HasField("last_login_at")
    pair = await login(service, name, PASSWORD, NEW_PASSWORD)

    assert (await service.verify(pair.access_token)).subject == made.user_id
    assert (await refusal(login(service, name, PASSWORD))).verdict == WRONG
    assert (await login(service, name, NEW_PASSWORD)).session_id
    assert not (await admin.get(made.user_id)).must_change_password
    refusals = [each.reason for each in await events(service, type="session.refused", subject_id=UUID(made.user_id))]
    assert refusals == ["BAD_CREDENTIALS", "BAD_CREDENTIALS", "PASSWORD_CHANGE_REQUIRED", "BAD_CREDENTIALS"]
    [changed] = await events(service, type="password.changed", subject_id=UUID(made.user_id))
    assert (changed.actor_kind, changed.actor_id) == ("person", UUID(made.user_id))


@pytest.mark.row("S45")
async def test_a_password_that_is_changed_while_signing_in_ends_the_other_sessions(admin: Acting) -> None:
    service, made = admin.service, await admin.create()
    before = await login(service, made.username, PASSWORD)

    after = await login(service, made.username, PASSWORD, NEW_PASSWORD)

    assert (await refusal(service.verify(before.access_token))).reason == "TOKEN_REVOKED"
    assert (await service.refresh(after.refresh_token)).session_id == after.session_id


async def test_the_facility_changes_its_own_passwords(service: Service) -> None:
    refused = await refusal(login(service, "user1001", "user1001-password", NEW_PASSWORD))
    wrong = await refusal(login(service, "user1001", "not the password", NEW_PASSWORD))

    assert refused.verdict == ("FAILED_PRECONDITION", "ACCOUNT_STATE")
    assert wrong.verdict == WRONG
    assert (await service.login("user1001")).session_id


@pytest.mark.row("E1")
async def test_the_last_sign_in_is_kept(admin: Acting) -> None:
    made = await admin.create()

    await login(admin.service, made.username, PASSWORD)
    first = (await admin.get(made.user_id)).last_login_at
    await refusal(login(admin.service, made.username, "not the password"))
    assert (await admin.get(made.user_id)).last_login_at == first
    await login(admin.service, made.username, PASSWORD)

    assert (await admin.get(made.user_id)).last_login_at.ToNanoseconds() > first.ToNanoseconds()


@pytest.mark.row("C13", "E3", "E21")
async def test_disabled_and_deleted_people_are_refused_like_strangers(admin: Acting) -> None:
    service = admin.service
    disabled, deleted = await admin.create(), await admin.create()
    await admin.disable(disabled.user_id)
    await admin.delete(deleted.user_id)

    stranger = await refusal(login(service, new_name(), PASSWORD))
    refusals = [await refusal(login(service, each.username, PASSWORD)) for each in (disabled, deleted)]

    assert {(each.verdict, each.message) for each in refusals} == {(stranger.verdict, stranger.message)}
    for each in (disabled, deleted):
        assert (await refusal(login(service, each.username, PASSWORD, "too short"))).verdict == stranger.verdict
        [told, _] = await events(service, type="session.refused", subject_id=UUID(each.user_id))
        assert (told.outcome, told.reason, told.actor_kind) == ("refused", "BAD_CREDENTIALS", "anonymous")
        assert not (await admin.get(each.user_id)).HasField("last_login_at")
        assert not await events(service, type="session.started", subject_id=UUID(each.user_id))


@pytest.mark.row("C14", "E17", "S91")
async def test_a_refused_sign_in_is_told_with_the_person_or_three_letters_of_a_name(admin: Acting, logs: Logs) -> None:
    service, made = admin.service, await admin.create()
    name = f"zzy{new_name()}"

    known = await refusal(login(service, made.username, "hunter2 hunter2 hunter2"))
    unknown = await refusal(login(service, name, "hunter2 hunter2 hunter2"))

    [of_known] = await events(service, request_id=known.trailers["x-request-id"])
    [of_unknown] = await events(service, request_id=unknown.trailers["x-request-id"])
    assert (of_known.type, of_known.subject_id, of_known.details) == ("session.refused", UUID(made.user_id), "{}")
    assert (of_unknown.subject_id, of_unknown.details) == (None, '{"username_start": "zzy"}')
    assert (of_known.address, of_unknown.address) == ("127.0.0.1", "127.0.0.1")
    everything = f"{await events(service)}{logs.text}"
    assert name not in everything
    assert "hunter2" not in everything


@pytest.mark.row("C14", "E17", "S91")
async def test_reuse_and_logout_are_told_once_and_a_good_refresh_is_not(admin: Acting) -> None:
    service, made = admin.service, await admin.create()
    stolen, left = await login(service, made.username, PASSWORD), await login(service, made.username, PASSWORD)
    second = await service.refresh(stolen.refresh_token)
    third = await service.refresh(second.refresh_token)

    await refusal(service.refresh(stolen.refresh_token))
    await refusal(service.refresh(third.refresh_token))
    await service.logout(left.refresh_token)
    await service.logout(left.refresh_token)

    told = [
        (each.type, each.reason, each.actor_kind, each.details)
        for each in await events(service, subject_id=UUID(made.user_id))
        if each.type.startswith("session.") and each.type != "session.started"
    ]
    of_stolen, of_left = (f'{{"session_id": "{each.session_id}"}}' for each in (stolen, left))
    assert told == [
        ("session.reused", "", "anonymous", of_stolen),
        ("session.ended", "reuse", "anonymous", of_stolen),
        ("session.ended", "logout", "person", of_left),
    ]


async def test_a_refusal_stays_what_it_is_where_it_cannot_be_written_down(start: Start, logs: Logs) -> None:
    service = await start()
    admin = await administrator(service)
    made = await admin.create(must_change_password=True)
    await service.sql(*refusing_refusals(service))

    unknown = await refusal(login(service, new_name(), PASSWORD))
    wrong = await refusal(login(service, made.username, "not the password"))
    waits = await refusal(login(service, made.username, PASSWORD))

    assert [each.verdict for each in (unknown, wrong, waits)] == [WRONG, WRONG, MUST_CHANGE]
    assert (await login(service, made.username, PASSWORD, NEW_PASSWORD)).session_id

    async def are_logged() -> bool:
        return len(logs.named("audit.not_written", type="session.refused")) >= 3

    await eventually(are_logged)


def refusing_refusals(service: Service) -> list[sa.Executable]:
    """A database that takes every event but a refused sign-in."""
    if service.settings.database.startswith("sqlite"):
        return [
            sa.text(
                "CREATE TRIGGER refuse BEFORE INSERT ON audit_event WHEN NEW.type = 'session.refused'"
                " BEGIN SELECT RAISE(ABORT, 'no more of these'); END"
            )
        ]
    return [
        sa.text(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'no more of these'; END $$"
        ),
        sa.text(
            "CREATE TRIGGER refuse BEFORE INSERT ON audit_event FOR EACH ROW WHEN (NEW.type = 'session.refused')"
            " EXECUTE FUNCTION refuse()"
        ),
    ]
