"""A mail as RFC 5322 writes it, and where it is to go."""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr

from auth_service.domain.emails import transport_spelling
from auth_service.domain.mail import Mail


def message(mail: Mail, *, sender: str, at: datetime) -> EmailMessage:
    """`sender` is `auth@example.org` or `Name <auth@example.org>`."""
    name, address = parseaddr(sender)
    made = EmailMessage(SMTP)
    made["From"] = _address(address, name=name)
    made["To"] = _address(transport_spelling(mail.to))
    made["Subject"] = mail.subject
    made["Date"] = at.astimezone(UTC)
    made["Message-ID"] = f"<{mail.id}@{address.rpartition('@')[2]}>"
    # RFC 3834: nobody is away, and no list answers.
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(mail.text)
    return made


def _address(address: str, *, name: str = "") -> Address:
    # In its two parts: one that is not ASCII may be in a header, but not in what `addr_spec` takes.
    username, _, domain = address.rpartition("@")
    return Address(name, username=username, domain=domain)
