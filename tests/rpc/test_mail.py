"""What people do by mail: the tokens that it brings, and how it gets out."""

import asyncio
import hashlib
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from auth_api.v1 import users_pb2, users_pb2_grpc

from auth_service.demo import Facility
from auth_service.storage import schema
from tests.rpc.conftest import KINDS, Start
from tests.support.administering import PASSWORD, Acting, administrator, found, new_name, signed_in
from tests.support.conditions import eventually
from tests.support.mail_server import MailServer, Received, running_mail_server
from tests.support.service import Databases, Logs, Service, refusal, running_service

NEW_PASSWORD = "nine walnuts under a wicker chair"
INVALID = ("INVALID_ARGUMENT", "INVALID_FIELD")
DEAD = ("UNAUTHENTICATED", "ACTION_TOKEN_INVALID")
LINKS = "https://portal.facility.example/account"


def smtp_settings(post: MailServer) -> dict[str, str]:
    return {
        "smtp_address": f"127.0.0.1:{post.port}",
        "smtp_tls": "none",
        "mail_from": "Facility sign-in <auth@facility.example>",
        "mail_link_base": LINKS,
    }


@pytest.fixture(scope="module")
async def post() -> AsyncIterator[MailServer]:
    async with running_mail_server() as post:
        yield post


@pytest.fixture(scope="module", params=KINDS)
async def mailing(
    request: pytest.FixtureRequest,
    databases: Databases,
    facility: Facility,
    logs: Logs,
    post: MailServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Service]:
    url = await databases.make(request.param)
    data_dir = tmp_path_factory.mktemp("data")
    async with running_service(url, facility=facility, data_dir=data_dir, waits=True, **smtp_settings(post)) as service:
        yield service


class Somebody:
    """A person with an address, and the service's public door."""

    def __init__(self, service: Service, post: MailServer, user: users_pb2.User) -> None:
        self.service = service
        self.post = post
        self.user = user
        self.mails = 0

    @property
    def users(self) -> "users_pb2_grpc.UserServiceAsyncStub":
        return users_pb2_grpc.UserServiceStub(self.service.channel)

    async def next_mail(self) -> Received:
        self.mails += 1
        mail = await self.post.mail_to(self.user.email, count=self.mails)
        self.service.secrets.add(mail.token)
        return mail

    async def forget(self) -> Received:
        await self.users.RequestPasswordReset(users_pb2.RequestPasswordResetRequest(email=self.user.email))
        return await self.next_mail()

    async def reset(self, token: str, password: str = NEW_PASSWORD) -> None:
        await self.users.ResetPassword(users_pb2.ResetPasswordRequest(token=token, new_password=password))

    async def ask_verification(self) -> Received:
        await self.users.RequestEmailVerification(users_pb2.RequestEmailVerificationRequest(email=self.user.email))
        return await self.next_mail()

    async def verify(self, token: str) -> None:
        await self.users.VerifyEmail(users_pb2.VerifyEmailRequest(token=token))

    async def shown(self) -> users_pb2.User:
        return await (await administrator(self.service)).get(self.user.user_id)

    async def events(self) -> list[str]:
        table = schema.audit_event
        rows = await found(
            self.service, sa.select(table.c.type, table.c.subject_id).order_by(table.c.transaction_number, table.c.id)
        )
        return [row.type for row in rows if str(row.subject_id) == self.user.user_id]

    async def a_while_ago(self, *, minutes: float = 2) -> None:
        """Their tokens were mailed so long ago."""
        made = datetime.now(UTC) - timedelta(minutes=minutes)
        await self.service.sql(sa.update(schema.action_token).values(created_at=made))


async def somebody(service: Service, post: MailServer, *, email: str = "", **fields: Any) -> Somebody:
    admin = await administrator(service)
    user = await admin.create(email=email or f"{new_name()}@example.org", **fields)
    return Somebody(service, post, user)


def door(service: Service) -> "users_pb2_grpc.UserServiceAsyncStub":
    return users_pb2_grpc.UserServiceStub(service.channel)


