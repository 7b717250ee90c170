"""Everything that another system was ever seen to do instead of answering.

slow:<seconds>   answers after that long          hang            says nothing until the fault is taken back
status <code>    that status, in plain text       reset           breaks the connection off
html             a page instead of JSON           redirect        307 to another path
bad json         JSON that ends too early         huge            100 MB
null             JSON null                        graphql errors  errors and no data
empty list       []                               answer <json>   whatever is asked for
string id        the right number, as a string    wrong user id   a number that is nobody's
"""

import asyncio
import gzip
import io
import socket
import struct
from functools import cache
from http import HTTPStatus

from aiohttp import web

ELSEWHERE = "/elsewhere"
HUGE = 100 * 1000 * 1000

_CHUNK = b" " * 65536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_BODIES = {
    "html": "<!doctype html><html><body><h1>Down for maintenance</h1></body></html>",
    "bad json": '{"userId": 1001, "data": {"proposals": [',
    "nested": "[" * 100_000,
    "null": "null",
    "empty list": "[]",
    "string id": '{"userId": "1001"}',
    "wrong user id": '{"userId": 999999}',
    "graphql errors": '{"errors": [{"message": "secret of the database"}], "data": null}',
}
_GRAPHQL_BODIES = {"null": '{"data": {"proposals": null}}', "empty list": '{"data": {"proposals": []}}'}
_STATUSES = {str(status.value) for status in HTTPStatus if status >= HTTPStatus.OK}
_WITHOUT_BODY = ("hang", "reset", "redirect", "huge", "bomb")


def is_fault(mode: str) -> bool:
    kind, argument = _parts(mode)
    match kind:
        case "slow":
            return argument.replace(".", "", 1).isdecimal()
        case "status":
            return argument in _STATUSES
    return kind == "answer" or mode in _WITHOUT_BODY or mode in _BODIES


async def answer(mode: str, request: web.Request, *, taken_back: asyncio.Event) -> web.StreamResponse | None:
    """What goes out in place of the true answer; None where that one follows after all."""
    kind, argument = _parts(mode)
    match kind:
        case "slow":
            await _wait(taken_back, seconds=float(argument))
            return None
        case "hang":
            await _wait(taken_back, seconds=None)
            return None
        case "reset":
            return _reset(request)
        case "status":
            return web.Response(status=int(argument), text=HTTPStatus(int(argument)).phrase)
        case "redirect":
            return web.Response(status=HTTPStatus.TEMPORARY_REDIRECT, headers={"Location": ELSEWHERE})
        case "huge":
            return await _huge(request)
        case "bomb":
            return _bomb(request)
        case "answer":
            return _as_if_it_were_fine(request, argument)
    body = _GRAPHQL_BODIES.get(mode) if request.path == "/graphql" else None
    return _as_if_it_were_fine(request, body or _BODIES[mode], is_html=mode == "html")


def _parts(mode: str) -> tuple[str, str]:
    kind, _, argument = mode.partition(":" if mode.startswith("slow:") else " ")
    return kind, argument


def _as_if_it_were_fine(request: web.Request, body: str, *, is_html: bool = False) -> web.Response:
    status = HTTPStatus.CREATED if request.path == "/v1/sessions" else HTTPStatus.OK
    return web.Response(status=status, text=body, content_type="text/html" if is_html else "application/json")


async def _wait(taken_back: asyncio.Event, *, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await taken_back.wait()
    except TimeoutError:
        return


def _reset(request: web.Request) -> web.Response:
    """RST instead of FIN, and not a byte before it."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()


async def _huge(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=_as_if_it_were_fine(request, "").status)
    response.content_type = "application/json"
    await response.prepare(request)
    for _ in range(HUGE // len(_CHUNK)):
        await response.write(_CHUNK)
    await response.write_eof()
    return response


def _bomb(request: web.Request) -> web.Response:
    response = _as_if_it_were_fine(request, "")
    response.body = _compressed()
    response.headers["Content-Encoding"] = "gzip"
    return response


@cache
def _compressed() -> bytes:
    body = io.BytesIO()
    with gzip.GzipFile(fileobj=body, mode="wb") as compressed:
        for _ in range(HUGE // len(_CHUNK)):
            compressed.write(_CHUNK)
    return body.getvalue()
