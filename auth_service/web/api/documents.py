"""`/openapi.json` and `/descriptors.binpb`: made when somebody first asks, beside the loop, and kept."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth_service.web.cacheable import cacheable

OPENAPI, DESCRIPTORS = "/openapi.json", "/descriptors.binpb"
MAX_AGE_SECONDS, STALE_IF_ERROR_SECONDS = 300, 86_400


@dataclass(frozen=True, slots=True)
class _Made:
    body: bytes
    etag: str


class Document:
    """What `make` makes, once."""

    def __init__(self, make: Callable[[], bytes], *, media_type: str) -> None:
        self._make = make
        self._media_type = media_type
        self._making: asyncio.Task[_Made] | None = None

    async def answer(self, request: Request) -> Response:
        if self._making is None or (self._making.done() and self._making.exception()):
            self._making = asyncio.create_task(asyncio.to_thread(self._made))
        # Whoever hangs up does not keep the others from it.
        made = await asyncio.shield(self._making)
        return cacheable(
            request,
            made.body,
            etag=made.etag,
            max_age=MAX_AGE_SECONDS,
            stale_if_error=STALE_IF_ERROR_SECONDS,
            media_type=self._media_type,
        )

    def _made(self) -> _Made:
        body = self._make()
        return _Made(body, hashlib.sha256(body).hexdigest()[:32])


def routes(*, openapi: Callable[[], object], descriptors: Callable[[], bytes]) -> list[Route]:
    """`openapi` gives the document as JSON knows it."""

    def written() -> bytes:
        return json.dumps(openapi(), ensure_ascii=False, separators=(",", ":")).encode()

    return [
        Route(OPENAPI, Document(written, media_type="application/json").answer, methods=["GET"]),
        Route(DESCRIPTORS, Document(descriptors, media_type="application/octet-stream").answer, methods=["GET"]),
    ]
