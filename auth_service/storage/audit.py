"""The audit log: written in the transaction of what it tells, and never changed.

Two orders. Pages are by time, newest first. A reader that follows the log goes by `Position`, in which nothing appears
behind what was read: it is told of a transaction only once no older one is under way.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from auth_service.domain.audit import AuditEvent, AuditFilter, Outcome
from auth_service.storage.database import Connection, Row, Statement
from auth_service.storage.schema import Moment, audit_event, publication


class TransactionNumber(sa.sql.functions.FunctionElement[int]):
    """Of two transactions, one of which began after the other had committed, the later one's is greater."""

    type = sa.BigInteger()
    inherit_cache = True


class _OldestUnderWay(sa.sql.functions.FunctionElement[int]):
    """No transaction with a smaller number than this one is under way, as the statement sees it."""

    type = sa.BigInteger()
    inherit_cache = True


class _NotYetGivenOut(sa.sql.functions.FunctionElement[int]):
    """No transaction of this server has this number or a greater one yet, as the statement sees it."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(TransactionNumber)
def _one_writer_at_a_time(element: Any, compiler: Any, **options: Any) -> str:
    return "0"


@compiles(TransactionNumber, "postgresql")
def _of_this_transaction(element: Any, compiler: Any, **options: Any) -> str:
    return "(pg_current_xact_id()::text)::bigint"


@compiles(_OldestUnderWay)
def _none_is(element: Any, compiler: Any, **options: Any) -> str:
    return "1"


@compiles(_OldestUnderWay, "postgresql")
def _of_the_snapshot(element: Any, compiler: Any, **options: Any) -> str:
    return "(pg_snapshot_xmin(pg_current_snapshot())::text)::bigint"


@compiles(_NotYetGivenOut)
def _all_are(element: Any, compiler: Any, **options: Any) -> str:
    return "1"


@compiles(_NotYetGivenOut, "postgresql")
def _beyond_the_snapshot(element: Any, compiler: Any, **options: Any) -> str:
    return "(pg_snapshot_xmax(pg_current_snapshot())::text)::bigint"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Of an event, in the order in which the log is followed."""

    transaction_number: int
    number: int


