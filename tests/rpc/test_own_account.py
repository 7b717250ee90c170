"""What people do about themselves: register, read, change and delete their account, and see to their sessions."""

import asyncio
import unicodedata
from collections.abc import Awaitable, Sequence
from typing import Any
from uuid import UUID, uuid4

import grpc
import pytest
import sqlalchemy as sa
from auth_api.v1 import auth_pb2, users_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from auth_service.demo import Facility
from auth_service.storage import schema
from tests.rpc.conftest import Start
from tests.support.administering import PASSWORD, Acting, administrator, found, new_name, signed_in
from tests.support.service import Logs, Refusal, Service, bearer, refusal

NEW_PASSWORD = "nine walnuts under a wicker chair"
INVALID = ("INVALID_ARGUMENT", "INVALID_FIELD")
TAKEN = ("ALREADY_EXISTS", "ALREADY_EXISTS")
STATE = ("FAILED_PRECONDITION", "ACCOUNT_STATE")
LAST = ("FAILED_PRECONDITION", "LAST_ADMINISTRATOR")
REVOKED = ("UNAUTHENTICATED", "TOKEN_REVOKED")
WRONG = ("UNAUTHENTICATED", "BAD_CREDENTIALS")
NOT_FOUND = ("NOT_FOUND", "NOT_FOUND")


class Me(Acting):
    """A person who acts on their own account."""

    async def read(self) -> users_pb2.User:
        return (await self.users.GetMe(users_pb2.GetMeRequest(), metadata=self.metadata)).user

    async def change(self, *paths: str, current_password: str = "", **fields: Any) -> users_pb2.User:
        request = users_pb2.UpdateMeRequest(
            user=users_pb2.User(**fields),
            update_mask=FieldMask(paths=paths or list(fields)),
            current_password=current_password,
        )
        return (await self.users.UpdateMe(request, metadata=self.metadata)).user

    async def change_password(self, present: str, new: str) -> int:
        request = users_pb2.ChangePasswordRequest(current_password=present, new_password=new)
        return (await self.users.ChangePassword(request, metadata=self.metadata)).ended_sessions

    async def leave(self, password: str) -> None:
        await self.users.DeleteMe(users_pb2.DeleteMeRequest(password=password), metadata=self.metadata)

    async def my_sessions(self, **which: Any) -> users_pb2.ListMySessionsResponse:
        return await self.users.ListMySessions(users_pb2.ListMySessionsRequest(**which), metadata=self.metadata)

    async def end(self, session_id: str) -> None:
        await self.users.EndMySession(users_pb2.EndMySessionRequest(session_id=session_id), metadata=self.metadata)

    async def end_others(self) -> int:
        request = users_pb2.EndMyOtherSessionsRequest()
        return (await self.users.EndMyOtherSessions(request, metadata=self.metadata)).ended_sessions


async def register(
    service: Service, username: str, *, password: str = PASSWORD, email: str = "", display_name: str = ""
) -> users_pb2.User:
    request = users_pb2.RegisterRequest(username=username, password=password, email=email, display_name=display_name)
    return (await Me(service, "", "").users.Register(request)).user


async def sign_in(service: Service, username: str, password: str | None = PASSWORD) -> Me:
    acting = await signed_in(service, username, password)
    return Me(service, acting.token, acting.person_id)


async def somebody(service: Service, **fields: str) -> Me:
    """Signed in with an account of their own."""
    return await sign_in(service, (await register(service, new_name(), **fields)).username)


async def verify_address(service: Service, user_id: str) -> None:
    person = schema.person
    await service.sql(
        sa.update(person).where(person.c.id == UUID(user_id)).values(email_verified_at=sa.func.current_timestamp())
    )


async def events_on(service: Service, user_id: str) -> list[tuple[str, str, str]]:
    """Type, outcome and reason of what the audit log tells of the person, oldest first."""
    event = schema.audit_event
    rows = await found(
        service,
        sa.select(event.c.type, event.c.outcome, event.c.reason)
        .where(event.c.subject_id == UUID(user_id))
        .order_by(event.c.id),
    )
    return [tuple(row) for row in rows]