@pytest.mark.row("C10")
async def test_a_forgotten_password_is_reset_by_mail(mailing: Service, post: MailServer) -> None:
    person = await somebody(mailing, post, must_change_password=False)
    before = await mailing.login(person.user.username, PASSWORD)

    mail = await person.forget()
    await person.reset(mail.token)

    assert mail.message["Subject"] == "Reset your password"
    assert f"{LINKS}/reset-password#token={mail.token}" in mail.text
    assert "auth.facility.example" in mail.text
    assert "within 1 hour." in mail.text
    assert (await refusal(mailing.verify(before.access_token))).reason == "TOKEN_REVOKED"
    assert (await refusal(mailing.refresh(before.refresh_token))).code.name == "UNAUTHENTICATED"
    assert (await refusal(mailing.login(person.user.username, PASSWORD))).reason == "BAD_CREDENTIALS"
    await mailing.login(person.user.username, NEW_PASSWORD)
    assert (await person.shown()).email_verified
    assert await person.events() == [
        "person.created", "session.started", "password.reset_requested", "password.reset", "email.verified",
        "session.ended", "session.refused", "session.started",
    ]  # fmt: skip


@pytest.mark.row("C10")
async def test_a_password_that_had_to_be_changed_is_changed_by_the_reset(mailing: Service, post: MailServer) -> None:
    person = await somebody(mailing, post, must_change_password=True)

    await person.reset((await person.forget()).token)

    assert not (await person.shown()).must_change_password
    await mailing.login(person.user.username, NEW_PASSWORD)


@pytest.mark.row("C10")
async def test_somebody_without_a_password_gets_one_by_mail(mailing: Service, post: MailServer) -> None:
    person = await somebody(mailing, post, password="")

    await person.reset((await person.forget()).token)

    await mailing.login(person.user.username, NEW_PASSWORD)


@pytest.mark.row("C10")
async def test_a_reset_token_works_once(mailing: Service, post: MailServer) -> None:
    person = await somebody(mailing, post)
    token = (await person.forget()).token
    await person.reset(token)

    again = await refusal(person.reset(token, "eleven herons on a copper roof"))

    assert again.verdict == DEAD
    await mailing.login(person.user.username, NEW_PASSWORD)


@pytest.mark.row("C10")
async def test_of_several_who_bring_one_token_at_once_one_gets_through(mailing: Service, post: MailServer) -> None:
    person = await somebody(mailing, post)
    token = (await person.forget()).token
    passwords = [f"{NEW_PASSWORD} {number}" for number in range(8)]

    outcomes = await asyncio.gather(*(person.reset(token, each) for each in passwords), return_exceptions=True)

    [winner] = [password for password, outcome in zip(passwords, outcomes, strict=True) if outcome is None]
    await mailing.login(person.user.username, winner)


@pytest.mark.row("C10")
async def test_a_weak_password_is_told_so_and_does_not_spend_the_token(mailing: Service, post: MailServer) -> None:
    person = await somebody(mailing, post)
    token = (await person.forget()).token

    for weak in ("short", "passwordpassword", f"{person.user.username}{person.user.username}", "x" * 1025, "nul\0" * 5):
        refused = await refusal(person.reset(token, weak))
        assert (refused.verdict, refused.fields) == (INVALID, {"new_password"})

    await person.reset(token)


@pytest.mark.row("C10")
async def test_a_token_dies_when_it_expires(mailing: Service, post: MailServer) -> None:
    person = await somebody(mailing, post)
    reset, verification = (await person.forget()).token, (await person.ask_verification()).token

    await mailing.sql(sa.update(schema.action_token).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))

    assert (await refusal(person.reset(reset))).verdict == DEAD
    assert (await refusal(person.verify(verification))).verdict == DEAD


@pytest.mark.row("C10")
async def test_a_reset_token_dies_when_the_password_changes(mailing: Service, post: MailServer) -> None:
    person = await somebody(mailing, post)
    token = (await person.forget()).token

    await (await administrator(mailing)).set_password(person.user.user_id, "eleven herons on a copper roof")

    assert (await refusal(person.reset(token))).verdict == DEAD
    await mailing.login(person.user.username, "eleven herons on a copper roof")


