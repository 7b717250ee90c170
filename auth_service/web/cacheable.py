"""Documents that whoever fetched them may keep, and asks for again by their ETag."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PIECE = 64 << 10
"""Bytes."""


class _InPieces(Response):
    """Each is written when the one before is on its way: a client that does not read has one kept for it, not all."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for first in range(0, len(self.body), PIECE):
            end = first + PIECE
            piece = self.body[first:end]
            await send({"type": "http.response.body", "body": piece, "more_body": end < len(self.body)})


def cacheable(
    request: Request, document: bytes, *, etag: str, max_age: int, stale_if_error: int, media_type: str
) -> Response:
    """`etag` names the contents. For everybody: scripts of any origin may read it."""
    headers = {
        "Cache-Control": f"public, max-age={max_age}, stale-if-error={stale_if_error}",
        "ETag": f'"{etag}"',
        "Access-Control-Allow-Origin": "*",
        "X-Content-Type-Options": "nosniff",
    }
    if matches(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    response = Response if len(document) <= PIECE else _InPieces
    return response(document, media_type=media_type, headers=headers)


def matches(if_none_match: str, etag: str) -> bool:
    """The weak comparison of RFC 9110 section 13.1.2."""
    return if_none_match.strip() == "*" or etag in (
        each.strip().removeprefix("W/") for each in if_none_match.split(",")
    )
