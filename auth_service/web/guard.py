"""Stands before every route: what no honest client sends is refused, and while there is too much to do most is."""

from collections.abc import Iterable, Sequence
from itertools import chain

import structlog
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from auth_service.domain.errors import Overloaded
from auth_service.web.connections import Crowd

log = structlog.get_logger()

LARGEST_HEAD = 16 << 10
"""Bytes of a request's first line and headers together."""
LONGEST_TARGET = 8 << 10
MOST_HEADERS = 100

_CLOSE = {"Connection": "close", "Cache-Control": "no-store"}


def guarded(app: ASGIApp, crowd: Crowd, *, always: Iterable[str]) -> ASGIApp:
    """`app`, for requests that have one reading; while `crowd` is busy, only for paths that are `always` answered."""
    whatever_happens = frozenset(always)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        refusal = _refusal_of(scope)
        if refusal is None and crowd.is_busy and scope["path"] not in whatever_happens:
            refusal = _too_busy()
        try:
            await (refusal or app)(scope, receive, send)
        except Exception:
            # The caller has its answer. The route tells where it was; a path of its own could hold a mailed token.
            log.exception("http.defect", method=scope["method"], route=getattr(scope.get("route"), "path", ""))

    return answer


def _refusal_of(scope: Scope) -> ASGIApp | None:
    headers: Sequence[tuple[bytes, bytes]] = scope["headers"]
    if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_TARGET:
        return _told(414, f"expected a path and query of at most {LONGEST_TARGET} bytes")
    # The parser bounds what it waits for; what came all at once is not.
    if len(headers) > MOST_HEADERS or sum(map(len, chain.from_iterable(headers))) > LARGEST_HEAD:
        return _told(431, f"expected at most {MOST_HEADERS} headers of {LARGEST_HEAD} bytes together")
    names = {name for name, _ in headers}
    if b"transfer-encoding" in names and b"content-length" in names:
        # A proxy in front may have ended it elsewhere, and take its rest for another request (RFC 9112 section 6.1).
        return _told(400, "expected one of Content-Length and Transfer-Encoding")
    if scope["http_version"] not in ("1.1", "1.0"):
        return _told(505, "expected HTTP/1.1")
    return None


def _told(status: int, message: str) -> ASGIApp:
    return JSONResponse({"message": message}, status, headers=_CLOSE)


def _too_busy() -> ASGIApp:
    body = {"reason": Overloaded.reason, "message": "too many requests at once; try again later"}
    return JSONResponse(body, 503, headers={**_CLOSE, "Retry-After": "1"})