async def people_of(service: Service) -> Sequence[Any]:
    return await found(service, sa.select(schema.person).order_by(schema.person.c.id))


@pytest.mark.row("C1", "C14", "E9", "E17")
async def test_who_registers_is_a_user_who_signs_in_and_no_more(service: Service) -> None:
    name = new_name()

    made = await register(service, name, email=f"{name}@Example.ORG", display_name="Ada Lovelace")

    me = await sign_in(service, name)
    shown = await me.read()
    assert shown.last_login_at.ToSeconds() > 0
    shown.ClearField("last_login_at")
    assert shown == made
    assert (made.user_id, made.provider, made.username) == (me.person_id, "local", name)
    assert (made.display_name, made.email, made.email_verified) == ("Ada Lovelace", f"{name}@example.org", False)
    assert (list(made.roles), made.level, made.state) == (["user"], 1000, users_pb2.USER_STATE_ACTIVE)
    assert not made.must_change_password
    assert (await events_on(service, made.user_id))[0] == ("person.registered", "success", "")


@pytest.mark.row("C1")
async def test_nobody_registers_where_registration_is_closed(start: Start) -> None:
    service = await start(registration="false")

    refused = await refusal(register(service, new_name()))

    assert refused.verdict == ("FAILED_PRECONDITION", "REGISTRATION_CLOSED")
    assert not await people_of(service)


@pytest.mark.row("C1", "E8", "S56", "S58", "S59")
@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("username", {"username": ""}),
        ("username", {"username": "x" * 256}),
        ("username", {"username": "ada\u200b"}),
        ("username", {"username": "\u202eada"}),
        ("username", {"username": "ada\u200f"}),
        ("username", {"username": "\u0430da"}),
        ("username", {"username": "ada\nlogin ok"}),
        ("username", {"username": "Admin"}),
        ("username", {"username": "\uff52oot"}),
        ("username", {"username": "ada@example.org"}),
        ("username", {"username": "ada@example.org", "email": "eve@example.org"}),
        ("email", {"email": "ada"}),
        ("email", {"email": "a" * 400 + "@example.org"}),
        ("email", {"email": "ada@example.org\r\nBcc: eve@example.org"}),
        ("email", {"email": "ada@exa\u0000mple.org"}),
        ("display_name", {"display_name": "x" * 256}),
        ("display_name", {"display_name": "Ada\u0007"}),
        ("display_name", {"display_name": "\u200b\u3164 "}),
        ("display_name", {"display_name": "Ada \u202eegdir"}),
        ("password", {"password": ""}),
        ("password", {"password": "short but odd"}),
        ("password", {"password": "x" * 1025}),
        ("password", {"password": "aaaaaaaaaaaaaaaaaaaaaa"}),
        ("password", {"password": "ada.lovelace.1815", "username": "ada.lovelace.1815"}),
        ("password", {"password": "pw\0" * 6}),
    ],
)
async def test_a_bad_registration_names_its_field_and_makes_nobody(
    service: Service, field: str, values: dict[str, str]
) -> None:
    before = await people_of(service)

    refused = await refusal(register(service, **{"username": new_name(), **values}))

    assert (refused.verdict, refused.fields) == (INVALID, {field})
    assert await people_of(service) == before


HOSTILE = [
    "'; DROP TABLE person; --",
    '" OR 1=1 --',
    "{{7*7}}${7*7}#{7*7}",
    "*)(uid=*))(|(uid=*",
    "$(reboot)`reboot`",
    "<script>alert(1)</script>",
    "%s%n%00",
    "\0",
    "\r\nlevel=error injected=yes",
    "\x1b[2J",
    "\u202e\u2066\u200b",
    "\U0010ffff\ufffe\ue000",
    "\u0130\u1e9e\ufb03\u0345",
    "a\u0300" * 100_000,
    "x" * 500_000,
]


