"""`/reference`: the contract, to be read: who may call what, what it takes and gives, and how it says no."""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth_service.web.api.contract import Contract, Field, Message, short_name
from auth_service.web.api.documents import MAX_AGE_SECONDS
from auth_service.web.api.prose import REASON_PREFIX, REASONS, Piece, Prose
from auth_service.web.cacheable import matches
from auth_service.web.connect import STATUS
from auth_service.web.once import Once
from auth_service.web.pages.site import Site

PAGE = "/reference"
_NAMES = {"google.protobuf.Timestamp": "timestamp", "google.protobuf.Duration": "duration"}
_NAMES |= {"google.protobuf.FieldMask": "field mask"}

Paragraphs = Sequence[Sequence[Piece]]


@dataclass(frozen=True, slots=True)
class FieldRow:
    """`type` leads to `leads_to` where that is not empty; `around` says how many of it there are."""

    name: str
    around: str
    type: str
    leads_to: str
    says: Paragraphs


@dataclass(frozen=True, slots=True)
class MethodEntry:
    name: str
    anchor: str
    path: str
    who: str
    is_public: bool
    is_stream: bool
    says: Paragraphs
    takes: Sequence[FieldRow]
    gives: Sequence[FieldRow]
    anchors: Sequence[str]
    """Of the two messages, which are nowhere else on the page."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A service, with methods; a message, with fields; or an enum, with values."""

    name: str
    anchor: str
    says: Paragraphs
    rows: Sequence[object]


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """`code` is gRPC's word; `status` is HTTP's number, as the JSON methods answer."""

    name: str
    code: str
    status: int
    says: Paragraphs


def routes(site: Site, *, contract: Callable[[], Contract]) -> list[Route]:
    async def written() -> Response:
        told = await asyncio.to_thread(lambda: entries(contract()))
        page = await site.page("reference.html", is_long=True, here=PAGE, **told)
        page.headers["Cache-Control"] = f"public, max-age={MAX_AGE_SECONDS}"
        page.headers["ETag"] = f'"{hashlib.sha256(page.body).hexdigest()[:32]}"'
        return page

    once = Once(written)

    async def reference(request: Request) -> Response:
        page = await once.get()
        headers = {
            name: value for name, value in page.headers.items() if name not in ("content-length", "content-type")
        }
        if matches(request.headers.get("if-none-match", ""), headers["etag"]):
            return Response(status_code=304, headers=headers)
        return Response(page.body, media_type="text/html", headers=headers)

    return [Route(PAGE, reference, methods=["GET"])]


def entries(contract: Contract) -> dict[str, Any]:
    """What the page shows: services, the messages that several of them share, enums, and reasons of refusals."""
    prose = Prose(contract)
    own = {name for service in contract.services for each in service.methods for name in (each.request, each.response)}
    shared = {name: each for name, each in contract.messages.items() if name not in own and each.name != "Permission"}
    enums = {name: each for name, each in contract.enums.items() if name != REASONS}
    return {
        "services": [
            Entry(each.name, each.name, prose.paragraphs(each.comment), list(_methods(contract, each.full_name, prose)))
            for each in sorted(contract.services, key=lambda each: each.name)
        ],
        "messages": [
            Entry(each.name, short_name(name), prose.paragraphs(each.comment), _rows(each, contract, prose))
            for name, each in sorted(shared.items())
        ],
        "enums": [
            Entry(
                each.name,
                short_name(name),
                prose.paragraphs(each.comment),
                [(value.name, value.number, prose.paragraphs(value.comment)) for value in each.values],
            )
            for name, each in sorted(enums.items())
        ],
        "reasons": list(_reasons(contract, prose)),
    }


def _methods(contract: Contract, service: str, prose: Prose) -> Iterator[MethodEntry]:
    found = next(each for each in contract.services if each.full_name == service)
    for each in found.methods:
        yield MethodEntry(
            name=each.name,
            anchor=f"{found.name}.{each.name}",
            path=each.path,
            who="anybody" if each.right.is_public else each.right.expectation.removeprefix("expected "),
            is_public=each.right.is_public,
            is_stream=each.is_stream,
            says=prose.paragraphs(each.comment),
            takes=_rows(contract.messages[each.request], contract, prose),
            gives=_rows(contract.messages[each.response], contract, prose),
            anchors=[short_name(each.request), short_name(each.response)],
        )


def _rows(message: Message, contract: Contract, prose: Prose) -> Sequence[FieldRow]:
    return [
        FieldRow(
            name=each.name,
            around=_around(each),
            type=_NAMES.get(each.type, short_name(each.type)),
            leads_to=short_name(each.type) if each.type in contract.messages or each.type in contract.enums else "",
            says=prose.paragraphs(each.comment),
        )
        for each in message.fields
    ]


def _around(field: Field) -> str:
    if field.key:
        return f"map from {field.key} to"
    if field.is_repeated:
        return "list of"
    if field.oneof:
        return f"one {field.oneof}:"
    return "optional" if field.is_optional else ""


def _reasons(contract: Contract, prose: Prose) -> Iterator[ReasonRow]:
    for each in contract.enums[REASONS].values:
        code, _, says = each.comment.partition(". ")
        # As the comments have it: `UNAVAILABLE, with google.rpc.RetryInfo. …`; the one without a status is never sent.
        word, _, more = code.partition(", ")
        if word.lower() not in STATUS:
            continue
        told = f"{says} {more[:1].upper()}{more[1:]}." if more else says
        yield ReasonRow(each.name.removeprefix(REASON_PREFIX), word, STATUS[word.lower()], prose.paragraphs(told))
