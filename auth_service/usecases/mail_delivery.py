"""Mail leaves the outbox: in the ordinary case once, at least once when a replica dies in between."""

import asyncio
from datetime import datetime, timedelta
from random import uniform

import structlog

from auth_service.domain.mail import NotSent, Refused, Sender, opened
from auth_service.domain.sealing import KeyEncryptionKeys, SealBroken
from auth_service.storage import mail
from auth_service.storage.database import Database, DatabaseClock
from auth_service.storage.mail import Taken

log = structlog.get_logger()

AT_ONCE = 8
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=10)
GIVES_UP_AFTER = timedelta(days=1)


class MailDelivery:
    """`lease` is how long nobody else tries a mail that was taken: longer than the sender takes at most."""

    def __init__(
        self,
        database: Database,
        *,
        sender: Sender,
        sealing: KeyEncryptionKeys,
        lease: timedelta,
        clock: DatabaseClock,
    ) -> None:
        self._database = database
        self._sender = sender
        self._sealing = sealing
        self._lease = lease
        self._clock = clock

    async def deliver(self) -> None:
        """Send what is due, until nothing is. Raises DatabaseUnavailable."""
        while taken := await self._taken():
            # Each to its end: what one meets must not cut another off between sending and saying so.
            outcomes = await asyncio.gather(*(self._deliver(each) for each in taken), return_exceptions=True)
            for outcome in outcomes:
                if outcome is not None:
                    raise outcome

    async def _taken(self) -> list[Taken]:
        now = self._clock.now()
        # Most of the time there is nothing, and to look is cheaper than to take.
        if not await self._database.autocommit(lambda connection: mail.is_due(connection, now=now)):
            return []
        return list(
            await self._database.transaction(
                lambda connection: mail.take(connection, now=now, lease=self._lease, most=AT_ONCE)
            )
        )

    async def _deliver(self, taken: Taken) -> None:
        now = self._clock.now()
        good_until = taken.created_at + GIVES_UP_AFTER
        try:
            letter = opened(taken.sealed, of=taken.person_id, sealing=self._sealing)
            good_until = min(good_until, letter.good_until)
            if now < good_until:
                await self._sender.send(letter)
                log.info("mail.sent", mail=taken.id, purpose=letter.purpose.value, person=str(taken.person_id))
                await self._gone(taken)
                return
            cause = "nothing took it in time"
        except Refused as error:
            log.error("mail.refused", mail=taken.id, person=str(taken.person_id), cause=str(error))
            await self._gone(taken)
            return
        except (NotSent, SealBroken) as error:
            cause = str(error)
        await self._try_later(taken, now=now, good_until=good_until, cause=cause)

    async def _try_later(self, taken: Taken, *, now: datetime, good_until: datetime, cause: str) -> None:
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(taken.attempts - 1, 16))
        due_at = now + pause * uniform(0.75, 1.25)  # noqa: S311 -- jitter, not a secret
        if due_at >= good_until:
            log.error("mail.given_up", mail=taken.id, person=str(taken.person_id), attempts=taken.attempts, cause=cause)
            await self._gone(taken)
            return
        log.warning("mail.not_sent", mail=taken.id, person=str(taken.person_id), attempts=taken.attempts, cause=cause)
        await self._database.autocommit(lambda connection: mail.later(connection, taken, due_at=due_at))

    async def _gone(self, taken: Taken) -> None:
        await self._database.autocommit(lambda connection: mail.gone(connection, taken))
