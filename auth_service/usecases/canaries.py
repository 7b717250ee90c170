"""Canaries: tokens without rights, signed by the standby, to try every verifier before that key signs in earnest."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from auth_service.domain import tokens
from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.tokens import CANARY_LIFETIME, TokenPolicy
from auth_service.storage import audit
from auth_service.storage.database import Connection, Database
from auth_service.usecases.signing import SigningKeys


@dataclass(frozen=True, slots=True)
class Canary:
    token: str = field(repr=False)
    kid: str
    expires_at: datetime


class Canaries:
    def __init__(self, database: Database, *, keys: SigningKeys, token_policy: TokenPolicy) -> None:
        self._database = database
        self._keys = keys
        self._policy = token_policy

    async def mint(self, *, origin: Origin) -> Canary:
        """A new one. Raises SigningUnavailable without a lease or a standby that opens here, DatabaseUnavailable."""
        signer = await self._keys.standby_signer()

        async def step(connection: Connection) -> datetime:
            now = await self._database.time(connection)
            event = happened(EventType.SIGNING_KEY_CANARY_MINTED, origin=origin, now=now, kid=signer.kid)
            await audit.add(connection, event)
            return now

        # Written down first: a token that nobody knows of must not exist.
        now = await self._database.transaction(step)
        claims = tokens.canary_claims(now=now, policy=self._policy)
        token = await asyncio.to_thread(tokens.mint, claims, kid=signer.kid, private_key=signer.private_key)
        return Canary(token, signer.kid, datetime.fromtimestamp(int(claims["iat"]), now.tzinfo) + CANARY_LIFETIME)
