"""When replicas got through to the database. Each writes about itself; any reads about any other."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from auth_service.domain.presence import Presence
from auth_service.storage.database import Connection, Statement
from auth_service.storage.schema import presence

_insert = postgresql.insert(presence).values({column.name: sa.bindparam(column.name) for column in presence.c})
_put = Statement(
    _insert.on_conflict_do_update(
        index_elements=[presence.c.replica, presence.c.begun_at],
        set_={"lasts_until": _insert.excluded.lasts_until},
    )
)
_of = Statement(
    sa.select(presence.c.begun_at, presence.c.lasts_until)
    .where(presence.c.replica == sa.bindparam("replica"), presence.c.lasts_until >= sa.bindparam("since"))
    .order_by(presence.c.begun_at)
)
_sweep = Statement(
    sa.delete(presence).where(
        sa.tuple_(presence.c.replica, presence.c.begun_at).in_(
            sa.select(presence.c.replica, presence.c.begun_at)
            .where(presence.c.lasts_until < sa.bindparam("before"))
            .limit(sa.bindparam("most"))
        )
    )
)


async def put(connection: Connection, replica: UUID, now: Presence) -> None:
    """Write it down, or that it lasts longer than was known."""
    await connection.run(_put, replica=replica, begun_at=now.begun_at, lasts_until=now.lasts_until)


async def of(connection: Connection, replica: UUID, *, since: datetime) -> Sequence[Presence]:
    """Those that lasted until `since` or longer, oldest first."""
    rows = await connection.rows(_of, replica=replica, since=since)
    return [Presence(row["begun_at"], row["lasts_until"]) for row in rows]


async def sweep(connection: Connection, *, before: datetime, most: int) -> int:
    """Delete up to `most` that ended before `before`; how many."""
    return await connection.run(_sweep, before=before, most=most)
