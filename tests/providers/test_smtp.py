"""Mail leaves by SMTP, encrypted, within its deadline; and what goes wrong is told without anybody's address."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from auth_service.domain.mail import Mail, NotSent, Refused
from auth_service.domain.mailed_tokens import Purpose
from auth_service.providers.smtp import Smtp, SmtpTls
from tests.support.certificates import Authority
from tests.support.conditions import eventually
from tests.support.mail_server import MailServer, running_mail_server

ADDRESS = "ada@example.org"


def a_mail(to: str = ADDRESS) -> Mail:
    return Mail(uuid4(), Purpose.PASSWORD_RESET, to, "Grüße", "Hello,\n\n.\nZoë\n", datetime.now(UTC))


def smtp(server: MailServer, *, tls: SmtpTls = SmtpTls.NONE, deadline: float = 10, **more: str | None) -> Smtp:
    return Smtp(
        "127.0.0.1",
        server.port,
        tls=tls,
        sender="Facility sign-in <auth@facility.example>",
        deadline=timedelta(seconds=deadline),
        **more,
    )


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with running_mail_server() as server:
        yield server


async def test_what_arrives_is_what_was_sent(server: MailServer) -> None:
    mail = a_mail()

    await smtp(server).send(mail)

    [received] = server.received
    assert (received.sender, received.recipient) == ("auth@facility.example", ADDRESS)
    assert received.text == mail.text
    assert received.message["From"] == "Facility sign-in <auth@facility.example>"
    assert received.message["To"] == ADDRESS
    assert received.message["Subject"] == "Grüße"
    assert received.message["Message-ID"] == f"<{mail.id}@facility.example>"
    assert received.message["Auto-Submitted"] == "auto-generated"
    assert received.message["Date"].datetime.tzinfo is not None


async def test_a_domain_goes_out_as_servers_know_it(server: MailServer) -> None:
    await smtp(server).send(a_mail("ada@bücher.example"))

    assert server.received[0].recipient == "ada@xn--bcher-kva.example"


@pytest.mark.parametrize("tls", [SmtpTls.STARTTLS, SmtpTls.TLS])
async def test_the_connection_is_encrypted_before_anything_is_said(tmp_path: Path, tls: SmtpTls) -> None:
    authority = Authority("mail")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    context = server_context(authority, tmp_path)
    at_once = tls is SmtpTls.TLS
    async with running_mail_server(tls=context, is_encrypted_at_once=at_once, offers=("AUTH PLAIN",)) as server:
        ours = smtp(server, tls=tls, username="auth", password="mail-password", ca_file=str(tmp_path / "ca.pem"))
        await ours.send(a_mail())

        assert server.received[0].is_encrypted
        assert server.received[0].credentials == ("auth", "mail-password")


async def test_a_server_that_cannot_show_who_it_is_gets_nothing(tmp_path: Path) -> None:
    context = server_context(Authority("mail"), tmp_path)
    (tmp_path / "ca.pem").write_bytes(Authority("another").pem)
    async with running_mail_server(tls=context) as server:
        for trusted in (None, str(tmp_path / "ca.pem")):
            with pytest.raises(NotSent):
                await smtp(server, tls=SmtpTls.STARTTLS, ca_file=trusted).send(a_mail())

        assert server.received == []


async def test_a_server_that_offers_no_encryption_gets_nothing(server: MailServer) -> None:
    with pytest.raises(NotSent):
        await smtp(server, tls=SmtpTls.STARTTLS).send(a_mail())

    assert server.received == []


@pytest.mark.parametrize(
    ("command", "answer", "outcome"),
    [
        ("connect", "421 not now", NotSent),
        ("connect", "554 go away", NotSent),
        ("MAIL", "451 later", NotSent),
        ("MAIL", "550 you never", NotSent),
        ("RCPT", "450 mailbox of ada@example.org is busy", NotSent),
        ("RCPT", "550 ada@example.org is unknown", Refused),
        ("DATA", "452 full", NotSent),
        ("DATA", "554 no", Refused),
        (".", "451 later", NotSent),
        (".", "554 ada@example.org does not want it", Refused),
        ("RCPT", "rubbish", NotSent),
    ],
)
async def test_what_is_said_of_the_mail_itself_may_be_for_ever_and_anything_else_is_not(
    server: MailServer, command: str, answer: str, outcome: type[Exception]
) -> None:
    server.answers[command] = answer

    with pytest.raises(outcome) as caught:
        await smtp(server).send(a_mail())

    assert "ada" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("command", ["connect", "EHLO", "RCPT", "."])
async def test_a_silent_server_holds_a_mail_no_longer_than_the_deadline(server: MailServer, command: str) -> None:
    server.answers[command] = ""

    with pytest.raises(NotSent, match="in time"):
        await smtp(server, deadline=0.3).send(a_mail())


async def test_a_mail_that_was_taken_is_sent_though_the_server_says_no_goodbye(server: MailServer) -> None:
    server.answers["QUIT"] = ""

    await smtp(server, deadline=5).send(a_mail())

    assert len(server.received) == server.kept_waiting == 1


@pytest.mark.parametrize("command", ["EHLO", "RCPT", "."])
async def test_whoever_leaves_does_not_wait_for_a_silent_server(server: MailServer, command: str) -> None:
    server.answers[command] = ""
    sending = asyncio.create_task(smtp(server, deadline=300).send(a_mail()))
    await eventually(lambda: server.kept_waiting == 1)

    sending.cancel()

    async with asyncio.timeout(30):
        await asyncio.wait([sending])
    assert sending.cancelled()


async def test_nobody_there_is_worth_trying_again() -> None:
    async with running_mail_server() as server:
        pass

    with pytest.raises(NotSent):
        await smtp(server).send(a_mail())


async def test_an_address_that_the_server_cannot_spell_is_refused(server: MailServer) -> None:
    with pytest.raises(Refused):
        await smtp(server).send(a_mail("zoë@example.org"))


def server_context(authority: Authority, folder: Path) -> ssl.SSLContext:
    pair = authority.issue("mail.example")
    certificate, key = folder / "mail.pem", folder / "mail.key"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
