"""Everything this library raises, in one tree.

    AuthClientError
    ├── TokenRefused            the token is no good; `.reason` says why, `.code` is what an outsider may hear
    │   ├── TokenInvalid        TOKEN_INVALID
    │   ├── TokenExpired        TOKEN_EXPIRED
    │   └── TokenRevoked        TOKEN_REVOKED
    ├── KeysUnavailable         no verdict: there are no keys, or they are too old to trust
    ├── KeySetRefused           a document is no JSON Web Key Set
    ├── CallRefused             a call to your server may not go on
    │   ├── CredentialsMissing  it brought no `authorization`
    │   ├── CredentialsInvalid  it brought something else than one `Bearer <token>`
    │   └── PermissionDenied    its caller is known and may not do this
    └── AuthError               the identity service refused a call of yours, or could not be reached
        └── SignInRefused       it will not let you in (any longer), however often you ask

`TokenRefused.reason` is stable and meant for logs and metrics: malformed, too_large, header, algorithm, typ, crit,
unknown_key, revoked_key, signature, issuer, audience, claim, not_yet_valid, expired, revoked. No message ever contains
the token.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import IntEnum
from typing import ClassVar


class AuthClientError(Exception):
    """Any error of this library."""


class TokenRefused(AuthClientError):
    """The token must not be believed."""

    code: ClassVar[str] = "TOKEN_INVALID"

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TokenInvalid(TokenRefused):
    """Forged, broken, meant for somebody else, or signed by a key that is not known."""


class TokenExpired(TokenRefused):
    """Genuine, but its time is over. Refresh and try again."""

    code = "TOKEN_EXPIRED"


class TokenRevoked(TokenRefused):
    """Its session was ended, or its signing key was withdrawn for cause. Refresh or sign in again."""

    code = "TOKEN_REVOKED"


class KeysUnavailable(AuthClientError):
    """Nothing can be said about the token, because there are no keys fresh enough to judge it. Try again later."""

    reason: ClassVar[str] = "keys_unavailable"


class KeySetRefused(AuthClientError):
    """The document is not a JSON Web Key Set."""


class CallRefused(AuthClientError):
    """A call to your server may not go on. `reason` is what ErrorInfo says."""

    reason: ClassVar[str] = ""


class CredentialsMissing(CallRefused):
    """The call brought no `authorization`."""

    reason = "CREDENTIALS_MISSING"

    def __init__(self) -> None:
        super().__init__("this method needs `authorization: Bearer <access token>`")


class CredentialsInvalid(CallRefused):
    """The call brought something else than one `Bearer <token>`."""

    reason = "CREDENTIALS_INVALID"


class PermissionDenied(CallRefused):
    """The caller is known and may not do this."""

    reason = "PERMISSION_DENIED"


class Code(IntEnum):
    """How a call ended: gRPC's status codes, the same for each stack."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class AuthError(AuthClientError):
    """The service refused a call, or could not be reached.

    `reason` is one of auth_api.v1.ErrorReason without its prefix, or empty where the service did not get to answer.
    `field_violations` maps a field to what was expected of it.
    """

    def __init__(
        self,
        code: Code,
        reason: str,
        message: str,
        *,
        retry_after: timedelta | None = None,
        field_violations: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{reason or code.name}: {message}")
        self.code = code
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.field_violations = dict(field_violations or {})


class SignInRefused(AuthError):
    """The service will not let this session in (any longer), however often it asks; `reason` says why."""
