"""The audit log: filtered, page by page, and as it grows.

A small script asks for the first page again and puts what is new on top (docs/pages.md says why it asks, rather than
holds a stream open). Without scripts, a reload does the same.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from auth_service.domain.policy import STRONGEST_LEVEL
from auth_service.web.methods import Answer
from auth_service.web.pages.admin.event_words import groups, in_words
from auth_service.web.pages.admin.sections import endpoint, query_of
from auth_service.web.pages.admin.wire import timestamp, word
from auth_service.web.pages.site import MARKED, SECURITY_HEADERS, Section, Site, sentence
from auth_service.web.pages.visits import Refused, Visit

PATH = "/admin/audit"
LEVEL = STRONGEST_LEVEL
PAGE_SIZE = 50
ASKED_AT_ONCE = 8
"""Names, while a page is made."""
_FILTERS = ("type", "outcome", "actor", "subject", "since", "until", "call")
_OUTCOMES = {"": "Any", "success": "Done", "refused": "Refused"}


def routes(site: Site) -> Sequence[BaseRoute]:
    return [
        Route(PATH, endpoint(site, _log, level=LEVEL)),
        Route(f"{PATH}/events", endpoint(site, _events, level=LEVEL)),
    ]


@dataclass(frozen=True, slots=True)
class Filter:
    """What the caller looks for. `typed` is as it stands in the form, `fields` as the method takes it."""

    typed: Mapping[str, str]
    fields: Mapping[str, Any]
    problems: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """An event as it is shown: names where they are known, the beginning of ids where not."""

    told: Any
    what: str
    is_refused: bool
    actor_kind: str
    actor: str
    subject: str
    details: Mapping[str, str] = field(default_factory=dict)


async def _log(visit: Visit) -> Response:
    wanted = await _filter(visit)
    answer = await _page(visit, wanted, page_token=visit.query("page")) if not wanted.problems else None
    if answer is not None and answer.code not in ("ok", "invalid_argument"):
        raise Refused(answer)
    found = answer.response if answer is not None and answer.code == "ok" else None
    is_first = not visit.query("page")
    next_page = found.next_page_token if found else ""
    problems = {"problems": wanted.problems, "status": 422, "refusal": MARKED} if wanted.problems else {}
    return await visit.page(
        "admin/audit.html",
        refused=answer if answer is not None and found is None else None,
        typed=wanted.typed,
        is_filtered=any(wanted.typed.values()),
        groups=groups(),
        outcomes=list(_OUTCOMES.items()),
        events=await shown(visit, found.events) if found else None,
        tag=_tag(found.events) if found else "",
        is_first=is_first,
        newest=PATH + query_of(**wanted.typed),
        next_page=PATH + query_of(**wanted.typed, page=next_page) if next_page else "",
        # What is over already does not grow.
        live=f"{PATH}/events{query_of(**wanted.typed)}" if found and is_first and not wanted.typed["until"] else "",
        **problems,
    )


async def _events(visit: Visit) -> Response:
    """The first page's events alone, if they are others than those of the `If-None-Match`."""
    wanted = await _filter(visit)
    answer = await _page(visit, wanted) if not wanted.problems else None
    if answer is None or answer.code == "invalid_argument":
        return Response(status_code=400, headers=SECURITY_HEADERS)
    if answer.code != "ok":
        raise Refused(answer)
    found = answer.response.events
    tag = _tag(found)
    if visit.request.headers.get("if-none-match", "") == tag:
        return Response(status_code=304, headers=SECURITY_HEADERS | {"ETag": tag})
    return await visit.site.page("admin/audit_events.html", headers={"ETag": tag}, events=await shown(visit, found))


async def _page(visit: Visit, wanted: Filter, *, page_token: str = "") -> Answer:
    return await visit.answer(
        "AuditService/ListAuditEvents", page_size=PAGE_SIZE, page_token=page_token, **wanted.fields
    )


