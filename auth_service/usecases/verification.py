"""Who holds this token, and who is calling: decided in memory, with the verifier that the client library ships."""

from uuid import UUID

from auth_client import KeysUnavailable, TokenRefused, TokenVerifier, VerifiedToken

from auth_service.domain.errors import AccessTokenRefused, CredentialsInvalid, CredentialsMissing, SigningUnavailable
from auth_service.domain.policy import Caller, PersonCalling, ServiceCalling
from auth_service.usecases.api_keys import ApiKeys
from auth_service.usecases.old_tokens import OldToken, OldTokens


class Verification:
    """Checks access tokens and API keys. Only a key that is not known may cost a look at the database."""

    def __init__(self, verifier: TokenVerifier, *, api_keys: ApiKeys, old_tokens: OldTokens | None = None) -> None:
        self._verifier = verifier
        self._api_keys = api_keys
        self._old_tokens = old_tokens

    def judge(self, token: str) -> VerifiedToken | OldToken:
        """What a good access token claims, for whoever asks: one of ours, or of the service that we replace.

        Raises AccessTokenRefused, SigningUnavailable.
        """
        if self._old_tokens is not None and self._old_tokens.concerns(token):
            return self._old_tokens.verify(token)
        return self.verify(token)

    def verify(self, token: str) -> VerifiedToken:
        """What a good access token of ours claims. Raises AccessTokenRefused, SigningUnavailable."""
        try:
            return self._verifier.verify_now(token)
        except TokenRefused as error:
            raise AccessTokenRefused(reason=error.code, detail=error.reason) from None
        except KeysUnavailable:
            raise SigningUnavailable from None

    async def caller(self, authorization: tuple[str, ...]) -> Caller:
        """Who sent these `authorization` values; there must be exactly one.

        Raises CredentialsMissing, CredentialsInvalid, AccessTokenRefused, SigningUnavailable, DatabaseUnavailable.
        """
        credential = bearer_of(authorization)
        # An API key has no dots, a JWT has two; the verifier judges everything that might be one.
        if credential.count(".") == 2:
            return self.bearer(credential)
        try:
            return await self._api_keys.caller(credential)
        except CredentialsInvalid:
            # Who meant to send a token shall not look for a fault in their keys.
            raise CredentialsInvalid(
                "authorization: neither an access token nor a good API key of this service"
            ) from None

    def bearer(self, token: str) -> PersonCalling | ServiceCalling:
        """Whose good access token this is. Raises AccessTokenRefused, SigningUnavailable."""
        return _bearer(self.verify(token))


def bearer_of(authorization: tuple[str, ...]) -> str:
    """The one token or key in these `authorization` values. Raises CredentialsMissing, CredentialsInvalid."""
    if not authorization:
        raise CredentialsMissing
    if len(authorization) > 1:
        raise CredentialsInvalid("authorization: expected one value")
    scheme, _, credential = authorization[0].partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential:
        raise CredentialsInvalid("authorization: expected `Bearer <access token or API key>`")
    return credential


def _bearer(token: VerifiedToken) -> PersonCalling | ServiceCalling:
    # Every token that an API key bought has a scope, and no person's has.
    if token.scopes:
        return ServiceCalling(token.client_id, scopes=frozenset(token.scopes), account_id=UUID(token.subject))
    return PersonCalling(
        person_id=UUID(token.subject),
        session_id=token.session_id,
        user_number=token.user_number,
        roles=frozenset(token.roles),
    )
