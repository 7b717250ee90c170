"""Digests of mailed tokens: of each purpose the last few that were mailed to a person, and all of the last hour."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from auth_service.domain.mailed_tokens import MOST_AN_HOUR, MailedToken, Purpose, not_needed
from auth_service.storage.database import Connection, Row, Statement
from auth_service.storage.schema import action_token

MOST_READ = 100
"""Of a person's: whoever changes their address again and again has more, and none of the older ones matters."""

_put = Statement(sa.insert(action_token).values({column.name: sa.bindparam(column.name) for column in action_token.c}))
_find = Statement(
    sa.select(action_token).where(
        action_token.c.digest == sa.bindparam("digest"), action_token.c.purpose == sa.bindparam("purpose")
    )
)
_theirs = (action_token.c.person_id == sa.bindparam("of"), action_token.c.purpose == sa.bindparam("purpose"))
_newest_first = (action_token.c.created_at.desc(), action_token.c.digest)
_last = Statement(sa.select(action_token).where(*_theirs).order_by(*_newest_first).limit(MOST_READ))
_last_to = Statement(
    sa.select(action_token)
    .where(action_token.c.email_key == sa.bindparam("email_key"), action_token.c.purpose == sa.bindparam("purpose"))
    .order_by(*_newest_first)
    .limit(MOST_AN_HOUR)
)
_delete = Statement(sa.delete(action_token).where(action_token.c.digest == sa.bindparam("digest")))
_delete_theirs = Statement(sa.delete(action_token).where(*_theirs))
_sweep = Statement(
    sa.delete(action_token).where(
        action_token.c.digest.in_(
            sa.select(action_token.c.digest)
            .where(action_token.c.expires_at <= sa.bindparam("before"))
            .limit(sa.bindparam("most"))
        )
    )
)


async def put(connection: Connection, token: MailedToken, *, former: Sequence[MailedToken]) -> None:
    """Keep `token`, and of the person's `former` ones of its purpose what is still needed. The person is held."""
    for each in not_needed(former, now=token.created_at):
        await connection.run(_delete, digest=each.digest)
    await connection.run(
        _put,
        digest=token.digest,
        person_id=token.person_id,
        purpose=token.purpose.value,
        email_key=token.email_key,
        password_changed_at=token.password_changed_at,
        created_at=token.created_at,
        expires_at=token.expires_at,
    )


async def last(connection: Connection, person_id: UUID, *, purpose: Purpose) -> Sequence[MailedToken]:
    """The person's of this purpose, the newest first."""
    return [_token_of(row) for row in await connection.rows(_last, of=person_id, purpose=purpose.value)]


async def last_to(connection: Connection, email_key: str, *, purpose: Purpose) -> Sequence[MailedToken]:
    """The last few of this purpose that were mailed to this address, whosever, the newest first."""
    return [_token_of(row) for row in await connection.rows(_last_to, email_key=email_key, purpose=purpose.value)]


async def find(connection: Connection, digest: bytes, *, purpose: Purpose) -> MailedToken | None:
    row = await connection.row(_find, digest=digest, purpose=purpose.value)
    return _token_of(row) if row is not None else None


async def spend(connection: Connection, token: MailedToken) -> bool:
    """Whether this call did: of several at once, exactly one. The person's others of its purpose are spent with it."""
    is_spent = await connection.run(_delete, digest=token.digest) == 1
    if is_spent:
        await connection.run(_delete_theirs, of=token.person_id, purpose=token.purpose.value)
    return is_spent


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