@pytest.mark.row("C11")
async def test_tokens_die_when_the_address_changes_and_live_when_only_its_spelling_does(
    mailing: Service, post: MailServer
) -> None:
    admin = await administrator(mailing)
    moved, respelt = await somebody(mailing, post), await somebody(mailing, post)
    reset, verification = (await moved.forget()).token, (await moved.ask_verification()).token
    kept = (await respelt.ask_verification()).token

    await admin.update(moved.user.user_id, "email", email=f"{new_name()}@example.org")
    await admin.update(respelt.user.user_id, "email", email=respelt.user.email.replace("n", "N", 1))

    assert (await refusal(moved.reset(reset))).verdict == DEAD
    assert (await refusal(moved.verify(verification))).verdict == DEAD
    await respelt.verify(kept)
    assert (await respelt.shown()).email_verified


@pytest.mark.row("C10")
async def test_a_token_is_good_for_its_person_and_its_purpose_alone(mailing: Service, post: MailServer) -> None:
    one, other = await somebody(mailing, post), await somebody(mailing, post)
    reset, verification = (await one.forget()).token, (await one.ask_verification()).token
    made_up = [
        verification,
        "",
        "x",
        "A" * 43,
        reset[:-1],
        reset + "A",
        reset[:-4] + "AAAA",
        "\0" * 43,
        "é" * 43,
        "A" * 900_000,
    ]

    for token in made_up:
        assert (await refusal(other.reset(token))).verdict == DEAD
    for token in [reset, *made_up[1:]]:
        assert (await refusal(other.verify(token))).verdict == DEAD

    await one.verify(verification)
    await one.reset(reset)
    await mailing.login(other.user.username, PASSWORD)
    assert not (await other.shown()).email_verified


@pytest.mark.row("C10")
async def test_a_disabled_person_s_token_is_dead(mailing: Service, post: MailServer) -> None:
    person = await somebody(mailing, post)
    token = (await person.forget()).token

    await (await administrator(mailing)).disable(person.user.user_id)

    assert (await refusal(person.reset(token))).verdict == DEAD


@pytest.mark.row("C10", "C11")
async def test_no_answer_tells_whether_an_address_is_known(mailing: Service, post: MailServer) -> None:
    """And only whom it is of use to gets a mail."""
    admin = await administrator(mailing)
    known, disabled, deleted, verified = [await somebody(mailing, post) for _ in range(4)]
    await admin.disable(disabled.user.user_id)
    await admin.delete(deleted.user.user_id)
    await admin.update(verified.user.user_id, "email_verified", email_verified=True)
    addresses = ["nobody@example.org", *(each.user.email for each in (disabled, deleted, verified, known))]

    for address in addresses:
        answer = await door(mailing).RequestEmailVerification(users_pb2.RequestEmailVerificationRequest(email=address))
        assert answer == users_pb2.RequestEmailVerificationResponse()
    for address in [each for each in addresses if each != verified.user.email]:
        reset = await door(mailing).RequestPasswordReset(users_pb2.RequestPasswordResetRequest(email=address))
        assert reset == users_pb2.RequestPasswordResetResponse()

    await post.mail_to(known.user.email, count=2)
    assert not any(post.to(each) for each in addresses[:-1])


@pytest.mark.parametrize(
    "address", ["", "ada", "ada@", "a" * 400 + "@example.org", "ada@example.org\r\nBcc: b@c.org", "\0"]
)
async def test_what_is_no_address_is_refused(mailing: Service, address: str) -> None:
    for call in (
        door(mailing).RequestPasswordReset(users_pb2.RequestPasswordResetRequest(email=address)),
        door(mailing).RequestEmailVerification(users_pb2.RequestEmailVerificationRequest(email=address)),
    ):
        refused = await refusal(call)
        assert (refused.verdict, refused.fields) == (INVALID, {"email"})


@pytest.mark.row("C10")
async def test_nobody_is_flooded_and_a_new_mail_leaves_the_former_token_good(
    mailing: Service, post: MailServer
) -> None:
    person = await somebody(mailing, post)
    request = users_pb2.RequestPasswordResetRequest(email=person.user.email)
    first = (await person.forget()).token
    await asyncio.gather(*(person.users.RequestPasswordReset(request) for _ in range(10)))
    await person.a_while_ago()

    second = (await person.forget()).token

    assert len(post.to(person.user.email)) == 2
    await person.reset(first)
    assert (await refusal(person.reset(second))).verdict == DEAD


