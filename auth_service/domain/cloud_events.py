"""Audit events as CloudEvents 1.0, in JSON, for whoever is told by a broker."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from auth_service.domain.audit import AuditEvent

MEDIA_TYPE = "application/cloudevents+json; charset=utf-8"
PREFIX = "auth."


class BrokerUnavailable(Exception):
    """The broker did not take everything. What it did take, it may be given again."""


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """One event as it leaves. Events of one `subject`, a person's id or "", keep their order."""

    id: str
    type: str
    subject: str
    body: bytes


class Broker(Protocol):
    """Where events go to."""

    async def publish(self, events: Sequence[CloudEvent]) -> int:
        """Returns once the broker has stored all of them: how many went to nobody, for nobody had asked for them.

        Events of one subject arrive in their order. Raises BrokerUnavailable.
        """
        ...

    async def close(self) -> None: ...


def cloud_event(event: AuditEvent, *, source: str) -> CloudEvent:
    """`event` as told by `source`, which is the issuer. The event's id is that of the log, however often it is sent."""
    subject = str(event.subject_id or "")
    envelope = {
        "specversion": "1.0",
        "id": str(event.id),
        "source": source,
        "type": PREFIX + event.type,
        # The attribute is left out where it would be empty (CloudEvents 1.0, section 3.1.1).
        **({"subject": subject} if subject else {}),
        "time": event.occurred_at.isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": {
            "outcome": event.outcome,
            "reason": event.reason,
            "actor": {"kind": event.actor_kind, "id": str(event.actor_id or "")},
            "address": event.address,
            "request_id": event.request_id,
            "details": dict(event.details),
        },
    }
    body = json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
    return CloudEvent(str(event.id), PREFIX + event.type, subject, body)
