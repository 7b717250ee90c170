"""`auth-service audit …`: what happened, and what of it is kept."""

from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from cyclopts import App

from auth_service.app import Administration
from auth_service.cli.administering import administer, rows_of
from auth_service.cli.options import Json, Limit, Yes
from auth_service.cli.terminal import confirm, moment, print_rows
from auth_service.domain.audit import OPERATOR, AuditEvent, AuditFilter, types_named
from auth_service.domain.identifiers import uuid_or_none
from auth_service.usecases.audit_log import AuditPage

audit = App(name="audit", help="The audit log: what happened. docs/audit.md tells what each event means.")


@audit.command(name="list")
def list_events(
    *,
    event: str = "",
    on: str = "",
    by: str = "",
    outcome: Literal["success", "refused"] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    request_id: str | None = None,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """Print events, newest first.

    Parameters
    ----------
    event
        Of this type only; one that ends in a dot means all that begin so, such as session.
    on
        On this person only: a user name, or the id of anybody, also of a service account or of somebody who was erased.
    by
        Done by them, named alike.
    outcome
        Which ended so.
    since
        At this moment or later, in UTC unless it says otherwise, such as 2026-11-22T09:30.
    until
        Before this moment.
    request_id
        Of this call only, as the log and the answer's metadata have it.
    """

    async def step(use: Administration) -> None:
        wanted = AuditFilter(
            types=types_named(event),
            subject_id=await _id_of(use, on),
            actor_id=await _id_of(use, by),
            outcome=outcome,
            since=_in_utc(since) if since else None,
            until=_in_utc(until) if until else None,
            request_id=request_id,
        )

        async def page(size: int, page_token: str) -> AuditPage:
            return await use.audit_log.page(wanted, page_size=size, page_token=page_token)

        found = rows_of(page, lambda found: found.events, most=limit)
        print_rows([_row(each, as_json=as_json) async for each in found], as_json=as_json)

    administer(step)


@audit.command
def prune(*, before: datetime, yes: Yes = False) -> None:
    """Delete what happened before a moment, at least thirty days ago. What waits for the broker stays.

    Parameters
    ----------
    before
        In UTC unless it says otherwise, such as 2026-01-01.
    """
    until = _in_utc(before)
    confirm(f"Delete every event before {moment(until)}?", yes=yes)

    async def step(use: Administration) -> None:
        print(f"deleted: {await use.audit_log.prune(before=until, origin=OPERATOR)}")

    administer(step)


@audit.command
def renumber(*, yes: Yes = False) -> None:
    """After a restore into another PostgreSQL server, before the service starts: put the log before all that comes.

    Whoever follows the log goes by the server's transaction numbers, and those of another server are greater, or not.
    """
    confirm("Put every event before all that comes? No service may run.", yes=yes)

    async def step(use: Administration) -> None:
        print(f"renumbered: {await use.audit_log.renumber()}")

    administer(step)


async def _id_of(use: Administration, who: str) -> UUID | None:
    """The log remembers ids of those whom nobody knows by name any more."""
    if not who:
        return None
    return uuid_or_none(who) or (await use.accounts.addressed(who)).id


def _row(event: AuditEvent, *, as_json: bool) -> dict[str, object]:
    who = event.actor_id or event.actor_kind
    if as_json:
        return {
            "id": str(event.id),
            "at": event.occurred_at,
            "type": event.type,
            "outcome": event.outcome,
            "reason": event.reason,
            "actor kind": event.actor_kind,
            "actor": event.actor_id,
            "subject": event.subject_id,
            "address": event.address,
            "request id": event.request_id,
            "details": dict(event.details),
        }
    return {
        "at": event.occurred_at,
        "type": event.type + (f" ({event.outcome})" if event.outcome != "success" else ""),
        "by": who,
        "on": event.subject_id,
        "from": event.address or None,
        "what": " ".join([event.reason, *(f"{name}={value}" for name, value in event.details.items())]).strip(),
    }


def _in_utc(given: datetime) -> datetime:
    return given if given.tzinfo else given.replace(tzinfo=UTC)