@pytest.mark.row("C10")
async def test_who_asks_again_and_again_neither_keeps_a_person_out_nor_mails_more_than_five_times_an_hour(
    mailing: Service, post: MailServer
) -> None:
    person = await somebody(mailing, post)
    request = users_pb2.RequestPasswordResetRequest(email=person.user.email)
    tokens = []
    for _ in range(5):
        tokens.append((await person.forget()).token)
        await person.a_while_ago()
    for _ in range(3):
        await person.users.RequestPasswordReset(request)

    await person.reset(tokens[0])

    assert len(post.to(person.user.email)) == 5
    for token in tokens:
        assert (await refusal(person.reset(token))).verdict == DEAD


@pytest.mark.row("C11")
async def test_accounts_that_claim_one_address_after_another_do_not_flood_it(
    mailing: Service, post: MailServer
) -> None:
    address = f"{new_name()}@example.org"
    for _ in range(8):
        request = users_pb2.RegisterRequest(username=new_name(), password=PASSWORD, email=address)
        user = (await door(mailing).Register(request)).user
        me = await signed_in(mailing, user.username, PASSWORD)
        await me.users.DeleteMe(users_pb2.DeleteMeRequest(password=PASSWORD), metadata=me.metadata)
    # What waits for its minute leaves now.
    await mailing.sql(sa.update(schema.mail).values(due_at=datetime.now(UTC)))

    await eventually_true(mailing, sa.select(sa.func.count()).select_from(schema.mail), 0)

    assert len(post.to(address)) == 5


@pytest.mark.row("C11", "E9")
async def test_who_registers_shows_that_the_address_is_theirs(mailing: Service, post: MailServer) -> None:
    request = users_pb2.RegisterRequest(username=new_name(), password=PASSWORD, email=f"{new_name()}@example.org")
    person = Somebody(mailing, post, (await door(mailing).Register(request)).user)
    assert not person.user.email_verified

    mail = await person.next_mail()
    await person.verify(mail.token)

    assert f"{LINKS}/verify-email#token={mail.token}" in mail.text
    assert (await person.shown()).email_verified
    assert (await refusal(person.verify(mail.token))).verdict == DEAD
    assert [each for each in await person.events() if each.startswith("email.")] == [
        "email.verification_requested",
        "email.verified",
    ]


@pytest.mark.row("C11")
async def test_a_new_address_has_to_be_verified_and_is_mailed_no_sooner_than_a_minute_after_the_last(
    mailing: Service, post: MailServer
) -> None:
    request = users_pb2.RegisterRequest(username=new_name(), password=PASSWORD, email=f"{new_name()}@example.org")
    person = Somebody(mailing, post, (await door(mailing).Register(request)).user)
    former = (await person.next_mail()).token
    me = await signed_in(mailing, person.user.username, PASSWORD)
    addresses = [f"{new_name()}@example.org" for _ in range(3)]

    for address in addresses:
        await move(me, address)
    waiting = await found(mailing, sa.select(schema.mail.c.due_at, schema.mail.c.person_id))
    [due_at] = [row.due_at for row in waiting if str(row.person_id) == person.user.user_id]
    await mailing.sql(sa.update(schema.mail).values(due_at=datetime.now(UTC)))
    mail = await post.mail_to(addresses[-1])

    assert due_at > datetime.now(UTC) + timedelta(seconds=30)
    assert not any(post.to(each) for each in addresses[:-1])
    assert (await refusal(person.verify(former))).verdict == DEAD
    await person.verify(mail.token)
    assert (await person.shown()).email_verified


async def move(me: Acting, address: str) -> None:
    request = users_pb2.UpdateMeRequest(user=users_pb2.User(email=address), current_password=PASSWORD)
    request.update_mask.paths.append("email")
    await me.users.UpdateMe(request, metadata=me.metadata)


@pytest.mark.row("C10", "S91")
async def test_a_dump_of_the_database_and_the_log_hold_no_token(start: Start, logs: Logs) -> None:
    async with running_mail_server() as post:
        post.answers["."] = "451 later"
        service = await start(waits=True, **smtp_settings(post))
        person = await somebody(service, post)
        await person.users.RequestPasswordReset(users_pb2.RequestPasswordResetRequest(email=person.user.email))
        await eventually(lambda: bool(logs.named("mail.not_sent", person=person.user.user_id)))
        rows = [*await found(service, sa.select(schema.mail)), *await found(service, sa.select(schema.action_token))]
        dump = repr([tuple(row) for row in rows])
        del post.answers["."]
        await service.sql(sa.update(schema.mail).values(due_at=datetime.now(UTC)))
        token = (await person.next_mail()).token

        assert len(rows) == 2
        assert token not in dump
        assert "#token" not in dump
        assert hashlib.sha256(token.encode()).hexdigest() not in dump
        await person.reset(token)
        assert token not in logs.text
        assert person.user.email not in logs.text