@pytest.mark.row("S59")
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
async def test_whatever_is_typed_is_text_or_refused(service: Service, logs: Logs, text: str) -> None:
    me = await somebody(service)
    before = await people_of(service)
    logs.clear()

    calls: list[Awaitable[object]] = [
        register(service, text, password="too short"),
        register(service, new_name(), email=text, password="too short"),
        register(service, new_name(), display_name=text, password="too short"),
        register(service, new_name(), password=text[:1000] + "\0"),
        me.change("email", email=f"{text}@example..org", current_password=PASSWORD),
        me.change(text),
        me.change_password(PASSWORD, text[:10] + "\0"),
        me.my_sessions(page_token=text),
        me.my_sessions(page_size=-1),
        me.end(text),
    ]
    for call in calls:
        assert (await refusal(call)).verdict == INVALID
    for wrong in (me.change_password(text, NEW_PASSWORD), me.leave(text), service.login(text, PASSWORD)):
        assert (await refusal(wrong)).verdict in (INVALID, WRONG)
    try:
        assert (await me.change(display_name=text)).display_name == unicodedata.normalize("NFC", text)
    except grpc.aio.AioRpcError as error:
        assert Refusal.of(error).verdict == INVALID  # noqa: PT017 -- taken as it is, or refused

    assert [row.id for row in await people_of(service)] == [row.id for row in before]
    assert not [line for line in logs.lines if line["level"] not in ("debug", "info")]


@pytest.mark.row("C1", "E3", "S58")
async def test_a_taken_name_or_address_is_named_however_it_is_spelt(service: Service) -> None:
    name = f"scope{uuid4().hex[:8]}"
    await register(service, name, email=f"{name}@example.org")

    for alike in (name.upper(), f"\uff53{name[1:]}"):
        refused = await refusal(register(service, alike))
        assert (refused.verdict, refused.fields) == (TAKEN, {"username"})
    refused = await refusal(register(service, new_name(), email=f"{name.upper()}@EXAMPLE.org"))
    assert (refused.verdict, refused.fields) == (TAKEN, {"email"})
    assert name not in refused.message


@pytest.mark.row("C1")
@pytest.mark.parametrize("field", ["username", "email"])
async def test_of_many_who_register_one_name_or_address_at_once_one_does(service: Service, field: str) -> None:
    name = new_name()
    address = f"{name}@example.org"

    async def once(number: int) -> Refusal | users_pb2.User:
        try:
            if field == "username":
                return await register(service, (name, name.upper())[number % 2])
            return await register(service, new_name(), email=address)
        except grpc.aio.AioRpcError as error:
            return Refusal.of(error)

    outcomes = await asyncio.gather(*(once(number) for number in range(6)))

    refused = [each for each in outcomes if isinstance(each, Refusal)]
    assert len(refused) == 5
    assert {(each.verdict, *each.fields) for each in refused} == {(TAKEN, field)}


@pytest.mark.row("B1")
async def test_a_person_signs_in_by_an_address_once_it_was_shown_to_be_theirs(service: Service) -> None:
    name = new_name()
    made = await register(service, name, email=f"{name}@example.org")

    assert (await refusal(service.login(f"{name}@example.org", PASSWORD))).verdict == WRONG
    await verify_address(service, made.user_id)

    for spelling in (f"{name}@example.org", f"{name.upper()}@Example.ORG", name):
        assert (await sign_in(service, spelling)).person_id == made.user_id


@pytest.mark.row("B1")
async def test_nobody_stands_in_the_way_of_an_address_by_taking_it_for_a_name(service: Service) -> None:
    name = new_name()
    made = await register(service, name, email=f"{name}@example.org")
    await verify_address(service, made.user_id)

    refused = await refusal(register(service, f"{name}@example.org", email=f"{name}@example.org"))
    of_admin = await refusal((await administrator(service)).create(f"{name.upper()}@example.org"))

    assert (refused.verdict, of_admin.verdict) == (TAKEN, TAKEN)
    assert (await sign_in(service, f"{name}@example.org")).person_id == made.user_id


