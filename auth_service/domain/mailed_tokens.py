"""Single-use tokens that travel by mail: whoever brings one reads the mail of that address.

A token is 256 random bits; only their digest is kept. It is good until it or another one of its purpose is used, until
it expires, and while the address and (to reset a password) the password are those that it was made for. The next mail
leaves it good: anybody may ask for mails, and would keep the person from ever having a token that works.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from auth_service.domain.accounts import Account, AccountState
from auth_service.domain.emails import email_key
from auth_service.domain.errors import ActionTokenInvalid

PAUSE = timedelta(minutes=1)
"""Between two mails of one purpose to one person, whoever asks."""
MOST_AN_HOUR = 5
"""Mails of one purpose to one person, and to one address; and so many tokens of it are good at once."""
COUNTED_FOR = timedelta(hours=1)
"""How long a mail counts for its person and its address, whether its token is still good or not."""
_TOKEN_BYTES = 32


class Purpose(StrEnum):
    PASSWORD_RESET = "password_reset"  # noqa: S105 -- the name of a purpose
    EMAIL_VERIFICATION = "email_verification"


@dataclass(frozen=True, slots=True)
class MailedToken:
    """What is kept of a token. `password_changed_at` is None where the person had no password."""

    digest: bytes
    person_id: UUID
    purpose: Purpose
    email_key: str
    password_changed_at: datetime | None
    created_at: datetime
    expires_at: datetime

    def is_good_for(self, account: Account, *, now: datetime) -> bool:
        """Whether `account`, whose token it is, still is what it was made for."""
        return (
            now < self.expires_at
            and may_be_mailed(account, self.purpose)
            and account.email is not None
            and email_key(account.email) == self.email_key
            and (self.purpose is not Purpose.PASSWORD_RESET or account.password_changed_at == self.password_changed_at)
        )


def minted(account: Account, purpose: Purpose, *, now: datetime, lifetime: timedelta) -> tuple[str, MailedToken]:
    """A token for the mail, and what is kept of it. `account` has an address."""
    assert account.email is not None
    secret = os.urandom(_TOKEN_BYTES)
    kept = MailedToken(
        digest=_digest(secret),
        person_id=account.id,
        purpose=purpose,
        email_key=email_key(account.email),
        password_changed_at=account.password_changed_at,
        created_at=now,
        expires_at=now + lifetime,
    )
    return base64.urlsafe_b64encode(secret).rstrip(b"=").decode(), kept


def due_at(token: MailedToken, former: Sequence[MailedToken], *, to_address: Sequence[MailedToken]) -> datetime | None:
    """When the mail with `token` may leave. The newest first: `former` are the person's last of its purpose,
    `to_address` the last that were mailed to its address, whosever.

    None for an address that was mailed to enough: by the person, then what it got is still good; or for one account
    after another that claimed it. To another address than the person's last the mail is due later: one to each would
    be a way to flood somebody.
    """
    now = token.created_at
    earliest = _earliest(former, now=now)
    if earliest > now and former[0].email_key == token.email_key:
        return None
    if sum(each.created_at > now - COUNTED_FOR for each in to_address) >= MOST_AN_HOUR:
        return None
    return max(earliest, to_address[0].created_at + PAUSE) if to_address else earliest


def not_needed(former: Sequence[MailedToken], *, now: datetime) -> Sequence[MailedToken]:
    """Of a person's `former` tokens of a purpose, those that go when another one is kept at `now`."""
    return [each for each in former[MOST_AN_HOUR - 1 :] if each.created_at <= now - COUNTED_FOR]


def _earliest(former: Sequence[MailedToken], *, now: datetime) -> datetime:
    if not former:
        return now
    earliest = max(now, former[0].created_at + PAUSE)
    if len(former) >= MOST_AN_HOUR:
        earliest = max(earliest, former[MOST_AN_HOUR - 1].created_at + COUNTED_FOR)
    return earliest


def digest_of(token: str) -> bytes:
    """What is kept of `token`, if it is one. Raises ActionTokenInvalid for what cannot be."""
    try:
        secret = base64.b64decode(token.strip() + "=", altchars=b"-_", validate=True) if len(token) < 100 else b""
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != _TOKEN_BYTES:
        raise ActionTokenInvalid
    return _digest(secret)


def may_be_mailed(account: Account, purpose: Purpose) -> bool:
    """Whether a token of this purpose is of any use to the account's person."""
    if account.state is not AccountState.ACTIVE or account.email is None:
        return False
    if purpose is Purpose.PASSWORD_RESET:
        return account.is_local
    return account.email_verified_at is None


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(b"auth-service mailed token\0" + secret).digest()
