"""How a server finds out who is calling: one `authorization` value, nothing else. What each refusal is on the wire."""

import logging
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

from .errors import (
    AuthClientError,
    CallRefused,
    Code,
    CredentialsInvalid,
    CredentialsMissing,
    KeysUnavailable,
    PermissionDenied,
    TokenExpired,
    TokenInvalid,
    TokenRefused,
    TokenRevoked,
)
from .token import VerifiedToken

_log = logging.getLogger("auth_client")
LINGER = 0.1
"""Seconds. A grpc.aio client that is refused while it still writes a stream may report INTERNAL instead, so a guard
reads on for so long, unless the stream ends before."""
_RETRY_AFTER = timedelta(seconds=2)
# One wording for each code that outsiders may hear; the finer reason stays inside.
_MESSAGES = {
    TokenInvalid.code: "the access token is not valid",
    TokenExpired.code: "the access token has expired",
    TokenRevoked.code: "the access token was revoked",
}

current: ContextVar[VerifiedToken] = ContextVar("auth_client.caller")


def caller() -> VerifiedToken:
    """Who is calling: what the token of the call in progress says.

    Raises LookupError outside of a call, and in a method that is public.
    """
    return current.get()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as the caller sees it. `retry_after` is set where trying again helps."""

    code: Code
    reason: str
    message: str
    retry_after: timedelta | None = None


def one_bearer(authorization: Sequence[str | bytes]) -> str:
    """The token in the `authorization` values of a call. Raises CredentialsMissing, CredentialsInvalid."""
    if not authorization:
        raise CredentialsMissing
    if len(authorization) > 1:
        raise CredentialsInvalid("authorization: expected one value")
    value = authorization[0]
    text = value if isinstance(value, str) else value.decode("latin-1")
    scheme, _, token = text.partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not token:
        raise CredentialsInvalid("authorization: expected `Bearer <access token>`")
    return token


def refusal_of(error: AuthClientError) -> Refusal:
    """What the service itself would answer; the finer reason goes to the log.

    Raises `error` if it is none of a guard's.
    """
    _log.info("refused: %s", getattr(error, "reason", error))
    match error:
        case PermissionDenied():
            return Refusal(Code.PERMISSION_DENIED, error.reason, str(error))
        case CallRefused():
            return Refusal(Code.UNAUTHENTICATED, error.reason, str(error))
        case TokenRefused():
            return Refusal(Code.UNAUTHENTICATED, error.code, _MESSAGES[error.code])
        case KeysUnavailable():
            message = "no signing key is known that is fresh enough"
            return Refusal(Code.UNAVAILABLE, "SIGNING_UNAVAILABLE", message, _RETRY_AFTER)
        case _:
            raise error
