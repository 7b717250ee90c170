"""Mail that leaves by SMTP: one connection for each, bounded in time, encrypted unless it is said otherwise."""

import asyncio
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import aiosmtplib

from auth_service.domain.emails import transport_spelling
from auth_service.domain.mail import Mail, NotSent, Refused
from auth_service.providers.mail_message import message

_FOR_EVER = range(500, 600)


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
            async with asyncio.timeout(self._deadline.total_seconds()):
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
        await aiosmtplib.send(
            message(mail, sender=self._sender, at=datetime.now(UTC)),
            recipients=[transport_spelling(mail.to)],
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            use_tls=self._tls is SmtpTls.TLS,
            start_tls=self._tls is SmtpTls.STARTTLS,
            cert_bundle=self._ca_file,
            timeout=self._deadline.total_seconds(),
        )


def _about_the_mail(error: aiosmtplib.SMTPRecipientsRefused | aiosmtplib.SMTPDataError) -> NotSent | Refused:
    codes = [error.code] if isinstance(error, aiosmtplib.SMTPDataError) else [each.code for each in error.recipients]
    kind = Refused if all(code in _FOR_EVER for code in codes) else NotSent
    return kind(f"{type(error).__name__}: status {', '.join(map(str, codes))}")
