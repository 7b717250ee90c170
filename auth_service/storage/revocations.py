"""Sessions whose access tokens are refused although they have not expired. Every replica reads along.

Rows of one moment may become visible out of order, so a reader asks again for the last few seconds. That is sound
while a transaction cannot last longer than `OVERLAP`, which the database steps' budget holds.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from auth_service.storage.database import Connection, Statement
from auth_service.storage.schema import revocation

OVERLAP = timedelta(seconds=10)
TOPIC = "revocations"
"""What replicas that listen are told when a session has ended."""

_add = Statement(
    sa.insert(revocation)
    .values(
        session_id=sa.bindparam("session_id"), revoked_at=sa.bindparam("now"), expires_at=sa.bindparam("expires_at")
    )
    .inline()
)
_since = Statement(
    sa.select(revocation.c.session_id, revocation.c.revoked_at, revocation.c.expires_at)
    .where(revocation.c.revoked_at >= sa.bindparam("since"), revocation.c.expires_at > sa.bindparam("now"))
    .order_by(revocation.c.id)
)
_sweep = Statement(
    sa.delete(revocation).where(
        revocation.c.id.in_(
            sa.select(revocation.c.id)
            .where(revocation.c.expires_at < sa.bindparam("before"))
            .limit(sa.bindparam("most"))
        )
    )
)


@dataclass(frozen=True, slots=True)
class Revocation:
    """`session_id`'s access tokens are refused; after `expires_at` none of them is left."""

    session_id: UUID
    revoked_at: datetime
    expires_at: datetime


async def add(connection: Connection, *new: Revocation) -> None:
    """However many there are, two round trips."""
    await connection.run_many(
        _add,
        [{"session_id": each.session_id, "now": each.revoked_at, "expires_at": each.expires_at} for each in new],
    )
    await connection.tell(TOPIC)


async def since(connection: Connection, moment: datetime, *, now: datetime) -> tuple[Revocation, ...]:
    """Those made at `moment` or later that still matter at `now`."""
    rows = await connection.rows(_since, since=moment, now=now)
    return tuple(Revocation(row["session_id"], row["revoked_at"], row["expires_at"]) for row in rows)


async def sweep(connection: Connection, *, before: datetime, most: int) -> int:
    """Delete up to `most` that expired before `before`; how many."""
    return await connection.run(_sweep, before=before, most=most)
