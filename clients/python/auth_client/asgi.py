"""Guarding an ASGI application. Speaks ASGI itself, so it needs no framework: `auth-client` is enough.

A refusal says why in JSON, `{"reason": ..., "message": ...}`, as the service itself does over HTTP, and in
`WWW-Authenticate` as RFC 6750 section 3 asks.
"""

import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from .errors import AuthClientError, PermissionDenied, TokenRefused
from .guarding import current, one_bearer, refusal_of
from .rights import SIGNED_IN, Right
from .token import VerifiedToken
from .verifier import TokenVerifier

__all__ = ["Guard"]

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_App: TypeAlias = Callable[[_Message, _Receive, _Send], Awaitable[None]]
_POLICY_VIOLATION = 1008


class Guard:
    """Lets through who has `right`, for HTTP and WebSockets. Behind it, `caller()` says who calls.

    `public` are paths, exactly as they are, that anybody may use without saying who they are.
    """

    def __init__(
        self, app: _App, verifier: TokenVerifier, *, right: Right = SIGNED_IN, public: Collection[str] = ()
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._right = right
        self._public = frozenset(public)

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._public:
            await self._app(scope, receive, send)
            return
        try:
            given = [value for name, value in scope["headers"] if name == b"authorization"]
            caller = await admitted(given, self._verifier, self._right)
        except AuthClientError as error:
            await _refuse(refused(error), scope, receive, send)
            return
        before = current.set(caller)
        try:
            await self._app(scope, receive, send)
        finally:
            current.reset(before)


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal over HTTP."""

    status: int
    headers: dict[str, str]
    body: dict[str, str]


async def admitted(authorization: list[bytes], verifier: TokenVerifier, right: Right) -> VerifiedToken:
    """Who calls, if they have `right`. Raises TokenRefused, CallRefused or KeysUnavailable."""
    caller = await verifier.verify(one_bearer(authorization))
    right.check(caller)
    return caller


def refused(error: AuthClientError) -> Refused:
    """`error` as RFC 6750 section 3 asks. Raises it if it is none of a guard's."""
    refusal = refusal_of(error)
    headers = {"Cache-Control": "no-store"}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(round(refusal.retry_after.total_seconds()))
        status = 503
    elif isinstance(error, PermissionDenied):
        headers["WWW-Authenticate"] = 'Bearer error="insufficient_scope"'
        status = 403
    elif isinstance(error, TokenRefused):
        headers["WWW-Authenticate"] = f'Bearer error="invalid_token", error_description="{refusal.message}"'
        status = 401
    else:
        # Who did not bring a bearer token may not know that one is needed, so there is no error to name.
        headers["WWW-Authenticate"] = "Bearer"
        status = 401
    return Refused(status, headers, {"reason": refusal.reason, "message": refusal.message})


async def _refuse(refused: Refused, scope: _Message, receive: _Receive, send: _Send) -> None:
    prefix = ""
    if scope["type"] == "websocket":
        await receive()  # The wish to connect.
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
        prefix = "websocket."
    body = json.dumps(refused.body).encode()
    headers = refused.headers | {"Content-Type": "application/json", "Content-Length": str(len(body))}
    octets = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": f"{prefix}http.response.start", "status": refused.status, "headers": octets})
    await send({"type": f"{prefix}http.response.body", "body": b"" if scope.get("method") == "HEAD" else body})
