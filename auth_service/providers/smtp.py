"""Mail that leaves by SMTP: one connection for each, bounded in time, encrypted unless it is said otherwise."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import aiosmtplib

from auth_service.domain.emails import transport_spelling
from auth_service.domain.mail import Mail, NotSent, Refused
from auth_service.providers.mail_message import message

GOODBYE_WITHIN = timedelta(seconds=1)

_FOR_EVER = range(500, 600)
_ANSWERED = (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPResponseException, aiosmtplib.SMTPNotSupported)


class SmtpTls(StrEnum):
    """`starttls` as submission servers have it (port 587), `tls` from the first byte (465), `none` within a machine."""

    STARTTLS = "starttls"
    TLS = "tls"
    NONE = "none"


class Smtp:
    """Hands each mail to one server. Its certificate is checked; without TLS no password is sent."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: SmtpTls,
        sender: str,
        deadline: timedelta,
        username: str | None = None,
        password: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._sender = sender
        self._deadline = deadline
        self._username = username
        self._password = password
        self._ca_file = ca_file

    async def send(self, mail: Mail) -> None:
        """Raises NotSent, Refused; neither repeats what the server said, which may hold the address."""
        problem: NotSent | Refused
        try:
            await self._send(mail)
        except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError) as error:
            problem = _about_the_mail(error)
        except aiosmtplib.SMTPNotSupported:
            problem = Refused("the server cannot take an address that is not ASCII")
        except aiosmtplib.SMTPResponseException as error:
            problem = NotSent(f"{type(error).__name__}: status {error.code}")
        except TimeoutError:
            problem = NotSent("the server did not answer in time")
        except (aiosmtplib.SMTPException, OSError) as error:
            problem = NotSent(type(error).__name__)
        else:
            return
        # Raised out here so that it has no context: exceptions of the client hold addresses.
        raise problem

    async def _send(self, mail: Mail) -> None:
        # Not the client's `send`: that waits for the answer to a QUIT as long as for all the rest, also where it was
        # told to end or was out of time, and its last silence would hide that the mail was taken.
        client = self._client()
        try:
            async with asyncio.timeout(self._deadline.total_seconds()):
                await client.connect()
                await client.send_message(
                    message(mail, sender=self._sender, at=datetime.now(UTC)), recipients=[transport_spelling(mail.to)]
                )
        except _ANSWERED:
            await _goodbye(client)
            raise
        else:
            await _goodbye(client)
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            use_tls=self._tls is SmtpTls.TLS,
            start_tls=self._tls is SmtpTls.STARTTLS,
            cert_bundle=self._ca_file,
            timeout=self._deadline.total_seconds(),
        )


async def _goodbye(client: aiosmtplib.SMTP) -> None:
    """What there was to say has been said: nothing that happens here matters."""
    with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        async with asyncio.timeout(GOODBYE_WITHIN.total_seconds()):
            await client.quit()


def _about_the_mail(error: aiosmtplib.SMTPRecipientsRefused | aiosmtplib.SMTPDataError) -> NotSent | Refused:
    codes = [error.code] if isinstance(error, aiosmtplib.SMTPDataError) else [each.code for each in error.recipients]
    kind = Refused if all(code in _FOR_EVER for code in codes) else NotSent
    return kind(f"{type(error).__name__}: status {', '.join(map(str, codes))}")
