"""What people do by mail: reset a password that they forgot, and show that an address is theirs.

No answer tells whether an address is known: the lookup is the same for all, and what is written for a known one is
written after the answer.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from auth_service.domain.accounts import Account
from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.emails import valid_email
from auth_service.domain.errors import ActionTokenInvalid, DatabaseUnavailable, Overloaded
from auth_service.domain.mail import sealed, written
from auth_service.domain.mailed_tokens import (
    COUNTED_FOR,
    MailedToken,
    Purpose,
    digest_of,
    due_at,
    may_be_mailed,
    minted,
)
from auth_service.domain.sealing import KeyEncryptionKeys
from auth_service.providers.password_hashing import PasswordHashing
from auth_service.providers.password_strength import PasswordRules
from auth_service.storage import accounts, attempts, audit, local_accounts, mail, mailed_tokens
from auth_service.storage.database import Connection, Database, DatabaseClock
from auth_service.storage.revocations import Revocation
from auth_service.usecases.attempts import Attempts
from auth_service.usecases.ending import Ending
from auth_service.usecases.sweeping import swept

log = structlog.get_logger()

MOST_AT_ONCE = 256
"""Requests whose mail is being written; whoever comes then gets Overloaded, known or not."""

MAILED = "mailed token"
"""What failed attempts are counted as."""

_REQUESTED = {
    Purpose.PASSWORD_RESET: EventType.PASSWORD_RESET_REQUESTED,
    Purpose.EMAIL_VERIFICATION: EventType.EMAIL_VERIFICATION_REQUESTED,
}


@dataclass(frozen=True, slots=True)
class MailPolicy:
    """`service` is what mails call us. Without `link_base` they bring the bare token."""

    service: str
    link_base: str | None
    reset_lifetime: timedelta
    verification_lifetime: timedelta

    def lifetime(self, purpose: Purpose) -> timedelta:
        return self.reset_lifetime if purpose is Purpose.PASSWORD_RESET else self.verification_lifetime


class MailedTokens:
    """`queued` is set when there is mail to send. `is_on` is false where nothing sends it: then none is written."""

    def __init__(
        self,
        database: Database,
        *,
        policy: MailPolicy,
        sealing: KeyEncryptionKeys,
        hashing: PasswordHashing,
        password_rules: PasswordRules,
        ending: Ending,
        attempts: Attempts,
        clock: DatabaseClock,
        queued: asyncio.Event,
        is_on: bool,
    ) -> None:
        self._database = database
        self._policy = policy
        self._sealing = sealing
        self._hashing = hashing
        self._password_rules = password_rules
        self._ending = ending
        self._attempts = attempts
        self._clock = clock
        self._queued = queued
        self._is_on = is_on
        self._writing: set[asyncio.Task[None]] = set()

    async def request(self, purpose: Purpose, *, email: str, origin: Origin) -> None:
        """Mail a token to the person with this address, if there is one. Raises InvalidInput, Unavailable, Overloaded.

        The mail is written after this has returned, and is lost if the database goes away in between.
        """
        address = valid_email(email)
        if len(self._writing) >= MOST_AT_ONCE:
            raise Overloaded("too many mails are being written")
        account = await self._database.autocommit(lambda connection: accounts.with_email(connection, address))
        if account is not None:
            task = asyncio.create_task(self._write(account, purpose, origin))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def queue_verification(
        self, connection: Connection, account: Account, *, origin: Origin, now: datetime
    ) -> None:
        """Mail a token for the account's address, within the step that set it. Nothing where it is verified."""
        await self._queue(connection, account, Purpose.EMAIL_VERIFICATION, origin=origin, now=now)

    async def verify_email(self, *, token: str, origin: Origin) -> None:
        """Raises ActionTokenInvalid, TooManyAttempts, DatabaseUnavailable."""
        attempt = await self._attempts.from_address(origin.address, kind=MAILED)
        now = self._clock.now()

        async def step(connection: Connection) -> None:
            account = await self._spent(connection, digest_of(token), Purpose.EMAIL_VERIFICATION, now=now)
            await self._mark_verified(connection, account, origin=origin, now=now)

        async with attempt.counted():
            await self._database.transaction(step)

    async def reset_password(self, *, token: str, new_password: str, origin: Origin) -> None:
        """Ends every session of the person.

        Raises ActionTokenInvalid, TooManyAttempts, InvalidInput, Unavailable, Overloaded. A password that is refused
        does not spend the token.
        """
        attempt = await self._attempts.from_address(origin.address, kind=MAILED)
        async with attempt.counted():
            username, ended = await self._reset(token, new_password, origin)
        self._ending.take_effect(ended)
        if username is not None:
            await self._attempts.forget(username)

    async def _reset(self, token: str, new_password: str, origin: Origin) -> tuple[str | None, tuple[Revocation, ...]]:
        """The user name, if what failed on it is forgotten, and what ended."""
        digest = digest_of(token)
        account = await self._database.autocommit(lambda connection: self._bearer(connection, digest))
        chosen = await self._password_rules.check(new_password, field="new_password", words=account.words)
        password_hash = await self._hashing.hash(chosen)

        now = self._clock.now()

        async def step(connection: Connection) -> tuple[str | None, tuple[Revocation, ...]]:
            account = await self._spent(connection, digest, Purpose.PASSWORD_RESET, now=now)
            await local_accounts.set_password(connection, account.id, password_hash, now=now)
            username, provider = account.person.username, account.person.provider
            is_only_one = await attempts.is_only_one_of(connection, username, provider=provider)
            if is_only_one:
                await attempts.forget(connection, username)
            await audit.add(
                connection,
                happened(EventType.PASSWORD_RESET, origin=origin, now=now, by=account.id, on=account.id),
            )
            if account.email_verified_at is None:
                await self._mark_verified(connection, account, origin=origin, now=now)
            ended = await self._ending.in_step(connection, account.id, reason="password", origin=origin, now=now)
            return (username if is_only_one else None), ended

        return await self._database.transaction(step)

    async def sweep(self) -> int:
        """Delete tokens that expired and count for nobody any more; how many."""
        before = self._clock.now() - COUNTED_FOR
        return await swept(
            self._database, lambda connection, most: mailed_tokens.sweep(connection, before=before, most=most)
        )

    async def close(self) -> None:
        """Waits for the mails that are being written."""
        await asyncio.gather(*self._writing)

    async def _write(self, account: Account, purpose: Purpose, origin: Origin) -> None:
        now = self._clock.now()

        async def step(connection: Connection) -> None:
            held = await accounts.hold(connection, account.id)
            if held is not None and held.email == account.email:
                await self._queue(connection, held, purpose, origin=origin, now=now)

        try:
            await self._database.transaction(step)
        except (DatabaseUnavailable, Overloaded) as error:
            log.warning("mail.not_written", purpose=purpose.value, person=str(account.id), cause=error.reason)
        except Exception:
            # Nobody waits for this task: without this line nobody would ever know.
            log.exception("mail.defect", purpose=purpose.value, person=str(account.id))

    async def _queue(
        self, connection: Connection, account: Account, purpose: Purpose, *, origin: Origin, now: datetime
    ) -> None:
        if not may_be_mailed(account, purpose):
            return
        if not self._is_on:
            log.warning("mail.off", purpose=purpose.value, person=str(account.id), hint="AUTH_SMTP_ADDRESS")
            return
        token, kept = minted(account, purpose, now=now, lifetime=self._policy.lifetime(purpose))
        former = await mailed_tokens.last(connection, account.id, purpose=purpose)
        to_address = await mailed_tokens.last_to(connection, kept.email_key, purpose=purpose)
        due = due_at(kept, former, to_address=to_address)
        if due is None:
            log.info("mail.enough", purpose=purpose.value, person=str(account.id))
            return
        await mailed_tokens.put(connection, kept, former=former)
        if former and former[0].email_key != kept.email_key:
            await mail.drop(connection, account.id, purpose=purpose.value)
        await mail.put(
            connection,
            account.id,
            self._sealed(account, purpose, token, now=now),
            purpose=purpose.value,
            now=now,
            due_at=due,
        )
        await audit.add(connection, happened(_REQUESTED[purpose], origin=origin, now=now, on=account.id))
        self._queued.set()

    def _sealed(self, account: Account, purpose: Purpose, token: str, *, now: datetime) -> bytes:
        assert account.email is not None
        made = written(
            purpose,
            to=account.email,
            token=token,
            service=self._policy.service,
            link_base=self._policy.link_base,
            lifetime=self._policy.lifetime(purpose),
            now=now,
        )
        return sealed(made, of=account.id, sealing=self._sealing)

    async def _bearer(self, connection: Connection, digest: bytes) -> Account:
        """Whose password the token resets, as long as nobody spends it. Raises ActionTokenInvalid."""
        token = await mailed_tokens.find(connection, digest, purpose=Purpose.PASSWORD_RESET)
        account = await accounts.find(connection, token.person_id) if token is not None else None
        return _good(token, account, now=self._clock.now())

    async def _spent(self, connection: Connection, digest: bytes, purpose: Purpose, *, now: datetime) -> Account:
        """Spend the token; whose it was, held until the transaction ends. Raises ActionTokenInvalid."""
        token = await mailed_tokens.find(connection, digest, purpose=purpose)
        account = await accounts.hold(connection, token.person_id) if token is not None else None
        if token is None or not await mailed_tokens.spend(connection, token):
            raise ActionTokenInvalid
        return _good(token, account, now=now)

    async def _mark_verified(self, connection: Connection, account: Account, *, origin: Origin, now: datetime) -> None:
        await accounts.verified(connection, account.id, now=now)
        event = happened(EventType.EMAIL_VERIFIED, origin=origin, now=now, by=account.id, on=account.id)
        await audit.add(connection, event)


def _good(token: MailedToken | None, account: Account | None, *, now: datetime) -> Account:
    if token is None or account is None or not token.is_good_for(account, now=now):
        raise ActionTokenInvalid
    return account