@pytest.mark.row("E9")
async def test_where_addresses_must_be_verified_sign_in_waits_and_says_so_to_the_owner_only(start: Start) -> None:
    service = await start(require_verified_email="true")
    name = new_name()

    without = await refusal(register(service, name))
    made = await register(service, name, email=f"{name}@example.org")

    assert (without.verdict, without.fields) == (INVALID, {"email"})
    assert (await refusal(service.login(name, "not the password"))).verdict == WRONG
    waits = await refusal(service.login(name, PASSWORD))
    assert waits.verdict == ("FAILED_PRECONDITION", "EMAIL_NOT_VERIFIED")
    assert ("session.refused", "refused", "EMAIL_NOT_VERIFIED") in await events_on(service, made.user_id)
    await verify_address(service, made.user_id)
    me = await sign_in(service, name)
    assert (await refusal(me.change("email", current_password=PASSWORD))).fields == {"user.email"}
    assert (await me.change(email=f"new-{name}@example.org", current_password=PASSWORD)).email_verified is False
    assert (await refusal(service.login(name, PASSWORD))).reason == "EMAIL_NOT_VERIFIED"


@pytest.mark.row("C3", "E5")
async def test_a_facilitys_person_reads_what_the_facility_tells(service: Service) -> None:
    me = await sign_in(service, "user1001", None)

    shown = await me.read()

    assert (shown.user_id, shown.provider, shown.username) == (me.person_id, "uows", "user1001")
    assert (shown.user_number, list(shown.roles), shown.email) == (1001, ["user"], "")


@pytest.mark.row("C3")
async def test_a_person_changes_what_others_see(service: Service) -> None:
    me = await somebody(service)

    changed = await me.change(display_name="Zoe\u0308")

    assert changed.display_name == "Zo\u00eb"
    assert changed == await me.read()
    assert ("person.updated", "success", "") in await events_on(service, me.person_id)


@pytest.mark.row("C9")
@pytest.mark.parametrize(
    "paths",
    [
        (),
        ("roles",),
        ("level",),
        ("state",),
        ("username",),
        ("user_id",),
        ("user_number",),
        ("email_verified",),
        ("must_change_password",),
        ("display_name", "roles"),
        ("display_name.x",),
        ("*",),
        ("user.display_name",),
        ("",),
    ],
)
async def test_a_mask_with_anything_else_changes_nothing(service: Service, paths: tuple[str, ...]) -> None:
    me = await somebody(service)
    before = await me.read()

    request = users_pb2.UpdateMeRequest(
        user=users_pb2.User(
            display_name="Root", roles=["admin"], level=0, email_verified=True, username="root", user_number=1
        ),
        update_mask=FieldMask(paths=paths),
        current_password=PASSWORD,
    )
    refused = await refusal(me.users.UpdateMe(request, metadata=me.metadata))

    assert (refused.verdict, refused.fields) == (INVALID, {"update_mask"})
    assert await me.read() == before


@pytest.mark.row("C3", "B5")
async def test_a_new_address_wants_the_password_and_is_not_verified(service: Service) -> None:
    name = new_name()
    me = await somebody(service, email=f"{name}@example.org")
    await verify_address(service, me.person_id)

    missing = await refusal(me.change(email=f"new-{name}@example.org"))
    wrong = await refusal(me.change(email=f"new-{name}@example.org", current_password="not the password"))
    bad = await refusal(me.change(email="a" * 400 + "@example.org", current_password=PASSWORD))
    assert (missing.verdict, missing.fields) == (INVALID, {"current_password"})
    assert wrong.verdict == WRONG
    assert (bad.verdict, bad.fields) == (INVALID, {"user.email"})
    assert (await me.read()).email_verified
    changed = await me.change(email=f"new-{name}@example.org", current_password=PASSWORD)

    assert (changed.email, changed.email_verified) == (f"new-{name}@example.org", False)
    for address in (f"{name}@example.org", f"new-{name}@example.org"):
        assert (await refusal(service.login(address, PASSWORD))).verdict == WRONG
    told = await events_on(service, me.person_id)
    assert ("person.updated", "refused", "BAD_CREDENTIALS") in told
    assert ("person.updated", "success", "") in told
    assert (await me.change("email", current_password=PASSWORD)).email == ""


