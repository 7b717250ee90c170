"""Mailed tokens and the outbox of mail, on both databases."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from auth_service.domain.mailed_tokens import COUNTED_FOR, MailedToken, Purpose
from auth_service.storage import local_accounts, mail, mailed_tokens
from auth_service.storage.database import Connection, Database
from tests.domain.rings import NOON

LEASE = timedelta(seconds=50)


async def somebody(connection: Connection, name: str) -> UUID:
    return await local_accounts.add(connection, username=name, display_name=name, password_hash=None, now=NOON)


def a_token(person_id: UUID, *, digest: bytes, made_at: datetime = NOON) -> MailedToken:
    return MailedToken(
        digest, person_id, Purpose.PASSWORD_RESET, "ada@example.org", None, made_at, made_at + timedelta(hours=1)
    )


async def test_tokens_that_expired_are_swept_a_few_at_a_time(database: Database) -> None:
    async def step(connection: Connection) -> list[int]:
        for number in range(3):
            person_id = await somebody(connection, f"person {number}")
            await mailed_tokens.put(connection, a_token(person_id, digest=bytes([number])), former=())
        moments = [NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=1)]
        return [await mailed_tokens.sweep(connection, before=moment, most=2) for moment in moments]

    assert await database.transaction(step) == [0, 2, 1]


@pytest.mark.row("C10")
async def test_the_last_few_tokens_of_a_person_are_kept_and_spent_together(database: Database) -> None:
    async def step(connection: Connection) -> None:
        ada, eve = [await somebody(connection, name) for name in ("ada", "eve")]
        tokens = [a_token(ada, digest=bytes([number]), made_at=NOON + number * COUNTED_FOR) for number in range(8)]
        theirs = a_token(eve, digest=b"eve's")
        await mailed_tokens.put(connection, theirs, former=())
        for token in tokens:
            former = await mailed_tokens.last(connection, ada, purpose=token.purpose)
            await mailed_tokens.put(connection, token, former=former)

        assert await mailed_tokens.last(connection, ada, purpose=tokens[0].purpose) == tokens[:-6:-1]
        assert not await mailed_tokens.spend(connection, tokens[0])
        assert await mailed_tokens.spend(connection, tokens[4])
        assert not any([await mailed_tokens.spend(connection, token) for token in tokens])
        assert await mailed_tokens.spend(connection, theirs)

    await database.transaction(step)


async def test_who_took_a_mail_has_it_for_a_while_and_nobody_undoes_what_a_later_one_does(database: Database) -> None:
    async def step(connection: Connection) -> None:
        person_id = await somebody(connection, "ada")
        await mail.put(connection, person_id, b"sealed", purpose="password_reset", now=NOON, due_at=NOON)
        [first] = await mail.take(connection, now=NOON, lease=LEASE, most=8)
        assert not await mail.is_due(connection, now=NOON + LEASE / 2)
        assert await mail.take(connection, now=NOON + LEASE / 2, lease=LEASE, most=8) == []

        [second] = await mail.take(connection, now=NOON + LEASE, lease=LEASE, most=8)
        await mail.later(connection, first, due_at=NOON)
        await mail.gone(connection, first)

        assert (first.attempts, second.attempts) == (1, 2)
        assert not await mail.is_due(connection, now=NOON + LEASE)
        assert await mail.is_due(connection, now=NOON + 2 * LEASE)
        await mail.gone(connection, second)
        assert not await mail.is_due(connection, now=NOON + 9 * LEASE)

    await database.transaction(step)
