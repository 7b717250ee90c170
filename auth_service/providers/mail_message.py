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
    made["From"] = Address(name, addr_spec=address)
    made["To"] = Address(addr_spec=transport_spelling(mail.to))
    made["Subject"] = mail.subject
    made["Date"] = at.astimezone(UTC)
    made["Message-ID"] = f"<{mail.id}@{address.rpartition('@')[2]}>"
    # RFC 3834: nobody is away, and no list answers.
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(mail.text)
    return made