async def test_a_new_address_that_is_anothers_is_refused(service: Service) -> None:
    name, me = new_name(), await somebody(service)
    await register(service, name, email=f"{name}@example.org")

    refused = await refusal(me.change(email=f"{name.upper()}@example.org", current_password=PASSWORD))

    assert (refused.verdict, refused.fields) == (TAKEN, {"user.email"})
    assert (await me.read()).email == ""


async def test_what_the_facility_keeps_is_changed_there(service: Service, facility: Facility) -> None:
    me = await sign_in(service, "user1001", None)
    asked = facility.hits["/v1/sessions"]

    refusals = [
        await refusal(me.change(display_name="Ada")),
        await refusal(me.change(email="ada@example.org", current_password="user1001-password")),
        await refusal(me.change_password("user1001-password", NEW_PASSWORD)),
    ]

    assert [each.verdict for each in refusals] == [STATE] * 3
    assert facility.hits["/v1/sessions"] == asked


@pytest.mark.row("C9", "S45")
async def test_a_new_password_ends_the_other_sessions_and_keeps_this_one(service: Service) -> None:
    me = await somebody(service)
    name = (await me.read()).username
    other = await service.login(name, PASSWORD)
    stranger = await somebody(service)

    assert await me.change_password(PASSWORD, NEW_PASSWORD) == 1

    assert (await refusal(service.verify(other.access_token))).verdict == REVOKED
    assert (await refusal(service.refresh(other.refresh_token))).reason == "REFRESH_TOKEN_REVOKED"
    assert (await me.read()).user_id == me.person_id
    assert (await stranger.read()).user_id == stranger.person_id
    assert (await refusal(service.login(name, PASSWORD))).verdict == WRONG
    assert (await sign_in(service, name, NEW_PASSWORD)).person_id == me.person_id
    told = await events_on(service, me.person_id)
    assert told.count(("password.changed", "success", "")) == 1
    assert told.count(("session.ended", "success", "password")) == 1


@pytest.mark.row("S45")
async def test_whoever_signs_in_with_the_old_password_while_it_is_changed_is_not_left_inside(service: Service) -> None:
    me = await somebody(service)
    name = (await me.read()).username

    async def sign_in_by_the_old_one() -> auth_pb2.LoginResponse | None:
        try:
            return await service.login(name, PASSWORD)
        except grpc.aio.AioRpcError as error:
            assert Refusal.of(error).verdict == WRONG  # noqa: PT017 -- either is fine, but nothing else
            return None

    pairs, _ = await asyncio.gather(
        asyncio.gather(*(sign_in_by_the_old_one() for _ in range(12))), me.change_password(PASSWORD, NEW_PASSWORD)
    )

    for pair in pairs:
        if pair is not None:
            assert (await refusal(service.refresh(pair.refresh_token))).reason == "REFRESH_TOKEN_REVOKED"
            assert (await refusal(service.verify(pair.access_token))).verdict == REVOKED
    assert [each.is_current for each in (await me.my_sessions()).sessions] == [True]


@pytest.mark.row("E8", "S56")
@pytest.mark.parametrize(
    ("present", "new", "verdict", "field"),
    [
        ("not the password", NEW_PASSWORD, WRONG, ""),
        ("", NEW_PASSWORD, INVALID, "current_password"),
        ("pw\0", NEW_PASSWORD, INVALID, "current_password"),
        (PASSWORD, "", INVALID, "new_password"),
        (PASSWORD, "too short", INVALID, "new_password"),
        (PASSWORD, "passwordpassword", INVALID, "new_password"),
        (PASSWORD, PASSWORD, INVALID, "new_password"),
    ],
)
async def test_a_password_is_changed_only_with_the_present_one_and_for_a_good_one(
    service: Service, present: str, new: str, verdict: tuple[str, str], field: str
) -> None:
    me = await somebody(service)
    name = (await me.read()).username
    other = await service.login(name, PASSWORD)

    refused = await refusal(me.change_password(present, new))

    assert refused.verdict == verdict
    assert not field or refused.fields == {field}
    assert (await service.verify(other.access_token)).subject == me.person_id
    assert (await sign_in(service, name)).person_id == me.person_id


