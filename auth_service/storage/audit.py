"""The audit log: written in the transaction of what it tells, and never changed."""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

from auth_service.domain.audit import AuditEvent
from auth_service.storage.database import Connection, Statement
from auth_service.storage.schema import audit_event


class _TransactionNumber(sa.sql.functions.FunctionElement[int]):
    """Of two transactions, one of which began after the other had committed, the later one's is greater."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(_TransactionNumber)
def _one_writer_at_a_time(element: Any, compiler: Any, **options: Any) -> str:
    return "0"


@compiles(_TransactionNumber, "postgresql")
def _of_this_transaction(element: Any, compiler: Any, **options: Any) -> str:
    return "(pg_current_xact_id()::text)::bigint"


_add = Statement(
    sa.insert(audit_event)
    .values(
        {
            column.name: sa.bindparam(column.name)
            for column in audit_event.c
            if column.name not in ("id", "transaction_number")
        }
    )
    .values(transaction_number=_TransactionNumber())
    .inline()
)


async def add(connection: Connection, event: AuditEvent) -> None:
    """Write `event`, in the transaction that does what it tells."""
    await connection.run(
        _add,
        event_id=event.id,
        occurred_at=event.occurred_at,
        type=event.type.value,
        outcome=event.outcome,
        reason=event.reason,
        actor_kind=event.actor_kind,
        actor_id=event.actor_id,
        subject_id=event.subject_id,
        address=event.address,
        request_id=event.request_id,
        details=json.dumps(dict(event.details), ensure_ascii=False, sort_keys=True),
    )
