"""Who holds this API key: decided in memory, so that calls by services need no database.

Every unrevoked key is read again and again, and at once when one changes. A revoked key is refused as soon as this
replica hears of it, which is the way of ended sessions: `revocations`. A key that is not in memory may be new, so it
waits for another reading, of which there is one in `COOL_DOWN` at most however many strange keys come.
"""

import asyncio
import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID, uuid4

import structlog

from auth_service.domain.api_keys import (
    SCOPES_OF_SETTINGS,
    ApiKey,
    ServiceAccount,
    digest_of,
    is_of_our_form,
    prefix_of,
)
from auth_service.domain.audit import SYSTEM, EventType, Origin, happened
from auth_service.domain.errors import CredentialsInvalid, DatabaseUnavailable, NotFound, Overloaded, Unavailable
from auth_service.domain.policy import ServiceCalling
from auth_service.storage import api_keys, audit, revocations, service_accounts
from auth_service.storage.api_keys import HeldKey
from auth_service.storage.database import Connection, Database, DatabaseClock
from auth_service.storage.revocations import Revocation
from auth_service.usecases.revoked import RevokedSessions

log = structlog.get_logger()

COOL_DOWN = timedelta(milliseconds=200)
"""Between two readings for the sake of keys that are not known."""
BELIEVED_FOR = timedelta(hours=1)
"""How long keys are taken as last read while the database is away. Keys in the settings need no database."""
REMEMBERED_FOR = timedelta(minutes=15)
"""How much longer than its tokens a revoked key is remembered: until every replica has read the keys without it."""
USE_WRITTEN_EVERY = timedelta(minutes=1)
USES_WRITTEN_AT_ONCE = 100

_NOT_NOW = (Unavailable, Overloaded)
_FOUND_BY = 16
"""Bytes of a digest by which a key is found; the whole digest is compared afterwards, in constant time."""


class ApiKeys:
    """The keys in memory, and those of the settings, which become API keys of accounts of their names."""

    def __init__(
        self,
        database: Database,
        *,
        in_settings: Mapping[str, str],
        revoked: RevokedSessions,
        longest_token: Callable[[], timedelta],
        clock: DatabaseClock,
        monotonic: Callable[[], float],
    ) -> None:
        """`in_settings` are secrets by the name of the service that holds them."""
        self._database = database
        self._in_settings = {name: (digest_of(secret), prefix_of(secret)) for name, secret in in_settings.items()}
        self._revoked = revoked
        self._longest_token = longest_token
        self._clock = clock
        self._monotonic = monotonic
        self._held: dict[bytes, HeldKey] = {}
        self._uses: dict[UUID, datetime] = {}
        self._has_taken_over = False
        self._revoked_by_hand: frozenset[bytes] = frozenset()
        self._read_at: float | None = None
        self._tried_at, self._is_away = float("-inf"), False
        self._known_at = float("-inf")
        """When the last reading began of which is known how it ended; one that was cut short may have told anything."""
        self._reading, self._looking = asyncio.Lock(), asyncio.Lock()

    def __len__(self) -> int:
        return len(self._held)

    async def caller(self, secret: str) -> ServiceCalling:
        """The service that holds the key. Raises CredentialsInvalid, DatabaseUnavailable."""
        digest = digest_of(secret)
        if (name := self._known_to_settings_only(digest)) is not None:
            return ServiceCalling(name, scopes=SCOPES_OF_SETTINGS)
        held = await self._good(secret, digest)
        return ServiceCalling(held.account_name, scopes=held.key.scopes, account_id=held.key.account_id)

    async def holder(self, secret: str) -> HeldKey:
        """The key and its account. Raises CredentialsInvalid, DatabaseUnavailable."""
        digest = digest_of(secret)
        if self._known_to_settings_only(digest) is not None:
            # It will be an account's once the database can be asked.
            raise DatabaseUnavailable
        return await self._good(secret, digest)

    async def poll(self) -> None:
        """Read the keys anew; at first, give those in the settings to their accounts. Raises DatabaseUnavailable."""
        async with self._reading:
            self._tried_at = tried_at = self._monotonic()
            try:
                # The database may be read-only; whether it is there, the reading decides.
                with suppress(*_NOT_NOW):
                    if not self._has_taken_over:
                        await self._take_over()
                    await self._write_uses()
                if not self._has_taken_over:
                    self._revoked_by_hand = await self._database.autocommit(api_keys.revoked_by_hand)
                unrevoked = await self._database.autocommit(api_keys.unrevoked)
            except _NOT_NOW:
                self._known_at, self._is_away = tried_at, True
                raise
            self._held = {held.key.digest[:_FOUND_BY]: held for held in unrevoked}
            self._read_at = self._known_at = tried_at
            self._is_away = False

    async def _good(self, secret: str, digest: bytes) -> HeldKey:
        held = self._found(digest)
        if held is None and is_of_our_form(secret):
            await self._look_again()
            held = self._found(digest)
        if held is None or self._revoked.names(held.key.id) or self._has_expired(held.key):
            raise CredentialsInvalid("the API key is not one of this service's")
        if self._is_long_unread and not held.key.from_settings:
            raise DatabaseUnavailable
        self._note_use(held.key)
        return held

    def _found(self, digest: bytes) -> HeldKey | None:
        held = self._held.get(digest[:_FOUND_BY])
        return held if held is not None and hmac.compare_digest(held.key.digest, digest) else None

    def _known_to_settings_only(self, digest: bytes) -> str | None:
        """The name that the settings give the key, as long as it could not become an account's.

        Reading suffices to know that it was revoked; that goes before the settings.
        """
        if self._has_taken_over or digest in self._revoked_by_hand or self._found(digest) is not None:
            return None
        names = [name for name, (known, _) in self._in_settings.items() if hmac.compare_digest(digest, known)]
        return names[0] if names else None

    def _has_expired(self, key: ApiKey) -> bool:
        return key.expires_at is not None and not key.is_good(self._clock.now())

    @property
    def _is_long_unread(self) -> bool:
        return self._read_at is not None and self._monotonic() - self._read_at >= BELIEVED_FOR.total_seconds()

    async def _look_again(self) -> None:
        """Returns when the keys were read anew, once for all who wait. Raises DatabaseUnavailable."""
        asked_at = self._monotonic()
        async with self._looking:
            if self._known_at < asked_at:
                await asyncio.sleep(self._tried_at + COOL_DOWN.total_seconds() - self._monotonic())
                await self.poll()
            elif self._is_away:
                raise DatabaseUnavailable

    def _note_use(self, key: ApiKey) -> None:
        with suppress(DatabaseUnavailable):
            now = self._clock.now()
            if key.last_used_at is None or now - key.last_used_at >= USE_WRITTEN_EVERY:
                self._uses[key.id] = now

    async def _write_uses(self) -> None:
        uses = dict(islice(self._uses.items(), USES_WRITTEN_AT_ONCE))
        if uses:
            await self._database.transaction(
                lambda connection: api_keys.used(connection, uses, unless_within=USE_WRITTEN_EVERY)
            )
            for key_id in uses:
                del self._uses[key_id]

    async def _take_over(self) -> None:
        async def step(connection: Connection) -> tuple[Revocation, ...]:
            now, longest_token = await self._database.time(connection), self._longest_token()
            for name, (digest, prefix) in self._in_settings.items():
                await _taken_over(connection, name, digest=digest, prefix=prefix, now=now, longest_token=longest_token)
            given = {digest for digest, _ in self._in_settings.values()}
            gone = [key for key in await api_keys.from_settings(connection) if key.digest not in given]
            return tuple(
                [
                    await revoke_in_step(
                        connection,
                        key,
                        origin=SYSTEM,
                        now=now,
                        longest_token=longest_token,
                        reason="settings",
                        stays_in_settings=True,
                    )
                    for key in gone
                ]
            )

        for revocation in await self._database.transaction(step):
            self._revoked.add(revocation)
            log.warning("api_keys.left_the_settings", api_key=str(revocation.session_id))
        self._has_taken_over = True


