"""Digests of mailed tokens: one of each purpose for a person, the last that was mailed."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from auth_service.domain.mailed_tokens import PAUSE, MailedToken, Purpose
from auth_service.storage.database import Connection, Row, Statement
from auth_service.storage.schema import action_token

_insert = postgresql.insert(action_token).values({column.name: sa.bindparam(column.name) for column in action_token.c})
_put = Statement(
    _insert.on_conflict_do_update(
        index_elements=[action_token.c.person_id, action_token.c.purpose],
        set_={column.name: _insert.excluded[column.name] for column in action_token.c if not column.foreign_keys},
        where=sa.or_(
            action_token.c.created_at <= sa.bindparam("paused_since"),
            action_token.c.email_key != _insert.excluded.email_key,
        ),
    )
)
_find = Statement(
    sa.select(action_token).where(
        action_token.c.digest == sa.bindparam("digest"), action_token.c.purpose == sa.bindparam("purpose")
    )
)
_last = Statement(
    sa.select(action_token.c.created_at)
    .where(action_token.c.person_id == sa.bindparam("of"), action_token.c.purpose == sa.bindparam("purpose"))
    .with_for_update()
)
_spend = Statement(sa.delete(action_token).where(action_token.c.digest == sa.bindparam("digest")))
_sweep = Statement(
    sa.delete(action_token).where(
        action_token.c.digest.in_(
            sa.select(action_token.c.digest)
            .where(action_token.c.expires_at <= sa.bindparam("before"))
            .limit(sa.bindparam("most"))
        )
    )
)


async def put(connection: Connection, token: MailedToken) -> bool:
    """Keep `token` in place of the person's former one; not if that one went to the same address a moment ago."""
    kept = await connection.run(
        _put,
        paused_since=token.created_at - PAUSE,
        digest=token.digest,
        person_id=token.person_id,
        purpose=token.purpose.value,
        email_key=token.email_key,
        password_changed_at=token.password_changed_at,
        created_at=token.created_at,
        expires_at=token.expires_at,
    )
    return kept == 1


async def last_made_at(connection: Connection, person_id: UUID, *, purpose: Purpose) -> datetime | None:
    """When the person's token of this purpose was made, if there is one; it stays so until the transaction ends."""
    row = await connection.row(_last, of=person_id, purpose=purpose.value)
    return row["created_at"] if row is not None else None


async def find(connection: Connection, digest: bytes, *, purpose: Purpose) -> MailedToken | None:
    row = await connection.row(_find, digest=digest, purpose=purpose.value)
    return _token_of(row) if row is not None else None


async def spend(connection: Connection, token: MailedToken) -> bool:
    """Whether this call did: of several at once, exactly one."""
    return await connection.run(_spend, digest=token.digest) == 1


async def sweep(connection: Connection, *, before: datetime, most: int) -> int:
    """Delete up to `most` that expired before `before`; how many."""
    return await connection.run(_sweep, before=before, most=most)


def _token_of(row: Row) -> MailedToken:
    return MailedToken(
        digest=bytes(row["digest"]),
        person_id=row["person_id"],
        purpose=Purpose(row["purpose"]),
        email_key=row["email_key"],
        password_changed_at=row["password_changed_at"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
    )