@pytest.mark.row("E5", "E7")
async def test_whoever_deletes_their_account_is_out_and_their_name_and_address_stay_taken(service: Service) -> None:
    name = new_name()
    await register(service, name, email=f"{name}@example.org")
    me, other = await sign_in(service, name), await service.login(name, PASSWORD)
    await verify_address(service, me.person_id)

    assert (await refusal(me.leave("not the password"))).verdict == WRONG
    await me.leave(PASSWORD)

    assert (await refusal(me.read())).verdict == REVOKED
    assert (await refusal(me.leave(PASSWORD))).verdict == REVOKED
    assert (await refusal(service.refresh(other.refresh_token))).reason == "REFRESH_TOKEN_REVOKED"
    assert (await refusal(service.login(name, PASSWORD))).verdict == WRONG
    assert (await refusal(register(service, name))).verdict == TAKEN
    assert (await refusal(register(service, new_name(), email=f"{name}@example.org"))).verdict == TAKEN
    told = await events_on(service, me.person_id)
    assert ("person.deleted", "refused", "BAD_CREDENTIALS") in told
    assert told.count(("person.deleted", "success", "")) == 1
    assert told.count(("session.ended", "success", "deleted")) == 2
    assert told[-1] == ("session.refused", "refused", "BAD_CREDENTIALS")


@pytest.mark.row("E7")
async def test_an_address_that_whoever_left_never_verified_is_free_for_whose_it_is(service: Service) -> None:
    address = f"{new_name()}@example.org"
    for name in (new_name(), address):
        me = await sign_in(service, (await register(service, name, email=address)).username)
        await me.leave(PASSWORD)

    assert (await register(service, new_name(), email=address)).email == address
    assert (await refusal(register(service, address, email=address))).verdict == TAKEN


async def test_of_several_deletions_at_once_one_is_done(service: Service) -> None:
    me = await somebody(service)

    async def once() -> str:
        try:
            await me.leave(PASSWORD)
        except grpc.aio.AioRpcError as error:
            return Refusal.of(error).reason
        return ""

    outcomes = sorted(await asyncio.gather(*(once() for _ in range(3))))

    assert outcomes[0] == ""
    assert set(outcomes[1:]) <= {"TOKEN_REVOKED", "BAD_CREDENTIALS"}
    assert (await events_on(service, me.person_id)).count(("person.deleted", "success", "")) == 1


async def test_a_facilitys_person_shows_the_facilitys_password_to_be_forgotten_here(
    start: Start, facility: Facility
) -> None:
    service = await start()
    facility.knows("grace", "grace-password", number=4713)
    me = await sign_in(service, "grace", None)

    assert (await refusal(me.leave("not the password"))).verdict == WRONG
    await me.leave("grace-password")

    assert (await refusal(service.login("grace"))).verdict == WRONG


@pytest.mark.row("E10")
async def test_the_last_administrator_does_not_delete_themselves(start: Start) -> None:
    service = await start()
    acting = await administrator(service)
    last = Me(service, acting.token, acting.person_id)
    password = "correct horse battery staple"

    assert (await refusal(last.leave(password))).verdict == LAST
    assert (await last.read()).level == 0
    second = await acting.create(roles=[])
    await acting.service.sql(
        sa.insert(schema.person_role).values(
            person_id=UUID(second.user_id), role="admin", granted_at=sa.func.current_timestamp()
        )
    )
    await last.leave(password)

    other = await sign_in(service, second.username)
    assert (await refusal(other.leave(PASSWORD))).verdict == LAST