BEGINNING = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its place in the log."""

    position: Position
    event: AuditEvent


_add = Statement(
    sa.insert(audit_event)
    .values(
        {
            column.name: sa.bindparam(column.name)
            for column in audit_event.c
            if column.name not in ("id", "transaction_number")
        }
    )
    .values(transaction_number=TransactionNumber())
    .inline()
)
_position = sa.tuple_(audit_event.c.transaction_number, audit_event.c.id)
_follows = _position > sa.tuple_(
    sa.bindparam("transaction_number", type_=sa.BigInteger), sa.bindparam("number", type_=sa.BigInteger)
)
_is_settled = audit_event.c.transaction_number < _OldestUnderWay()
_after = Statement(
    sa.select(audit_event)
    .where(_follows, _is_settled)
    .order_by(audit_event.c.transaction_number, audit_event.c.id)
    .limit(sa.bindparam("most"))
)
_newest = Statement(
    sa.select(audit_event.c.transaction_number, audit_event.c.id)
    .where(_is_settled)
    .order_by(audit_event.c.transaction_number.desc(), audit_event.c.id.desc())
    .limit(1)
)
_find = Statement(
    sa.select(audit_event.c.transaction_number, audit_event.c.id).where(
        audit_event.c.event_id == sa.bindparam("event_id")
    )
)
_count_after = Statement(
    sa.select(sa.func.count().label("count")).select_from(
        sa.select(audit_event.c.id).where(_follows).limit(sa.bindparam("most")).subquery()
    )
)
_is_ahead = Statement(sa.select(audit_event.c.id).where(audit_event.c.transaction_number >= _NotYetGivenOut()).limit(1))
_first_unpublished = (
    sa.select(sa.func.min(audit_event.c.id))
    .where(_position > sa.tuple_(publication.c.transaction_number, publication.c.audit_event_id))
    .correlate(publication)
    .scalar_subquery()
)
_last = sa.select(sa.func.max(audit_event.c.id)).scalar_subquery()
_renumber_publications = Statement(
    sa.update(publication).values(
        transaction_number=0, audit_event_id=sa.func.coalesce(_first_unpublished - 1, _last, BEGINNING.number)
    )
)
_renumber = Statement(sa.update(audit_event).where(audit_event.c.transaction_number != 0).values(transaction_number=0))
_oldest = sa.select(audit_event.c.id).where(audit_event.c.occurred_at < sa.bindparam("before"))
# An event that waits for the broker stays. A publication that is nobody's any more is deleted by hand.
_is_published = ~sa.exists().where(
    _position > sa.tuple_(publication.c.transaction_number, publication.c.audit_event_id)
)
_prune = Statement(
    sa.delete(audit_event).where(
        audit_event.c.id.in_(
            _oldest.where(_is_published)
            .order_by(audit_event.c.occurred_at, audit_event.c.id)
            .limit(sa.bindparam("most"))
        )
    )
)


async def add(connection: Connection, *events: AuditEvent) -> None:
    """Write `events`, in the transaction that does what they tell. However many there are, one round trip."""
    await connection.run_many(_add, [values_of(event) for event in events])


async def page(
    connection: Connection, wanted: AuditFilter, *, before: tuple[datetime, int] | None, most: int
) -> Sequence[Recorded]:
    """Up to `most` events, newest first, of those before the moment and number of an event on the page before."""
    values: dict[str, Any] = {
        "subject_id": wanted.subject_id,
        "actor_id": wanted.actor_id,
        "request_id": wanted.request_id,
        "since": wanted.since,
        "until": wanted.until,
    }
    given = {name: value for name, value in values.items() if value is not None}
    types = sorted(wanted.types or ())
    given |= {f"type_{index}": str(each) for index, each in enumerate(types)}
    if before is not None:
        given |= {"before_moment": before[0], "before_number": before[1]}
    statement = _page(frozenset(given), wanted.outcome)
    return [_recorded(row) for row in await connection.rows(statement, most=most, **given)]


@cache
def _page(given: Collection[str], outcome: Outcome | None) -> Statement:
    """By the conditions that are given, so that each has its index. There are few hundred of them at most."""
    conditions: dict[str, sa.ColumnElement[bool]] = {
        **{name: audit_event.c[name] == sa.bindparam(name) for name in ("subject_id", "actor_id")},
        "request_id": audit_event.c.request_id == sa.bindparam("request_id"),
        "since": audit_event.c.occurred_at >= sa.bindparam("since"),
        "until": audit_event.c.occurred_at < sa.bindparam("until"),
        "before_moment": sa.tuple_(audit_event.c.occurred_at, audit_event.c.id)
        < sa.tuple_(sa.bindparam("before_moment", type_=Moment), sa.bindparam("before_number", type_=sa.BigInteger)),
    }
    # In so many words, for the index of those that were refused is of these words.
    has_ended_so = audit_event.c.outcome == sa.literal_column(f"'{outcome}'") if outcome else sa.true()
    types = [audit_event.c.type == sa.bindparam(name) for name in sorted(given) if name.startswith("type_")]
    return Statement(
        sa.select(audit_event)
        .where(*(condition for name, condition in conditions.items() if name in given))
        .where(has_ended_so, sa.or_(sa.false(), *types) if types else sa.true())
        .order_by(audit_event.c.occurred_at.desc(), audit_event.c.id.desc())
        .limit(sa.bindparam("most"))
    )


async def after(connection: Connection, position: Position, *, most: int) -> Sequence[Recorded]:
    """Up to `most` events behind `position`, in order; none that another might still come before."""
    rows = await connection.rows(
        _after, transaction_number=position.transaction_number, number=position.number, most=most
    )
    return [_recorded(row) for row in rows]


async def newest(connection: Connection) -> Position:
    """The last position that `after` would come to."""
    row = await connection.row(_newest)
    return Position(row["transaction_number"], row["id"]) if row else BEGINNING


async def find(connection: Connection, event_id: UUID) -> Position | None:
    row = await connection.row(_find, event_id=event_id)
    return Position(row["transaction_number"], row["id"]) if row else None


async def count_after(connection: Connection, position: Position, *, most: int) -> int:
    """How many events are behind `position`; counts to `most`."""
    row = await connection.row(
        _count_after, transaction_number=position.transaction_number, number=position.number, most=most
    )
    return int(row["count"]) if row else 0


async def is_ahead(connection: Connection) -> bool:
    """Whether the log was brought from another server, which had given out more transaction numbers than this one has.

    Nobody who follows gets to its end, or to anything that is new, until it is renumbered.
    """
    return await connection.row(_is_ahead) is not None


async def renumber(connection: Connection) -> int:
    """Put what there is in the order of its numbers, before all that comes; how many. Belongs in a transaction.

    What was published behind an event that was not is published again.
    """
    await connection.run(_renumber_publications)
    return await connection.run(_renumber)


async def prune(connection: Connection, *, before: datetime, most: int) -> int:
    """Delete up to `most` events that happened before `before` and are published wherever they go; how many.

    The database refuses to delete events of the last thirty days.
    """
    return await connection.run(_prune, before=before, most=most)


def values_of(event: AuditEvent) -> dict[str, Any]:
    """The columns of an event that the database does not fill by itself."""
    return {
        "event_id": event.id,
        "occurred_at": event.occurred_at,
        "type": str(event.type),
        "outcome": event.outcome,
        "reason": event.reason,
        "actor_kind": event.actor_kind,
        "actor_id": event.actor_id,
        "subject_id": event.subject_id,
        "address": event.address,
        "request_id": event.request_id,
        "details": json.dumps(dict(event.details), ensure_ascii=False, sort_keys=True),
    }


def _recorded(row: Row) -> Recorded:
    event = AuditEvent(
        id=row["event_id"],
        occurred_at=row["occurred_at"],
        type=row["type"],
        outcome=row["outcome"],
        reason=row["reason"],
        actor_kind=row["actor_kind"],
        actor_id=row["actor_id"],
        subject_id=row["subject_id"],
        address=row["address"],
        request_id=row["request_id"],
        details=json.loads(row["details"]),
    )
    return Recorded(Position(row["transaction_number"], row["id"]), event)
