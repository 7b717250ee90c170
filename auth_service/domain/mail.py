"""Mail that the service writes: plain text, one link, no more of the person than their address."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

from auth_service.domain.mailed_tokens import Purpose
from auth_service.domain.sealing import KeyEncryptionKeys, SealBroken

PATHS = {Purpose.PASSWORD_RESET: "/reset-password", Purpose.EMAIL_VERIFICATION: "/verify-email"}
"""Under the address that links begin with. The token follows in the fragment, which no server's log sees."""

_SUBJECTS = {
    Purpose.PASSWORD_RESET: "Reset your password",
    Purpose.EMAIL_VERIFICATION: "Confirm your e-mail address",
}
_OPENINGS = {
    Purpose.PASSWORD_RESET: "somebody, probably you, asked to set a new password for your account at {service}.",
    Purpose.EMAIL_VERIFICATION: "somebody, probably you, gave this address to {service}.",
}
_CLOSINGS = {
    Purpose.PASSWORD_RESET: "If it was not you, do nothing: your password stays what it is.",
    Purpose.EMAIL_VERIFICATION: "If it was not you, do nothing.",
}


@dataclass(frozen=True, slots=True)
class Mail:
    """`to` is as the person spells it. `text` holds the token. Worth nothing after `good_until`.

    By `id`, the receiving side knows a mail that is sent twice.
    """

    id: UUID
    purpose: Purpose
    to: str
    subject: str
    text: str = field(repr=False)
    good_until: datetime


class NotSent(Exception):
    """The mail did not leave: it is worth trying again."""


class Refused(Exception):
    """The mail system answered that it will never take this mail."""


class Sender(Protocol):
    """Where mail leaves."""

    async def send(self, mail: Mail) -> None:
        """Raises NotSent, Refused."""
        ...


def written(
    purpose: Purpose, *, to: str, token: str, service: str, link_base: str | None, lifetime: timedelta, now: datetime
) -> Mail:
    """The mail that brings `token`; as a link where there is something that links lead to."""
    opening = _OPENINGS[purpose].format(service=service)
    if link_base is None:
        action = f"To go on, enter this code where you were asked for it:\n\n    {token}"
    else:
        action = f"To go on, open this link:\n\n    {link_base}{PATHS[purpose]}#token={token}"
    text = f"Hello,\n\n{opening}\n{action}\n\nIt works once, within {_spoken(lifetime)}.\n{_CLOSINGS[purpose]}\n"
    return Mail(uuid4(), purpose, to=to, subject=_SUBJECTS[purpose], text=text, good_until=now + lifetime)


def sealed(mail: Mail, *, of: UUID, sealing: KeyEncryptionKeys) -> bytes:
    """`mail` as the outbox holds it, bound to the person whose it is: whoever reads the database reads no token."""
    fields = {
        "id": str(mail.id),
        "purpose": mail.purpose.value,
        "to": mail.to,
        "subject": mail.subject,
        "text": mail.text,
        "good_until": mail.good_until.isoformat(),
    }
    return sealing.seal(json.dumps(fields).encode(), kid=str(of), purpose="mail")


def opened(ciphertext: bytes, *, of: UUID, sealing: KeyEncryptionKeys) -> Mail:
    """What was sealed. Raises SealBroken."""
    try:
        fields = json.loads(sealing.open(ciphertext, kid=str(of), purpose="mail"))
        return Mail(
            UUID(fields["id"]),
            Purpose(fields["purpose"]),
            to=fields["to"],
            subject=fields["subject"],
            text=fields["text"],
            good_until=datetime.fromisoformat(fields["good_until"]),
        )
    except (ValueError, KeyError) as error:
        raise SealBroken(f"mail of {of}: what is in it is no mail") from error


def _spoken(lifetime: timedelta) -> str:
    minutes = round(lifetime.total_seconds() / 60)
    amount, unit = (minutes // 60, "hour") if minutes >= 60 and minutes % 60 == 0 else (minutes, "minute")
    return f"{amount} {unit}" + ("s" if amount != 1 else "")
