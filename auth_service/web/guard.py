"""Stands before every route: what no honest client sends is refused, and while there is too much to do most is."""

from collections.abc import Collection, Iterable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from auth_service.domain.errors import Overloaded
from auth_service.web.connections import Crowd

LARGEST_HEAD = 16 << 10
"""Bytes of a request's first line and headers together."""
MOST_HEADERS = 100

_CLOSE = {"Connection": "close", "Cache-Control": "no-store"}


def guarded(app: ASGIApp, crowd: Crowd, *, always: Iterable[str]) -> ASGIApp:
    """`app`, for requests that have one reading; while `crowd` is busy, only for paths that are `always` answered."""
    whatever_happens = frozenset(always)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal_of(scope["headers"])
        if refusal is None and crowd.is_busy and scope["path"] not in whatever_happens:
            refusal = _too_busy()
        await (refusal or app)(scope, receive, send)

    return answer


def _refusal_of(headers: Collection[tuple[bytes, bytes]]) -> ASGIApp | None:
    if len(headers) > MOST_HEADERS:
        return JSONResponse({"message": f"expected at most {MOST_HEADERS} headers"}, 431, headers=_CLOSE)
    names = {name for name, _ in headers}
    if b"transfer-encoding" in names and b"content-length" in names:
        # A proxy in front may have ended it elsewhere, and take its rest for another request (RFC 9112 section 6.1).
        return JSONResponse({"message": "expected one of Content-Length and Transfer-Encoding"}, 400, headers=_CLOSE)
    return None


def _too_busy() -> ASGIApp:
    body = {"reason": Overloaded.reason, "message": "too many requests at once; try again later"}
    return JSONResponse(body, 503, headers={**_CLOSE, "Retry-After": "1"})
