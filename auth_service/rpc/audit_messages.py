"""Audit events and the filters of their listing, from and to the wire."""

import re
from datetime import UTC, datetime

from auth_api.v1 import audit_pb2
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from auth_service.domain.audit import ActorKind, AuditEvent, AuditFilter, Outcome, types_named
from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.identifiers import uuid_in
from auth_service.rpc.wire import timestamp

_OUTCOMES: dict[Outcome, audit_pb2.AuditOutcome.ValueType] = {
    "success": audit_pb2.AUDIT_OUTCOME_SUCCESS,
    "refused": audit_pb2.AUDIT_OUTCOME_REFUSED,
}
_OUTCOMES_ASKED: dict[int, Outcome | None] = {
    audit_pb2.AUDIT_OUTCOME_UNSPECIFIED: None,
    **{number: word for word, number in _OUTCOMES.items()},
}
_ACTOR_KINDS: dict[ActorKind, audit_pb2.ActorKind.ValueType] = {
    "anonymous": audit_pb2.ACTOR_KIND_ANONYMOUS,
    "person": audit_pb2.ACTOR_KIND_PERSON,
    "service": audit_pb2.ACTOR_KIND_SERVICE,
    "operator": audit_pb2.ACTOR_KIND_OPERATOR,
    "system": audit_pb2.ACTOR_KIND_SYSTEM,
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,36}")


def event_message(event: AuditEvent) -> audit_pb2.AuditEvent:
    return audit_pb2.AuditEvent(
        event_id=str(event.id),
        occurred_at=timestamp(event.occurred_at),
        type=event.type,
        outcome=_OUTCOMES[event.outcome],
        reason=event.reason,
        actor_kind=_ACTOR_KINDS[event.actor_kind],
        actor_id=str(event.actor_id or ""),
        subject_id=str(event.subject_id or ""),
        address=event.address,
        request_id=event.request_id,
        details=event.details,
    )


def filter_in(request: audit_pb2.ListAuditEventsRequest) -> AuditFilter:
    """Raises InvalidInput for a field that no event can have."""
    if request.outcome not in _OUTCOMES_ASKED:
        raise InvalidInput(FieldViolation("outcome", "expected an AuditOutcome"))
    if request.request_id and not _REQUEST_ID.fullmatch(request.request_id):
        raise InvalidInput(FieldViolation("request_id", "expected the id of a call, of at most 36 letters"))
    return AuditFilter(
        types=types_named(request.type),
        subject_id=uuid_in(request.subject_id, field="subject_id") if request.subject_id else None,
        actor_id=uuid_in(request.actor_id, field="actor_id") if request.actor_id else None,
        outcome=_OUTCOMES_ASKED[request.outcome],
        since=_moment_in(request, "since"),
        until=_moment_in(request, "until"),
        request_id=request.request_id or None,
    )


def _moment_in(request: Message, field: str) -> datetime | None:
    if not request.HasField(field):
        return None
    given: Timestamp = getattr(request, field)
    try:
        return given.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(FieldViolation(field, "expected a moment of the years 1 to 9999")) from None
