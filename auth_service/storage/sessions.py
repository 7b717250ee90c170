"""Sessions: one row each. The compare-and-swap in `rotate` decides which of several refreshes wins."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from auth_service.domain.people import Person
from auth_service.domain.sessions import EndReason, Session
from auth_service.storage import people
from auth_service.storage.database import Connection, Row, Statement
from auth_service.storage.schema import Moment, person, session

SET_LATER = frozenset({"ended_at", "end_reason", "rotated_by"})
"""Columns that a session has no values for when it begins."""

_add = Statement(
    sa.insert(session).values(
        {column.name: sa.bindparam(column.name) for column in session.c if column.name not in SET_LATER}
    )
)
_find = Statement(
    sa.select(
        session.c.id,
        session.c.generation,
        session.c.started_at,
        session.c.rotated_at,
        session.c.expires_at,
        session.c.absolute_expires_at,
        session.c.ended_at,
        session.c.address,
        session.c.user_agent,
        session.c.rotated_by,
        *people.COLUMNS,
    )
    .join_from(session, person)
    .where(session.c.id == sa.bindparam("session_id"))
)
_rotate = Statement(
    sa.update(session)
    .where(
        session.c.id == sa.bindparam("session_id"),
        session.c.generation == sa.bindparam("spent"),
        session.c.ended_at.is_(None),
    )
    .values(
        generation=sa.bindparam("next"),
        rotated_at=sa.bindparam("rotated"),
        expires_at=sa.bindparam("expires"),
        rotated_by=sa.bindparam("by"),
    )
)
_end = Statement(
    sa.update(session)
    .where(session.c.id == sa.bindparam("session_id"), session.c.ended_at.is_(None))
    .values(ended_at=sa.bindparam("now"), end_reason=sa.bindparam("reason"))
    .returning(session.c.person_id)
)
_end_all = Statement(
    sa.update(session)
    .where(
        session.c.person_id == sa.bindparam("of"),
        session.c.ended_at.is_(None),
        session.c.expires_at > sa.bindparam("now"),
        sa.or_(sa.bindparam("only", type_=sa.Uuid).is_(None), session.c.id == sa.bindparam("only", type_=sa.Uuid)),
        sa.or_(sa.bindparam("keep", type_=sa.Uuid).is_(None), session.c.id != sa.bindparam("keep", type_=sa.Uuid)),
    )
    .values(ended_at=sa.bindparam("now"), end_reason=sa.bindparam("reason"))
    .returning(session.c.id)
)
_live = Statement(
    sa.select(*session.c)
    .where(
        session.c.person_id == sa.bindparam("person_id"),
        session.c.ended_at.is_(None),
        session.c.expires_at > sa.bindparam("now"),
        sa.tuple_(session.c.started_at, session.c.id)
        < sa.tuple_(sa.bindparam("before", type_=Moment), sa.bindparam("before_id", type_=sa.Uuid)),
    )
    .order_by(session.c.started_at.desc(), session.c.id.desc())
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_sweep = Statement(
    sa.delete(session).where(
        session.c.id.in_(
            sa.select(session.c.id).where(session.c.expires_at < sa.bindparam("before")).limit(sa.bindparam("most"))
        )
    )
)


async def add(connection: Connection, new: Session) -> None:
    await connection.run(_add, **values_of(new))


def values_of(new: Session) -> dict[str, Any]:
    """The columns of a session that begins."""
    return {
        "id": new.id,
        "person_id": new.person_id,
        "generation": new.generation,
        "started_at": new.started_at,
        "rotated_at": new.rotated_at,
        "expires_at": new.expires_at,
        "absolute_expires_at": new.absolute_expires_at,
        "address": new.address,
        "user_agent": new.user_agent,
    }


async def find(connection: Connection, session_id: UUID) -> tuple[Session, Person] | None:
    """The session and its person as they are now; None once it was swept."""
    row = await connection.row(_find, session_id=session_id)
    if row is None:
        return None
    return _session_of(row), people.person_of(row)


async def live(
    connection: Connection, person_id: UUID, *, now: datetime, before: tuple[datetime, UUID], most: int
) -> tuple[Session, ...]:
    """Up to `most` sessions of the person that go on at `now`, newest first, after the one that began at `before`."""
    moment, session_id = before
    rows = await connection.rows(_live, person_id=person_id, now=now, before=moment, before_id=session_id, most=most)
    return tuple(_session_of(row) for row in rows)


async def rotate(connection: Connection, successor: Session, *, by: UUID) -> bool:
    """Whether this call, of the replica `by`, spent the generation before `successor`'s.

    One statement, so of several exactly one did.
    """
    changed = await connection.run(
        _rotate,
        session_id=successor.id,
        spent=successor.generation - 1,
        next=successor.generation,
        rotated=successor.rotated_at,
        expires=successor.expires_at,
        by=by,
    )
    return changed == 1


async def end(connection: Connection, session_id: UUID, *, reason: EndReason, now: datetime) -> UUID | None:
    """Whose session this call ended; None where it had ended, or never was."""
    row = await connection.row(_end, session_id=session_id, reason=reason, now=now)
    return row["person_id"] if row is not None else None


async def end_all(
    connection: Connection,
    person_id: UUID,
    *,
    reason: EndReason,
    now: datetime,
    only: UUID | None = None,
    keep: UUID | None = None,
) -> tuple[UUID, ...]:
    """Those live sessions of the person that this call ended: `only` that one, or all but `keep`."""
    rows = await connection.rows(_end_all, of=person_id, reason=reason, now=now, only=only, keep=keep)
    return tuple(row["id"] for row in rows)


async def sweep(connection: Connection, *, before: datetime, most: int) -> int:
    """Delete up to `most` sessions that expired before `before`; how many."""
    return await connection.run(_sweep, before=before, most=most)


def _session_of(row: Row) -> Session:
    return Session(
        id=row["id"],
        person_id=row["person_id"],
        generation=row["generation"],
        started_at=row["started_at"],
        rotated_at=row["rotated_at"],
        expires_at=row["expires_at"],
        absolute_expires_at=row["absolute_expires_at"],
        ended_at=row["ended_at"],
        address=row["address"] or "",
        user_agent=row["user_agent"] or "",
        rotated_by=row["rotated_by"],
    )
