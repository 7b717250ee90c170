"""Somebody arrives for whom another system vouched: remembered, their session begun, and the event told.

A sign-in is the most there is to write, and each round trip costs as much as what it is for. So it is one statement
where the database chains writes; elsewhere it is three, of one transaction.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from auth_service.domain.audit import AuditEvent
from auth_service.domain.people import Identity, Person
from auth_service.domain.sessions import Session
from auth_service.storage import audit, people, sessions
from auth_service.storage.audit import TransactionNumber
from auth_service.storage.database import Connection, Statement
from auth_service.storage.schema import audit_event, session

_SESSION, _EVENT = "session_", "event_"
"""What the names of the second and the third write's values begin with."""


async def arrived(
    connection: Connection, identity: Identity, begun: Session, event: AuditEvent, *, now: datetime
) -> Person | None:
    """Who has come; None, and nothing written, if they may not sign in. For `Database.chained`.

    `begun` and `event` name the person that they would be of if nobody of this identity was ever here; they are written
    with the id of the person that is returned.
    """
    if connection.chains:
        values = people.remembering(identity, person_id=begun.person_id, now=now)
        values |= {_SESSION + name: value for name, value in sessions.values_of(begun).items()}
        values |= {_EVENT + name: value for name, value in audit.values_of(event).items()}
        row = await connection.row(_chain, **values)
        return people.person_of(row) if row is not None else None
    person = await people.remember(connection, identity, now=now)
    if person is not None:
        await sessions.add(connection, replace(begun, person_id=person.id))
        await audit.add(connection, replace(event, actor_id=person.id, subject_id=person.id))
    return person


def _made_of(table: sa.Table, prefix: str, given: dict[str, sa.ColumnElement[Any]], *, but: Collection[str]) -> sa.CTE:
    """An INSERT with the `given` columns, and all others but some as bind parameters; of no row where nobody came."""
    values = {
        column.name: given.get(column.name, sa.bindparam(prefix + column.name, type_=column.type))
        for column in table.c
        if column.name not in but
    }
    return sa.insert(table).from_select(list(values), sa.select(*values.values()).select_from(_person)).cte()


_person = people.REMEMBER.executable.cte("arrived")
_id = _person.c.person_id
_begun = _made_of(session, _SESSION, {"person_id": _id}, but=sessions.SET_LATER)
_told = _made_of(
    audit_event, _EVENT, {"actor_id": _id, "subject_id": _id, "transaction_number": TransactionNumber()}, but={"id"}
)
_chain = Statement(sa.select(_person).add_cte(_begun, _told))
