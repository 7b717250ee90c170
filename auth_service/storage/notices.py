"""The notices about maintenance: a row for each that was ever set."""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from auth_service.domain.notices import Notice, NoticeKind
from auth_service.storage.database import Connection, Row, Statement
from auth_service.storage.schema import maintenance_notice

TOPIC = "notices"
"""What replicas that listen are told when a notice has changed."""

_given = postgresql.insert(maintenance_notice).values(
    {column.name: sa.bindparam(column.name) for column in maintenance_notice.c}
)
_put = Statement(
    _given.on_conflict_do_update(
        index_elements=[maintenance_notice.c.kind],
        set_={name: _given.excluded[name] for name in ("is_shown", "message", "changed_at")},
    ).inline()
)
_all = Statement(sa.select(maintenance_notice))


async def put(connection: Connection, kind: NoticeKind, notice: Notice) -> None:
    """Whatever was there."""
    await connection.run(
        _put, kind=kind.value, is_shown=notice.is_shown, message=notice.message, changed_at=notice.changed_at
    )
    await connection.tell(TOPIC)


async def every(connection: Connection) -> Mapping[NoticeKind, Notice]:
    """Both; one that was never set is not shown."""
    found = {row["kind"]: _notice_of(row) for row in await connection.rows(_all)}
    return {kind: found.get(kind.value, Notice()) for kind in NoticeKind}


def _notice_of(row: Row) -> Notice:
    return Notice(row["is_shown"], row["message"], row["changed_at"])
