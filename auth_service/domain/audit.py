"""What happened, for those who have to answer for it: who did what, from where, on whom, and how it ended.

An event never holds a secret: no token, no password, no mail address, and of a name that nobody has no more than its
first three letters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID, uuid4

from auth_service.domain.errors import FieldViolation, InvalidInput
from auth_service.domain.policy import Caller, OperatorCalling, PersonCalling, ServiceCalling

Outcome = Literal["success", "refused"]
ActorKind = Literal["anonymous", "person", "service", "operator", "system"]


class EventType(StrEnum):
    """Everything that is told. A word, once used, keeps its meaning: consumers branch on it."""

    SESSION_STARTED = "session.started"
    SESSION_REFUSED = "session.refused"
    SESSION_ENDED = "session.ended"
    SESSION_REUSED = "session.reused"

    PERSON_REGISTERED = "person.registered"
    PERSON_CREATED = "person.created"
    PERSON_UPDATED = "person.updated"
    PERSON_DISABLED = "person.disabled"
    PERSON_ENABLED = "person.enabled"
    PERSON_DELETED = "person.deleted"
    PERSON_PURGED = "person.purged"

    PASSWORD_CHANGED = "password.changed"  # noqa: S105 -- the name of an event
    PASSWORD_SET = "password.set"  # noqa: S105 -- the name of an event
    PASSWORD_RESET_REQUESTED = "password.reset_requested"  # noqa: S105 -- the name of an event
    PASSWORD_RESET = "password.reset"  # noqa: S105 -- the name of an event
    EMAIL_VERIFICATION_REQUESTED = "email.verification_requested"
    EMAIL_VERIFIED = "email.verified"

    ROLE_CREATED = "role.created"
    ROLE_UPDATED = "role.updated"
    ROLE_DELETED = "role.deleted"
    ROLE_GRANTED = "role.granted"
    ROLE_REVOKED = "role.revoked"
    STAFF_ADDED = "staff.added"
    STAFF_REMOVED = "staff.removed"

    SERVICE_ACCOUNT_CREATED = "service_account.created"
    SERVICE_ACCOUNT_DELETED = "service_account.deleted"
    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"

    SIGNING_KEY_ROTATED = "signing_key.rotated"
    SIGNING_KEY_REVOKED = "signing_key.revoked"
    SIGNING_KEY_ROLLED_BACK = "signing_key.rolled_back"
    SIGNING_KEY_CANARY_MINTED = "signing_key.canary_minted"

    NOTICE_CHANGED = "notice.changed"

    AUDIT_PRUNED = "audit.pruned"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who calls, from where, in which call. `caller` is None for somebody who did not say, or could not show, who.

    `is_system` where nobody calls: the service does what is due.
    """

    caller: Caller | None = None
    address: str = ""
    user_agent: str = ""
    request_id: str = ""
    is_system: bool = False


OPERATOR = Origin(OperatorCalling())
"""The command line."""
SYSTEM = Origin(is_system=True)
"""The service itself."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One row of the audit log. `subject_id` is on whom; `actor_id` is the person's or service account's.

    `type` is an EventType, or the word of a newer release that shares the database.
    """

    id: UUID
    occurred_at: datetime
    type: str
    outcome: Outcome
    reason: str
    actor_kind: ActorKind
    actor_id: UUID | None
    subject_id: UUID | None
    address: str
    request_id: str
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events: those for which all that is not None holds. `since` is part of the span, `until` is not."""

    types: frozenset[EventType] | None = None
    subject_id: UUID | None = None
    actor_id: UUID | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None
    request_id: str | None = None


def types_named(word: str) -> frozenset[EventType] | None:
    """The type that is spelt so, or all that begin so if `word` ends in a dot; None, for any, if it is empty.

    Raises InvalidInput where there is none.
    """
    if not word:
        return None
    found = frozenset(each for each in EventType if each == word or (word.endswith(".") and each.startswith(word)))
    if not found:
        raise InvalidInput(
            FieldViolation("type", "expected a type of docs/audit.md, or the beginning of some to a dot")
        )
    return found


def happened(
    what: EventType,
    *,
    origin: Origin,
    now: datetime,
    on: UUID | None = None,
    by: UUID | None = None,
    outcome: Outcome = "success",
    reason: str = "",
    **details: str,
) -> AuditEvent:
    """The event that tells `what`. `by` is the person who has just shown who they are, where `origin` does not know."""
    kind, actor_id = ("person", by) if by is not None else _actor(origin)
    return AuditEvent(
        id=uuid4(),
        occurred_at=now,
        type=what,
        outcome=outcome,
        reason=reason,
        actor_kind=kind,
        actor_id=actor_id,
        subject_id=on,
        address=origin.address,
        request_id=origin.request_id,
        details=details,
    )


def _actor(origin: Origin) -> tuple[ActorKind, UUID | None]:
    match origin.caller:
        case PersonCalling(person_id=person_id):
            return "person", person_id
        case ServiceCalling(account_id=account_id):
            return "service", account_id
        case OperatorCalling():
            return "operator", None
        case None:
            return "system" if origin.is_system else "anonymous", None