async def _filter(visit: Visit) -> Filter:
    typed = {name: visit.query(name).strip() for name in _FILTERS}
    fields: dict[str, Any] = {"type": typed["type"], "request_id": typed["call"]}
    problems: defaultdict[str, str] = defaultdict(str)
    if typed["outcome"] in _OUTCOMES:
        fields["outcome"] = f"AUDIT_OUTCOME_{typed['outcome'].upper() or 'UNSPECIFIED'}"
    else:
        problems["outcome"] = "Expected done or refused."
    for name in ("since", "until"):
        moment = _moment(typed[name])
        if moment is not None:
            fields[name] = timestamp(moment)
        elif typed[name]:
            problems[name] = "Expected a day and a time of day, such as 2026-11-30T14:00."
    for name in ("actor", "subject"):
        id_, problem = await _id_of(visit, typed[name])
        if problem:
            problems[name] = problem
        else:
            fields[f"{name}_id"] = id_
    return Filter(typed, fields, problems)


def _moment(typed: str) -> datetime | None:
    """Of a day and a time of day, as a form sends them: in UTC, unless they say otherwise. None for anything else."""
    try:
        told = datetime.fromisoformat(typed)
        return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


async def _id_of(visit: Visit, typed: str) -> tuple[str, str]:
    """Of a person or a service account by name; an id is itself. And what is wrong with the name, if anything is."""
    try:
        return str(UUID(typed)) if typed else "", ""
    except ValueError:
        answer = await visit.answer("UserService/LookUpUser", username=typed)
    if answer.code == "ok":
        return str(answer.response.user_id), ""
    if answer.reason == "ACCOUNT_STATE":
        return "", sentence(answer.message)
    # Of all names that begin so, the name itself is the first.
    listed = await visit.answer("ServiceAccountService/ListServiceAccounts", page_size=1, name_prefix=typed)
    found = listed.response.service_accounts if listed.code == "ok" else ()
    ids = (str(each.service_account_id) for each in found if each.name == typed.lower())
    id_ = next(ids, "")
    return id_, "" if id_ else "Nobody, and no service, has this name or id."


def _tag(events: Sequence[Any]) -> str:
    """Another for other events."""
    return f'"{hashlib.sha256(" ".join(each.event_id for each in events).encode()).hexdigest()[:16]}"'


async def shown(visit: Visit, events: Sequence[Any]) -> Sequence[Event]:
    """The contract's `events`, with names."""
    names = await _names(visit, events)
    return [
        Event(
            each,
            in_words(each.type),
            word(each, "outcome") == "refused",
            word(each, "actor_kind"),
            names.get(each.actor_id, _in_short(each.actor_id)),
            names.get(each.subject_id, _in_short(each.subject_id)),
            dict(sorted(each.details.items())),
        )
        for each in events
    ]


def _in_short(id_: str) -> str:
    """Of somebody whose name is not known, as of a person who was deleted."""
    return f"{id_[:8]}…" if id_ else ""


async def _names(visit: Visit, events: Sequence[Any]) -> Mapping[str, str]:
    """By id, of the people and service accounts in `events`; whoever is gone has none."""
    services = {each.actor_id for each in events if word(each, "actor_kind") == "service"}
    services |= {each.subject_id for each in events if each.type.startswith(("service_account.", "api_key."))}
    ids = sorted({id_ for each in events for id_ in (each.actor_id, each.subject_id)} - {""})
    names: dict[str, str] = {}
    for first in range(0, len(ids), ASKED_AT_ONCE):
        asked = ids[first : first + ASKED_AT_ONCE]
        found = await asyncio.gather(*((_service if each in services else _person)(visit, each) for each in asked))
        names |= {id_: name for id_, name in zip(asked, found, strict=True) if name}
    return names


async def _person(visit: Visit, id_: str) -> str:
    """Their name; empty where they are gone."""
    answer = await visit.answer("UserService/LookUpUser", user_id=id_)
    return str(answer.response.username) if answer.code == "ok" else ""


async def _service(visit: Visit, id_: str) -> str:
    answer = await visit.answer("ServiceAccountService/GetServiceAccount", service_account_id=id_)
    return str(answer.response.service_account.name) if answer.code == "ok" else ""


SECTION = Section(PATH, "Audit log", LEVEL, routes)