async def revoke_in_step(
    connection: Connection,
    key: ApiKey,
    *,
    origin: Origin,
    now: datetime,
    longest_token: timedelta,
    reason: str,
    stays_in_settings: bool = False,
) -> Revocation:
    """Refuse the key and the tokens made from it; what every replica shall remember, this one once it is committed."""
    revocation = Revocation(key.id, revoked_at=now, expires_at=now + longest_token + REMEMBERED_FOR)
    if await api_keys.revoke(connection, key.id, now=now, stays_in_settings=stays_in_settings):
        await revocations.add(connection, revocation)
        await audit.add(
            connection,
            happened(
                EventType.API_KEY_REVOKED,
                origin=origin,
                now=now,
                on=key.account_id,
                reason=reason,
                api_key_id=str(key.id),
                prefix=key.prefix,
            ),
        )
    return revocation


async def add_in_step(connection: Connection, key: ApiKey, *, origin: Origin, now: datetime) -> None:
    """Give the account the key, unless another replica was faster."""
    if await api_keys.add(connection, key):
        await audit.add(
            connection,
            happened(
                EventType.API_KEY_CREATED,
                origin=origin,
                now=now,
                on=key.account_id,
                reason="settings" if key.from_settings else "",
                api_key_id=str(key.id),
                prefix=key.prefix,
                scopes=" ".join(sorted(key.scopes)),
            ),
        )


async def _taken_over(
    connection: Connection, name: str, *, digest: bytes, prefix: str, now: datetime, longest_token: timedelta
) -> None:
    """See that the key is its account's. Other replicas may be doing the same at this moment."""
    account = await _account_named(connection, name, now=now)
    known = await api_keys.with_digest(connection, digest)
    if known is not None:
        if known.revoked_at is not None and not known.from_settings:
            log.error("api_keys.in_settings_but_revoked", service=name, api_key=str(known.id))
            return
        if known.revoked_at is None and (known.account_id == account.id or not known.from_settings):
            return
        # It left the settings and came back, or has another name there. Under another id, for this one stays refused.
        await revoke_in_step(connection, known, origin=SYSTEM, now=now, longest_token=longest_token, reason="settings")
        await api_keys.delete(connection, known.id)
    key = ApiKey(
        id=uuid4(),
        account_id=account.id,
        prefix=prefix,
        digest=digest,
        scopes=SCOPES_OF_SETTINGS,
        from_settings=True,
        created_at=now,
    )
    await add_in_step(connection, key, origin=SYSTEM, now=now)


async def _account_named(connection: Connection, name: str, *, now: datetime) -> ServiceAccount:
    with suppress(NotFound):
        return await service_accounts.named(connection, name)
    new = ServiceAccount(uuid4(), name=name, description="", created_at=now)
    if not await service_accounts.add_unless_there(connection, new):
        return await service_accounts.named(connection, name)
    event = happened(EventType.SERVICE_ACCOUNT_CREATED, origin=SYSTEM, now=now, on=new.id, reason="settings", name=name)
    await audit.add(connection, event)
    return new
