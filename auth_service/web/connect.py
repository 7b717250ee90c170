"""JSON for every method that answers once: `POST /auth_api.v1.AuthService/Login`, by the rules of the Connect protocol.

It moves bytes only; the methods are those of gRPC, which `app` hands in. Identity comes from `Authorization: Bearer`
and never from a cookie, so no other site can call in a person's name.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from auth_service.web.bodies import TooLarge, body_of, media_type_of
from auth_service.web.methods import Detail, Methods, retry_after
from auth_service.web.peers import metadata_of, peer_of

JSON, PROTO = "application/json", "application/proto"
LONGEST_TIMEOUT_DIGITS = 10

STATUS = {
    "canceled": 499,
    "unknown": 500,
    "invalid_argument": 400,
    "deadline_exceeded": 504,
    "not_found": 404,
    "already_exists": 409,
    "permission_denied": 403,
    "resource_exhausted": 429,
    "failed_precondition": 400,
    "aborted": 409,
    "out_of_range": 400,
    "unimplemented": 501,
    "internal": 500,
    "unavailable": 503,
    "data_loss": 500,
    "unauthenticated": 401,
}
"""The Connect protocol's table, by code."""


def routes(methods: Methods) -> list[Route]:
    async def unary(request: Request) -> Response:
        # Not of `request.url`, which leaves tabs and line ends out.
        method = request.scope["path"]
        if method not in methods:
            return _refusal(
                "unimplemented", "there is no such method, or it is a stream: those are for gRPC", status=404
            )
        content_type = media_type_of(request)
        if content_type not in (JSON, PROTO):
            return _refusal("unknown", f"Content-Type: expected {JSON} or {PROTO}", status=415)
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            return _refusal("unimplemented", "Content-Encoding: expected identity")
        if request.headers.get("connect-protocol-version", "1") != "1":
            return _refusal("invalid_argument", "Connect-Protocol-Version: expected 1")
        timeout = request.headers.get("connect-timeout-ms")
        if timeout is not None and not (
            timeout.isascii() and timeout.isdigit() and len(timeout) <= LONGEST_TIMEOUT_DIGITS
        ):
            return _refusal("invalid_argument", "Connect-Timeout-Ms: expected milliseconds, up to 10 digits")
        try:
            body = await body_of(request)
        except TooLarge as error:
            return _refusal("resource_exhausted", str(error), status=413)
        answer = await methods.call(
            method,
            body,
            is_json=content_type == JSON,
            metadata=metadata_of(request),
            peer=peer_of(request),
            timeout=None if timeout is None else int(timeout) / 1000,
        )
        headers = {f"Trailer-{name}": value for name, value in answer.trailers}
        if answer.code != "ok":
            return _refusal(answer.code, answer.message, details=answer.details, headers=headers)
        encoded = answer.encoded(is_json=content_type == JSON)
        return Response(encoded, media_type=content_type, headers={**headers, "Cache-Control": "no-store"})

    return [Route(f"/{service}/{{method}}", unary, methods=["POST"]) for service in methods.services]


def _refusal(
    code: str,
    message: str,
    *,
    status: int | None = None,
    details: Sequence[Detail] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {"code": code, "message": message}
    if details:
        body["details"] = [
            {"type": each.type, "value": b64encode(each.value).rstrip(b"=").decode(), "debug": each.says}
            for each in details
        ]
    told = {"Cache-Control": "no-store", **(headers or {}), **_challenge(code), **retry_after(details)}
    return Response(json.dumps(body), status_code=status or STATUS[code], media_type=JSON, headers=told)


def _challenge(code: str) -> dict[str, str]:
    return {"WWW-Authenticate": "Bearer"} if code == "unauthenticated" else {}
