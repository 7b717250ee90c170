"""What an administrator sees first: how things stand, and what needs somebody.

Each part is asked for by itself: one that does not answer leaves a gap, not an empty page.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from auth_service.web.pages.admin import audit, service_accounts
from auth_service.web.pages.admin.key_views import Keys, keys_of
from auth_service.web.pages.admin.sections import endpoint
from auth_service.web.pages.admin.wire import moment, timestamp
from auth_service.web.pages.site import Section, Site
from auth_service.web.pages.visits import WEAKEST_ADMINISTRATOR, Refused, Visit

PATH = "/admin"
COUNTED = 500
"""Then it is `500 or more`: nobody waits for a number."""
LATELY = 8
MANY_REFUSED = 50
"""Sign-ins within an hour, from when on somebody should look."""
ACCOUNTS_LOOKED_AT = 100
ASKED_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Figure:
    """`count` None where it is not known just now."""

    count: int | None
    of: str
    path: str

    @property
    def told(self) -> str:
        return "?" if self.count is None else _told(self.count)


@dataclass(frozen=True, slots=True)
class Log:
    """What the log tells of the last day, or of the last hour where sign-ins were refused."""

    started: int | None
    refused: int | None
    reused: int | None


@dataclass(frozen=True, slots=True)
class Matter:
    """Something that needs somebody, and where they see to it."""

    text: str
    path: str


def routes(site: Site) -> Sequence[BaseRoute]:
    return [Route(PATH, endpoint(site, _overview))]


async def _overview(visit: Visit) -> Response:
    now = datetime.now(UTC)
    # All that is not everybody's is of one level, that of the log.
    sees_all = visit.me.level <= audit.LEVEL
    log = await _log(visit, now) if sees_all else None
    keys = await _or_none(keys_of(visit)) if sees_all else None
    matters = [*await _of_notices(visit), *_of_keys(keys)]
    if log is not None:
        matters += [*_of_log(log), *await _of_api_keys(visit, now)]
    return await visit.page(
        "admin/overview.html",
        figures=await _figures(visit, log),
        matters=matters,
        keys=keys,
        events=await _lately(visit) if sees_all else [],
    )


async def _log(visit: Visit, now: datetime) -> Log:
    day, hour = timestamp(now - timedelta(days=1)), timestamp(now - timedelta(hours=1))
    asked = (("session.started", day), ("session.refused", hour), ("session.reused", day))
    counts = (_count(visit, "AuditService/ListAuditEvents", "events", type=what, since=since) for what, since in asked)
    return Log(*await asyncio.gather(*counts))


async def _figures(visit: Visit, log: Log | None) -> Sequence[Figure]:
    active = await _count(visit, "UserService/ListUsers", "users", state="USER_STATE_ACTIVE")
    people = Figure(active, "person" if active == 1 else "people", "/people")
    if log is None:
        return [people]
    services = await _count(visit, "ServiceAccountService/ListServiceAccounts", "service_accounts")
    return [
        people,
        Figure(services, "service account" if services == 1 else "service accounts", "/service-accounts"),
        Figure(log.started, "sign-ins in 24 hours", "/audit?type=session.started"),
        Figure(log.refused, "refused in the last hour", "/audit?type=session.refused"),
    ]


async def _of_notices(visit: Visit) -> Sequence[Matter]:
    answer = await visit.answer("MaintenanceService/GetNotices")
    if answer.code != "ok":
        return []
    notices = (answer.response.maintenance, answer.response.scheduled_maintenance)
    return [Matter(f"A notice is shown: {each.message}", "/maintenance") for each in notices if each.show]


def _of_log(log: Log) -> Sequence[Matter]:
    found = []
    if log.reused:
        told = f"{_told(log.reused)} spent refresh token{'s' if log.reused > 1 else ''} came back within a day"
        found.append(Matter(f"{told}: stolen, perhaps. The sessions were ended.", "/audit?type=session.reused"))
    if log.refused is not None and log.refused >= MANY_REFUSED:
        found.append(
            Matter(f"{_told(log.refused)} sign-ins were refused within an hour.", "/audit?type=session.refused")
        )
    return found


def _of_keys(keys: Keys | None) -> Sequence[Matter]:
    if keys is None or not keys.consumers.behind or keys.now < keys.consumers.due_at:
        return []
    behind = len(keys.consumers.behind)
    waiting = f"{behind} consumer{'s' if behind > 1 else ''}"
    return [Matter(f"A rotation of the signing key waits for {waiting} without the next key.", "/signing-keys")]


async def _of_api_keys(visit: Visit, now: datetime) -> Sequence[Matter]:
    """Those that end soon and have no successor."""
    listed = await visit.answer("ServiceAccountService/ListServiceAccounts", page_size=ACCOUNTS_LOOKED_AT)
    accounts = listed.response.service_accounts if listed.code == "ok" else []
    found: list[Matter] = []
    for first in range(0, len(accounts), ASKED_AT_ONCE):
        asked = accounts[first : first + ASKED_AT_ONCE]
        ids = [each.service_account_id for each in asked]
        answers = await asyncio.gather(
            *(visit.answer("ServiceAccountService/ListApiKeys", service_account_id=each, page_size=10) for each in ids)
        )
        for account, answer in zip(asked, answers, strict=True):
            ends_at = _ends_at(answer.response.api_keys, now=now) if answer.code == "ok" else None
            if ends_at is not None and ends_at - now < service_accounts.SOON:
                text = f"The last good API key of {account.name} ends on {ends_at:%-d %b %Y, %H:%M} UTC."
                found.append(Matter(text, f"/service-accounts/{account.service_account_id}"))
    if listed.code == "ok" and listed.response.next_page_token:
        text = f"Keys that end soon are told here of the first {ACCOUNTS_LOOKED_AT} service accounts only."
        found.append(Matter(text, "/service-accounts"))
    return found


def _ends_at(keys: Sequence[Any], *, now: datetime) -> datetime | None:
    """When an account is without a good key; None if it has none already, or one without end."""
    ends = [moment(each, "expires_at") for each in keys if not each.HasField("revoked_at")]
    to_come = [each for each in ends if each is not None and each > now]
    return max(to_come) if to_come and None not in ends else None


async def _lately(visit: Visit) -> Sequence[audit.Event]:
    listed = await visit.answer("AuditService/ListAuditEvents", page_size=LATELY)
    return await audit.shown(visit, listed.response.events) if listed.code == "ok" else []


async def _count(visit: Visit, method: str, field: str, **fields: Any) -> int | None:
    answer = await visit.answer(method, page_size=COUNTED, **fields)
    return len(getattr(answer.response, field)) if answer.code == "ok" else None


async def _or_none(asked: Awaitable[Keys]) -> Keys | None:
    try:
        return await asked
    except Refused:
        return None


def _told(count: int) -> str:
    return f"{COUNTED} or more" if count >= COUNTED else str(count)


SECTION = Section(PATH, "Overview", WEAKEST_ADMINISTRATOR, routes)
