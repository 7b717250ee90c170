"""What a person is given at the end of a sign-in or a refresh."""

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from auth_service.domain import policy, tokens
from auth_service.domain.api_keys import ApiKey
from auth_service.domain.people import Person
from auth_service.domain.policy import RolePolicy
from auth_service.domain.refresh_tokens import RefreshTokens
from auth_service.domain.sessions import Session
from auth_service.domain.tokens import TokenPolicy
from auth_service.storage.database import DatabaseClock
from auth_service.usecases.signing import Signer, SigningKeys

QUICK_BITS = 2048
"""Up to this size a signature is made on the event loop (docs/decisions/0010)."""


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access token, the refresh token that buys the next one, and how long each is good for."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: timedelta
    refresh_expires_in: timedelta
    session_id: UUID


@dataclass(frozen=True, slots=True)
class ServiceToken:
    """An access token for a service, and how long it is good for."""

    access_token: str = field(repr=False)
    expires_in: timedelta


class Issuer:
    """Writes tokens. Signatures that take more than half a millisecond are made in `workers`."""

    def __init__(
        self,
        keys: SigningKeys,
        *,
        refresh_tokens: RefreshTokens,
        token_policy: TokenPolicy,
        role_policy: RolePolicy,
        clock: DatabaseClock,
        workers: Executor,
    ) -> None:
        self._keys = keys
        self._refresh_tokens = refresh_tokens
        self._policy = token_policy
        self._role_policy = role_policy
        self._clock = clock
        self._workers = workers

    def check_can_sign(self) -> None:
        """Raises SigningUnavailable: ask before spending what cannot be given back."""
        self._keys.signer()

    async def pair(self, person: Person, session: Session) -> TokenPair:
        """Tokens for `session` as it stands. Raises SigningUnavailable."""
        signer = self._keys.signer()
        now = self._clock.now()
        roles = policy.roles_for(person, policy=self._role_policy)
        claims = tokens.claims_for(person, session, roles=roles, now=now, lifetime=signer.lifetime, policy=self._policy)
        return TokenPair(
            access_token=await self._signed(claims, signer),
            refresh_token=self._refresh_tokens.write(session.id, session.generation),
            expires_in=signer.lifetime,
            refresh_expires_in=session.expires_at - now,
            session_id=session.id,
        )

    async def service_token(self, key: ApiKey, *, account_name: str) -> ServiceToken:
        """A token that says what `key` may do, and lives no longer than it. Raises SigningUnavailable."""
        signer = self._keys.signer()
        now = self._clock.now()
        lifetime = signer.lifetime if key.expires_at is None else min(signer.lifetime, key.expires_at - now)
        claims = tokens.service_claims(key, account_name=account_name, now=now, lifetime=lifetime, policy=self._policy)
        return ServiceToken(await self._signed(claims, signer), expires_in=lifetime)

    async def _signed(self, claims: dict[str, Any], signer: Signer) -> str:
        def minted() -> str:
            return tokens.mint(claims, kid=signer.kid, private_key=signer.private_key)

        if signer.private_key.key_size <= QUICK_BITS:
            return minted()
        return await asyncio.get_running_loop().run_in_executor(self._workers, minted)