@pytest.mark.row("C10")
async def test_a_mail_server_that_is_away_loses_nothing(start: Start, logs: Logs) -> None:
    async with running_mail_server() as post:
        service = await start(waits=True, **smtp_settings(post))
        people = [await somebody(service, post) for _ in range(3)]
        await post.go()
        for each in people:
            await each.users.RequestPasswordReset(users_pb2.RequestPasswordResetRequest(email=each.user.email))
        tried = sa.select(sa.func.count()).select_from(schema.mail).where(schema.mail.c.attempts > 0)
        await eventually_true(service, tried, 3)

        await post.come()
        await service.sql(sa.update(schema.mail).values(due_at=datetime.now(UTC)))

        for each in people:
            await each.reset((await each.next_mail()).token)
        await eventually_true(service, sa.select(sa.func.count()).select_from(schema.mail), 0)


async def eventually_true(service: Service, select: sa.Select[Any], value: int) -> None:
    async def is_so() -> bool:
        return [tuple(row) for row in await found(service, select)] == [(value,)]

    await eventually(is_so)


@pytest.mark.row("C10")
async def test_what_nobody_will_take_is_given_up_and_told(start: Start, logs: Logs) -> None:
    async with running_mail_server() as post:
        service = await start(waits=True, **smtp_settings(post))
        unknown, late = await somebody(service, post), await somebody(service, post)
        empty = sa.select(sa.func.count()).select_from(schema.mail)
        post.answers["RCPT"] = "550 no such mailbox"
        await unknown.users.RequestPasswordReset(users_pb2.RequestPasswordResetRequest(email=unknown.user.email))
        await eventually(lambda: len(logs.named("mail.refused", person=unknown.user.user_id)) == 1)
        await eventually_true(service, empty, 0)

        post.answers["RCPT"] = "450 busy"
        await late.users.RequestPasswordReset(users_pb2.RequestPasswordResetRequest(email=late.user.email))
        await eventually(lambda: len(logs.named("mail.not_sent", person=late.user.user_id)) == 1)
        yesterday = datetime.now(UTC) - timedelta(days=1)
        await service.sql(sa.update(schema.mail).values(created_at=yesterday, due_at=yesterday))
        await eventually(lambda: len(logs.named("mail.given_up", person=late.user.user_id)) == 1)
        await eventually_true(service, empty, 0)

        assert post.received == []


@pytest.mark.row("C10", "A22")
async def test_two_replicas_send_each_mail_once(start: Start) -> None:
    async with running_mail_server() as post:
        one = await start(waits=True, **smtp_settings(post))
        await start(waits=True, **smtp_settings(post))
        people = [await somebody(one, post) for _ in range(20)]

        for each in people:
            await each.users.RequestPasswordReset(users_pb2.RequestPasswordResetRequest(email=each.user.email))
        await eventually(lambda: len(post.received) >= len(people))
        await eventually_true(one, sa.select(sa.func.count()).select_from(schema.mail), 0)

        assert sorted(each.recipient for each in post.received) == sorted(each.user.email for each in people)


def read_folder(folder: Path) -> tuple[list[Path], str]:
    files = list(folder.iterdir())
    return files, "".join(each.read_text() for each in files)


@pytest.mark.row("C6", "C10")
async def test_without_a_mail_server_mail_is_in_a_folder_that_the_log_names(
    start: Start, logs: Logs, tmp_path: Path
) -> None:
    service = await start()
    person = await somebody(service, MailServer())
    logs.clear()

    await person.users.RequestPasswordReset(users_pb2.RequestPasswordResetRequest(email=person.user.email))
    await eventually(lambda: bool(logs.named("mail.in_folder")))

    [file], text = read_folder(tmp_path / "mail")
    [token] = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert person.user.email in text
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert logs.named("mail.in_folder", file=str(file))
    assert token not in logs.text
    await person.reset(token)
