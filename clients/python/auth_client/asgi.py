"""Guarding an ASGI application. Speaks ASGI itself, so it needs no framework: `auth-client` is enough.

A refusal says why in JSON, `{"reason": ..., "message": ...}`, as the service itself does over HTTP, and in
`WWW-Authenticate` as RFC 6750 section 3 asks.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import quote, unquote_to_bytes

from .errors import AuthClientError, PermissionDenied, TokenRefused
from .guarding import current, one_bearer, refusal_of
from .policy import Verdict
from .policy_file import PolicyFile
from .rights import SIGNED_IN, Right
from .token import VerifiedToken
from .verifier import TokenVerifier

__all__ = ["Guard", "PolicyFile", "PolicyGuard"]

_Message: TypeAlias = MutableMapping[str, Any]
_Receive: TypeAlias = Callable[[], Awaitable[_Message]]
_Send: TypeAlias = Callable[[_Message], Awaitable[None]]
_App: TypeAlias = Callable[[_Message, _Receive, _Send], Awaitable[None]]
_POLICY_VIOLATION = 1008
_LOOK_EVERY = 1.0
"""Seconds between looks at a policy's file."""


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


class PolicyGuard:
    """Lets through whom a policy lets through: the file that gateways obey, for HTTP and WebSockets.

    `policies` was loaded; it is looked at again while requests come. Behind the guard `caller()` says who calls, where
    anybody says so.
    """

    def __init__(self, app: _App, verifier: TokenVerifier, policies: PolicyFile) -> None:
        self._app = app
        self._verifier = verifier
        self._policies = policies
        self._looked_at = time.monotonic()
        self._look: asyncio.Task[None] | None = None

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        self._look_again()
        try:
            caller = await self._admitted(scope)
        except AuthClientError as error:
            await _refuse(refused(error), scope, receive, send)
            return
        if caller is None:
            await self._app(scope, receive, send)
            return
        before = current.set(caller)
        try:
            await self._app(scope, receive, send)
        finally:
            current.reset(before)

    async def _admitted(self, scope: _Message) -> VerifiedToken | None:
        """Who calls, as far as that is known. Raises TokenRefused, CallRefused or KeysUnavailable."""
        policy = self._policies.current
        # A WebSocket begins as a GET.
        method, target = scope.get("method", "GET"), _target(scope)
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        try:
            caller = await self._verifier.verify(one_bearer(given))
        except AuthClientError:
            if policy.verdict(method, target, None) is Verdict.ADMITTED:
                return None
            raise
        if policy.verdict(method, target, policy.holder(caller)) is not Verdict.ADMITTED:
            raise PermissionDenied("the policy does not let you do this")
        return caller

    def _look_again(self) -> None:
        """Off the way of requests: this one still meets the policy that is in force."""
        if time.monotonic() - self._looked_at >= _LOOK_EVERY and (self._look is None or self._look.done()):
            self._looked_at = time.monotonic()
            self._look = asyncio.create_task(self._policies.poll())


def _target(scope: _Message) -> str:
    """The path as it came. Empty, which no policy allows, if the application is going to see another one."""
    path: str = scope["path"]
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return quote(path)
    return raw.decode("latin-1") if unquote_to_bytes(raw) == path.encode(errors="surrogateescape") else ""


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
