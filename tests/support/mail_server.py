"""A stand-in for the mail server that takes a facility's mail: SMTP on loopback, with STARTTLS and AUTH where asked."""

import asyncio
import base64
import email
import email.policy
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import cast

from tests.support.conditions import eventually


@dataclass(frozen=True, slots=True)
class Received:
    sender: str
    recipient: str
    message: EmailMessage
    is_encrypted: bool
    credentials: tuple[str, str] | None

    @property
    def text(self) -> str:
        return cast(str, self.message.get_content()).replace("\r\n", "\n")

    @property
    def token(self) -> str:
        found = re.search(r"^.*(?:#token=|\s{4})([\w-]{43})$", self.text, re.MULTILINE)
        assert found is not None
        return found[1]


@dataclass(slots=True)
class MailServer:
    """`answers` replace what it would say to a command; "" is silence."""

    port: int = 0
    tls: ssl.SSLContext | None = None
    is_encrypted_at_once: bool = False
    offers: tuple[str, ...] = ()
    answers: dict[str, str] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    kept_waiting: int = 0
    """Commands that were met with silence."""
    _server: asyncio.Server | None = None
    _talking: set[asyncio.Task[None]] = field(default_factory=set)

    async def come(self) -> None:
        self._server = await asyncio.start_server(
            self._talk, "127.0.0.1", self.port, ssl=self.tls if self.is_encrypted_at_once else None
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def go(self) -> None:
        assert self._server is not None
        self._server.close()
        for each in self._talking:
            each.cancel()
        await asyncio.gather(*self._talking, return_exceptions=True)
        await self._server.wait_closed()

    def to(self, address: str) -> list[Received]:
        return [each for each in self.received if each.recipient == address]

    async def mail_to(self, address: str, *, count: int = 1) -> Received:
        """The latest of `count` mails to this address, once they are there."""
        await eventually(lambda: len(self.to(address)) >= count)
        assert len(self.to(address)) == count
        return self.to(address)[-1]

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        talking = asyncio.current_task()
        assert talking is not None
        self._talking.add(talking)
        try:
            await self._conversation(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            self._talking.discard(talking)
            writer.transport.abort()

    async def _conversation(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender, recipient, credentials = "", "", None
        is_encrypted = self.is_encrypted_at_once

        async def say(command: str, usual: str) -> str:
            answer = self.answers.get(command, usual)
            if not answer:
                self.kept_waiting += 1
                await asyncio.Event().wait()
            writer.write(f"{answer}\r\n".encode())
            await writer.drain()
            return answer

        await say("connect", "220 stand-in")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            command = line[:4].upper()
            match command:
                case "EHLO":
                    offers = ["stand-in", *self.offers, *(["STARTTLS"] if self.tls and not is_encrypted else [])]
                    ends = [f"250{' ' if each is offers[-1] else '-'}{each}" for each in offers]
                    await say(command, "\r\n".join(ends))
                case "STAR":
                    assert self.tls is not None
                    await say(command, "220 go ahead")
                    await writer.start_tls(self.tls)
                    is_encrypted = True
                case "AUTH":
                    _, username, password = base64.b64decode(line.split()[2]).decode().split("\0")
                    if (await say(command, "235 welcome")).startswith("2"):
                        credentials = (username, password)
                case "MAIL":
                    sender = line.partition("<")[2].partition(">")[0]
                    await say(command, "250 ok")
                case "RCPT":
                    recipient = line.partition("<")[2].partition(">")[0]
                    await say(command, "250 ok")
                case "DATA":
                    if not (await say(command, "354 go on")).startswith("3"):
                        continue
                    content = await reader.readuntil(b"\r\n.\r\n")
                    message = email.message_from_bytes(content[:-3], policy=email.policy.SMTP)
                    made = Received(sender, recipient, message, is_encrypted, credentials)
                    if (await say(".", "250 taken")).startswith("2"):
                        self.received.append(made)
                case "QUIT":
                    await say(command, "221 bye")
                    return
                case _:
                    await say(command, "250 ok")


@asynccontextmanager
async def running_mail_server(**how: object) -> AsyncIterator[MailServer]:
    server = MailServer(**how)  # type: ignore[arg-type]  # its own fields
    await server.come()
    try:
        yield server
    finally:
        await server.go()
