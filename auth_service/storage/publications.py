"""How far the audit log was published, and which replica may go on.

By a lease, and not a lock: a broker may be slower than a transaction should be.
"""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from auth_service.storage.audit import BEGINNING, Position
from auth_service.storage.database import Connection, Statement
from auth_service.storage.schema import publication

_begin = Statement(
    postgresql.insert(publication)
    .values(
        name=sa.bindparam("name"),
        transaction_number=BEGINNING.transaction_number,
        audit_event_id=BEGINNING.number,
    )
    .on_conflict_do_nothing(index_elements=[publication.c.name])
)
_is_ours = publication.c.held_by == sa.bindparam("holder")
_hold = Statement(
    sa.update(publication)
    .where(
        publication.c.name == sa.bindparam("of"),
        sa.or_(publication.c.held_by.is_(None), publication.c.held_until < sa.bindparam("now"), _is_ours),
    )
    .values(held_by=sa.bindparam("holder"), held_until=sa.bindparam("until"))
    .returning(publication.c.transaction_number, publication.c.audit_event_id)
)
_advance = Statement(
    sa.update(publication)
    .where(publication.c.name == sa.bindparam("of"), _is_ours)
    .values(transaction_number=sa.bindparam("to_transaction"), audit_event_id=sa.bindparam("to_number"))
)
_release = Statement(
    sa.update(publication)
    .where(publication.c.name == sa.bindparam("of"), _is_ours)
    .values(held_by=None, held_until=None)
)


async def begin(connection: Connection, name: str) -> None:
    """A publication that is not known yet begins with the first event."""
    await connection.run(_begin, name=name)


async def hold(connection: Connection, name: str, *, holder: UUID, now: datetime, until: datetime) -> Position | None:
    """Where `holder` goes on, who alone may until then; None while another one may."""
    row = await connection.row(_hold, of=name, holder=holder, now=now, until=until)
    return Position(row["transaction_number"], row["audit_event_id"]) if row else None


async def advance(connection: Connection, name: str, *, holder: UUID, to: Position) -> bool:
    """Whether `holder` was still the one."""
    values = {"to_transaction": to.transaction_number, "to_number": to.number}
    return await connection.run(_advance, of=name, holder=holder, **values) == 1


async def release(connection: Connection, name: str, *, holder: UUID) -> None:
    await connection.run(_release, of=name, holder=holder)
