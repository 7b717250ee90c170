"""Check access tokens of auth-service in your own process.

This module needs neither gRPC nor the service; `HttpJwks` loads aiohttp when it first fetches. What calls the service
or guards a server is in `auth_client.aio`, `.sync`, `.grpclib`, `.asgi` and `.fastapi`, one for each stack.
"""

from .answers import CheckedToken, Experiment, ServerInfo, ServiceToken, TokenPair
from .errors import (
    AuthClientError,
    AuthError,
    CallRefused,
    Code,
    CredentialsInvalid,
    CredentialsMissing,
    KeySetRefused,
    KeysUnavailable,
    PermissionDenied,
    SignInRefused,
    TokenExpired,
    TokenInvalid,
    TokenRefused,
    TokenRevoked,
)
from .fetched_keys import KeyHealth
from .guarding import caller
from .http_jwks import HttpJwks
from .keys import KeySet, LeftOut
from .rights import HEALTH, PUBLIC, REFLECTION, SIGNED_IN, Right, Rights, role, scope
from .sign_in import ApiKey, Password, RefreshToken
from .sources import FixedKeys, KeySource
from .token import VerifiedToken
from .verifier import TokenVerifier

__all__ = [
    "HEALTH",
    "PUBLIC",
    "REFLECTION",
    "SIGNED_IN",
    "ApiKey",
    "AuthClientError",
    "AuthError",
    "CallRefused",
    "CheckedToken",
    "Code",
    "CredentialsInvalid",
    "CredentialsMissing",
    "Experiment",
    "FixedKeys",
    "HttpJwks",
    "KeyHealth",
    "KeySet",
    "KeySetRefused",
    "KeySource",
    "KeysUnavailable",
    "LeftOut",
    "Password",
    "PermissionDenied",
    "RefreshToken",
    "Right",
    "Rights",
    "ServerInfo",
    "ServiceToken",
    "SignInRefused",
    "TokenExpired",
    "TokenInvalid",
    "TokenPair",
    "TokenRefused",
    "TokenRevoked",
    "TokenVerifier",
    "VerifiedToken",
    "caller",
    "role",
    "scope",
]
