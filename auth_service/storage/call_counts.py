"""How often methods were called within a window, all replicas together."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from auth_service.storage.database import Connection, Statement
from auth_service.storage.schema import call_count

_insert = postgresql.insert(call_count).values(
    {name: sa.bindparam(name) for name in ("key", "window", "calls", "expires_at")}
)
_add = Statement(
    _insert.on_conflict_do_update(
        index_elements=[call_count.c.key, call_count.c.window],
        set_={"calls": call_count.c.calls + _insert.excluded.calls},
    ).returning(call_count.c.calls)
)
_sweep = Statement(
    sa.delete(call_count).where(
        sa.tuple_(call_count.c.key, call_count.c.window).in_(
            sa.select(call_count.c.key, call_count.c.window)
            .where(call_count.c.expires_at < sa.bindparam("before"))
            .limit(sa.bindparam("most"))
        )
    )
)


async def add(connection: Connection, key: bytes, *, window: int, calls: int, expires_at: datetime) -> int:
    """How many calls there were in the window so far, with these."""
    row = await connection.row(_add, key=key, window=window, calls=calls, expires_at=expires_at)
    assert row is not None
    return int(row["calls"])


async def sweep(connection: Connection, *, before: datetime, most: int) -> int:
    """Delete up to `most` whose window is long over; how many."""
    return await connection.run(_sweep, before=before, most=most)
