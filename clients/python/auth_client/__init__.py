"""Check access tokens of auth-service in your own process, and call the service (`auth_client.aio`).

This module needs neither gRPC nor the service; `HttpJwks` loads aiohttp when it first fetches.
"""

from .errors import (
    AuthClientError,
    KeySetRefused,
    KeysUnavailable,
    TokenExpired,
    TokenInvalid,
    TokenRefused,
    TokenRevoked,
)
from .http_jwks import HttpJwks, KeyHealth
from .keys import KeySet
from .sources import FixedKeys, KeySource
from .token import VerifiedToken
from .verifier import TokenVerifier

__all__ = [
    "AuthClientError",
    "FixedKeys",
    "HttpJwks",
    "KeyHealth",
    "KeySet",
    "KeySetRefused",
    "KeySource",
    "KeysUnavailable",
    "TokenExpired",
    "TokenInvalid",
    "TokenRefused",
    "TokenRevoked",
    "TokenVerifier",
    "VerifiedToken",
]
