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
from auth_service.web.once import Once

OPENAPI, DESCRIPTORS = "/openapi.json", "/descriptors.binpb"
MAX_AGE_SECONDS, STALE_IF_ERROR_SECONDS = 300, 86_400


@dataclass(frozen=True, slots=True)
class _Made:
    body: bytes
    etag: str


def _document(path: str, make: Callable[[], bytes], *, media_type: str) -> Route:
    def made() -> _Made:
        body = make()
        return _Made(body, hashlib.sha256(body).hexdigest()[:32])

    once = Once(lambda: asyncio.to_thread(made))

    async def answer(request: Request) -> Response:
        document = await once.get()
        return cacheable(
            request,
            document.body,
            etag=document.etag,
            max_age=MAX_AGE_SECONDS,
            stale_if_error=STALE_IF_ERROR_SECONDS,
            media_type=media_type,
        )

    return Route(path, answer, methods=["GET"])


def routes(*, openapi: Callable[[], object], descriptors: Callable[[], bytes]) -> list[Route]:
    """`openapi` gives the document as JSON knows it."""

    def written() -> bytes:
        return json.dumps(openapi(), ensure_ascii=False, separators=(",", ":")).encode()

    return [
        _document(OPENAPI, written, media_type="application/json"),
        _document(DESCRIPTORS, descriptors, media_type="application/octet-stream"),
    ]
