"""A service turns its API key into a short access token (the client credentials grant of RFC 6749 section 4.4)."""

import structlog

from auth_service.domain.audit import Origin
from auth_service.usecases.api_keys import ApiKeys
from auth_service.usecases.issuing import Issuer, ServiceToken

log = structlog.get_logger()


class ServiceSignIn:
    """Needs the database only as much as the keys and the signer do."""

    def __init__(self, api_keys: ApiKeys, *, issuer: Issuer) -> None:
        self._api_keys = api_keys
        self._issuer = issuer

    async def login(self, api_key: str, *, origin: Origin) -> ServiceToken:
        """Raises CredentialsInvalid, DatabaseUnavailable, SigningUnavailable.

        Wrong keys are not counted: nobody guesses 256 random bits, and one service that retries an old key would lock
        out those behind the same address.
        """
        held = await self._api_keys.holder(api_key)
        token = await self._issuer.service_token(held.key, account_name=held.account_name)
        log.info("login.service", service=held.account_name, api_key=str(held.key.id), address=origin.address)
        return token
