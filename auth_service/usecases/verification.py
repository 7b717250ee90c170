"""Who holds this token, and who is calling: decided in memory, with the verifier that the client library ships."""

import hashlib
import hmac
from collections.abc import Mapping
from uuid import UUID

from auth_client import KeysUnavailable, TokenRefused, TokenVerifier, VerifiedToken

from auth_service.domain.errors import AccessTokenRefused, CredentialsInvalid, CredentialsMissing, SigningUnavailable
from auth_service.domain.policy import Caller, PersonCalling, ServiceCalling

SCOPES_OF_SETTINGS = frozenset({"experiments:read"})
"""What keys in the settings may do: what the one key of the service before us did."""


class Verification:
    """Checks access tokens and API keys. Does no I/O."""

    def __init__(self, verifier: TokenVerifier, *, api_keys: Mapping[str, str]) -> None:
        """`api_keys` are secrets by the name of the service that holds them."""
        self._verifier = verifier
        self._api_keys = {name: _digest(secret) for name, secret in api_keys.items()}

    def verify(self, token: str) -> VerifiedToken:
        """What a good access token claims. Raises AccessTokenRefused, SigningUnavailable."""
        try:
            return self._verifier.verify_now(token)
        except TokenRefused as error:
            raise AccessTokenRefused(reason=error.code, detail=error.reason) from None
        except KeysUnavailable:
            raise SigningUnavailable from None

    async def caller(self, authorization: tuple[str, ...]) -> Caller:
        """Who sent these `authorization` values; there must be exactly one.

        Raises CredentialsMissing, CredentialsInvalid, AccessTokenRefused, SigningUnavailable.
        """
        if not authorization:
            raise CredentialsMissing
        if len(authorization) > 1:
            raise CredentialsInvalid("authorization: expected one value")
        scheme, _, credential = authorization[0].partition(" ")
        credential = credential.strip()
        if scheme.lower() != "bearer" or not credential:
            raise CredentialsInvalid("authorization: expected `Bearer <access token or API key>`")
        # An API key has no dots, a JWT has two; the verifier judges everything that might be one.
        if credential.count(".") == 2:
            return _person(self.verify(credential))
        return self._service(credential)

    def _service(self, secret: str) -> ServiceCalling:
        digest = _digest(secret)
        # Every key is compared, so that the time tells nothing about which of them came near.
        names = [name for name, known in self._api_keys.items() if hmac.compare_digest(digest, known)]
        if not names:
            raise CredentialsInvalid("authorization: expected an access token or API key of this service")
        return ServiceCalling(names[0], scopes=SCOPES_OF_SETTINGS)


def _person(token: VerifiedToken) -> PersonCalling:
    return PersonCalling(
        person_id=UUID(token.subject),
        session_id=token.session_id,
        user_number=token.user_number,
        roles=frozenset(token.roles),
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
