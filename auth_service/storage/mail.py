"""The outbox of mail. Whoever takes a mail has it for a while; it is there again if they do not say how it went."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from auth_service.storage.database import Connection, Statement
from auth_service.storage.schema import mail

TOPIC = "mail"
"""What is told of when mail was put into the outbox."""

_put = Statement(
    sa.insert(mail)
    .values(
        person_id=sa.bindparam("person_id"),
        purpose=sa.bindparam("purpose"),
        sealed=sa.bindparam("sealed"),
        created_at=sa.bindparam("now"),
        due_at=sa.bindparam("due_at"),
        attempts=0,
    )
    .inline()
)
_drop = Statement(
    sa.delete(mail).where(mail.c.person_id == sa.bindparam("of"), mail.c.purpose == sa.bindparam("purpose"))
)
_due = (
    sa.select(mail.c.id)
    .where(mail.c.due_at <= sa.bindparam("now"))
    .order_by(mail.c.due_at)
    .limit(sa.bindparam("most"))
    # Replicas take different ones instead of waiting for one another. SQLite has one writer anyway.
    .with_for_update(skip_locked=True)
)
_is_due = Statement(sa.select(sa.exists().where(mail.c.due_at <= sa.bindparam("now")).label("is_due")))
_take = Statement(
    sa.update(mail)
    .where(mail.c.id.in_(_due))
    .values(due_at=sa.bindparam("until"), attempts=mail.c.attempts + 1)
    .returning(mail.c.id, mail.c.person_id, mail.c.sealed, mail.c.created_at, mail.c.attempts)
)
_mine = (mail.c.id == sa.bindparam("mail_id"), mail.c.attempts == sa.bindparam("attempt"))
_gone = Statement(sa.delete(mail).where(*_mine))
_later = Statement(sa.update(mail).where(*_mine).values(due_at=sa.bindparam("new_due_at")))


@dataclass(frozen=True, slots=True)
class Taken:
    """A mail that this caller may send now. `attempts` counts this one."""

    id: int
    person_id: UUID
    sealed: bytes
    created_at: datetime
    attempts: int


async def put(
    connection: Connection, person_id: UUID, sealed: bytes, *, purpose: str, now: datetime, due_at: datetime
) -> None:
    """Into the outbox."""
    await connection.run(_put, person_id=person_id, purpose=purpose, sealed=sealed, now=now, due_at=due_at)
    await connection.tell(TOPIC)


async def drop(connection: Connection, person_id: UUID, *, purpose: str) -> None:
    """What is there for the person and this purpose is of no use any more."""
    await connection.run(_drop, of=person_id, purpose=purpose)


async def is_due(connection: Connection, *, now: datetime) -> bool:
    row = await connection.row(_is_due, now=now)
    return row is not None and bool(row["is_due"])


async def take(connection: Connection, *, now: datetime, lease: timedelta, most: int) -> Sequence[Taken]:
    """Up to `most` mails that are due. Nobody else takes them before `lease` is over."""
    rows = await connection.rows(_take, now=now, until=now + lease, most=most)
    return [
        Taken(row["id"], row["person_id"], bytes(row["sealed"]), row["created_at"], row["attempts"]) for row in rows
    ]


async def gone(connection: Connection, taken: Taken) -> None:
    """It is sent, or never will be. Nothing happens if the lease is over and somebody else took it."""
    await connection.run(_gone, mail_id=taken.id, attempt=taken.attempts)


async def later(connection: Connection, taken: Taken, *, due_at: datetime) -> None:
    """Try again then. Nothing happens if the lease is over and somebody else took it."""
    await connection.run(_later, mail_id=taken.id, attempt=taken.attempts, new_due_at=due_at)