@pytest.mark.row("C12")
async def test_a_program_is_called_what_can_be_printed_of_its_name(service: Service) -> None:
    me = await somebody(service)
    called = ("grpc.primary_user_agent", "ham\x07\x1b[2J \u202e\u00fc" + "x" * 300)

    async with grpc.aio.insecure_channel(str(service.where.grpc), options=[called]) as channel:
        await service.at(channel).login((await me.read()).username, PASSWORD)

    newest = (await me.my_sessions()).sessions[0]
    assert newest.user_agent == ("ham[2J \u00fc" + "x" * 300)[:255]


@pytest.mark.row("C12")
async def test_a_person_sees_their_sessions_newest_first_and_which_is_this_one(service: Service) -> None:
    me = await somebody(service)
    name = (await me.read()).username
    later = [(await service.login(name, PASSWORD)).session_id for _ in range(3)]
    await somebody(service)

    listed = (await me.my_sessions()).sessions

    assert [each.session_id for each in listed[:3]] == later[::-1]
    assert [each.is_current for each in listed] == [False, False, False, True]
    assert all("grpc" in each.user_agent and each.address == "127.0.0.1" for each in listed)
    assert all(each.expires_at.ToSeconds() > each.started_at.ToSeconds() for each in listed)
    pages, page_token = [], ""
    while True:
        page = await me.my_sessions(page_size=3, page_token=page_token)
        pages.append([each.session_id for each in page.sessions])
        page_token = page.next_page_token
        if not page_token:
            break
        stranger = await somebody(service)
        assert (await refusal(stranger.my_sessions(page_token=page_token))).fields == {"page_token"}
    assert pages == [[each.session_id for each in listed[:3]], [listed[3].session_id]]


@pytest.mark.row("C12")
async def test_a_person_ends_their_own_sessions_and_nobody_elses(service: Service) -> None:
    me, stranger = await somebody(service), await somebody(service)
    name = (await me.read()).username
    one, two, three = [await service.login(name, PASSWORD) for _ in range(3)]
    theirs = (await stranger.my_sessions()).sessions[0].session_id

    await me.end(one.session_id)
    assert (await refusal(me.end(one.session_id))).verdict == NOT_FOUND
    assert (await refusal(me.end(theirs))).verdict == NOT_FOUND
    assert (await refusal(me.end(str(uuid4())))).verdict == NOT_FOUND
    for garbage in ("", "x", "{" + two.session_id + "}", "\u0661" * 36):
        assert (await refusal(me.end(garbage))).fields == {"session_id"}

    assert (await refusal(service.verify(one.access_token))).verdict == REVOKED
    assert (await service.verify(two.access_token)).subject == me.person_id
    assert await me.end_others() == 2
    assert await me.end_others() == 0
    for ended in (two, three):
        assert (await refusal(service.refresh(ended.refresh_token))).reason == "REFRESH_TOKEN_REVOKED"
    assert [each.is_current for each in (await me.my_sessions()).sessions] == [True]
    assert (await stranger.read()).user_id == stranger.person_id


@pytest.mark.row("E21")
async def test_a_person_whose_account_is_gone_is_nobody_however_good_the_token(start: Start) -> None:
    service = await start()
    disabled, purged = await somebody(service), await somebody(service)
    person = schema.person
    await service.sql(
        sa.update(person)
        .where(person.c.id == UUID(disabled.person_id))
        .values(disabled_at=sa.func.current_timestamp()),
        sa.delete(person).where(person.c.id == UUID(purged.person_id)),
    )

    for me in (disabled, purged):
        deeds = [
            me.read(),
            me.change(display_name="Ada"),
            me.change_password(PASSWORD, NEW_PASSWORD),
            me.leave(PASSWORD),
        ]
        assert [(await refusal(each)).verdict for each in deeds] == [REVOKED] * 4


async def test_a_service_has_no_account_of_its_own(service: Service) -> None:
    users = Me(service, "", "").users
    metadata = bearer("portal-api-key-of-the-tests")

    refused = await refusal(users.GetMe(users_pb2.GetMeRequest(), metadata=metadata))

    assert refused.verdict == ("PERMISSION_DENIED", "PERMISSION_DENIED")
