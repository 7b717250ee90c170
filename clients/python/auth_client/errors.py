"""Everything this library raises, in one tree.

    AuthClientError
    ├── TokenRefused            the token is no good; `.reason` says why, `.code` is what an outsider may hear
    │   ├── TokenInvalid        TOKEN_INVALID
    │   ├── TokenExpired        TOKEN_EXPIRED
    │   └── TokenRevoked        TOKEN_REVOKED
    ├── KeysUnavailable         no verdict: there are no keys, or they are too old to trust
    ├── KeySetRefused           a document is no JSON Web Key Set
    └── AuthError               the identity service refused a call (`auth_client.aio`)

`TokenRefused.reason` is stable and meant for logs and metrics: malformed, too_large, header, algorithm, typ, crit,
unknown_key, revoked_key, signature, issuer, audience, claim, not_yet_valid, expired, revoked. No message ever contains
the token.
"""

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


class KeySetRefused(AuthClientError):
    """The document is not a JSON Web Key Set."""
