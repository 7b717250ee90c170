"""Services and their API keys are made, shown and taken away."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from auth_service.domain import api_keys as rules
from auth_service.domain.api_keys import ApiKey, ServiceAccount
from auth_service.domain.audit import EventType, Origin, happened
from auth_service.domain.errors import NotFound, TooManyKeys, WrongAccountState
from auth_service.domain.pages import PageTokens, page_size
from auth_service.storage import api_keys, audit, service_accounts
from auth_service.storage.database import Connection, Database
from auth_service.storage.revocations import Revocation
from auth_service.usecases.api_keys import add_in_step, revoke_in_step
from auth_service.usecases.revoked import RevokedSessions


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key, and the secret that is shown this once."""

    key: ApiKey
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ServiceAccountPage:
    accounts: tuple[ServiceAccount, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class KeyPage:
    keys: tuple[ApiKey, ...]
    next_page_token: str


class ServiceAccounts:
    """What an administrator does with services. Every method raises DatabaseUnavailable."""

    def __init__(
        self,
        database: Database,
        *,
        page_tokens: PageTokens,
        in_settings: Collection[str],
        revoked: RevokedSessions,
        longest_token: Callable[[], timedelta],
    ) -> None:
        """`in_settings` are the names whose keys the settings hold."""
        self._database = database
        self._page_tokens = page_tokens
        self._in_settings = in_settings
        self._revoked = revoked
        self._longest_token = longest_token

    async def create(self, *, name: str, description: str, origin: Origin) -> ServiceAccount:
        """Raises InvalidInput, AlreadyExists."""
        name, description = rules.valid_account_name(name), rules.valid_description(description)

        async def step(connection: Connection) -> ServiceAccount:
            now = await self._database.time(connection)
            account = ServiceAccount(uuid4(), name=name, description=description, created_at=now)
            await service_accounts.add(connection, account)
            event = happened(
                EventType.SERVICE_ACCOUNT_CREATED, origin=origin, now=now, on=account.id, name=account.name
            )
            await audit.add(connection, event)
            return account

        return await self._database.transaction(step)

    async def get(self, account_id: UUID) -> ServiceAccount:
        """Raises NotFound."""
        return await self._database.autocommit(lambda connection: service_accounts.get(connection, account_id))

    async def named(self, name: str) -> ServiceAccount:
        """Raises NotFound."""
        return await self._database.autocommit(lambda connection: service_accounts.named(connection, name))

    async def page(self, *, size: int, page_token: str, name_prefix: str = "") -> ServiceAccountPage:
        """By name, those whose name begins so. Raises InvalidInput."""
        beginning = rules.valid_name_prefix(name_prefix)
        most, listing = page_size(size), f"service accounts {beginning}".rstrip()
        after = self._page_tokens.read(page_token, listing=listing) or ""
        found = await self._database.autocommit(
            lambda connection: service_accounts.page(connection, beginning=beginning, after=after, most=most + 1)
        )
        return ServiceAccountPage(
            *self._page_tokens.cut(found, most=most, listing=listing, position=lambda last: last.name)
        )

    async def delete(self, account_id: UUID, *, origin: Origin) -> None:
        """The account and its keys. Raises NotFound, WrongAccountState."""

        async def step(connection: Connection) -> tuple[Revocation, ...]:
            account = await service_accounts.lock(connection, account_id)
            if account.name in self._in_settings:
                raise WrongAccountState("expected an account without a key in the settings, which would bring it back")
            now = await self._database.time(connection)
            ended = [
                await self._revoke(connection, key, origin=origin, now=now, reason="deleted")
                for key in await api_keys.unrevoked_of(connection, account_id)
            ]
            await service_accounts.delete(connection, account_id)
            event = happened(
                EventType.SERVICE_ACCOUNT_DELETED, origin=origin, now=now, on=account_id, name=account.name
            )
            await audit.add(connection, event)
            return tuple(ended)

        for revocation in await self._database.transaction(step):
            self._revoked.add(revocation)

    async def create_key(
        self, account_id: UUID, *, scopes: Iterable[str], expires_at: datetime | None, origin: Origin
    ) -> NewKey:
        """Raises InvalidInput, NotFound, TooManyKeys."""
        allowed = rules.valid_scopes(scopes)
        secret = rules.new_secret()

        async def step(connection: Connection) -> ApiKey:
            now = await self._database.time(connection)
            rules.valid_expiry(expires_at, now=now)
            await service_accounts.lock(connection, account_id)
            good = [key for key in await api_keys.unrevoked_of(connection, account_id) if key.is_good(now)]
            if len(good) >= rules.MOST_GOOD_KEYS:
                raise TooManyKeys
            key = ApiKey(
                id=uuid4(),
                account_id=account_id,
                prefix=rules.prefix_of(secret),
                digest=rules.digest_of(secret),
                scopes=allowed,
                from_settings=False,
                created_at=now,
                expires_at=expires_at,
            )
            await add_in_step(connection, key, origin=origin, now=now)
            return key

        return NewKey(await self._database.transaction(step), secret)

    async def page_of_keys(self, account_id: UUID, *, size: int, page_token: str) -> KeyPage:
        """Newest first. Raises InvalidInput, NotFound."""
        most, listing = page_size(size), f"keys of {account_id}"
        after = _position(self._page_tokens.read(page_token, listing=listing))

        async def step(connection: Connection) -> tuple[ApiKey, ...]:
            await service_accounts.get(connection, account_id)
            return await api_keys.page(connection, account_id, after=after, most=most + 1)

        found = await self._database.autocommit(step)
        return KeyPage(*self._page_tokens.cut(found, most=most, listing=listing, position=_written))

    async def revoke_key(self, key_id: UUID, *, origin: Origin) -> ApiKey:
        """The key as it is then. Raises NotFound."""

        async def step(connection: Connection) -> tuple[ApiKey, Revocation]:
            now = await self._database.time(connection)
            revocation = await self._revoke(
                connection, await _key(connection, key_id), origin=origin, now=now, reason="asked"
            )
            return await _key(connection, key_id), revocation

        key, revocation = await self._database.transaction(step)
        # Also if it was revoked before: this replica may not have heard of it yet.
        self._revoked.add(revocation)
        return key

    async def _revoke(
        self, connection: Connection, key: ApiKey, *, origin: Origin, now: datetime, reason: str
    ) -> Revocation:
        return await revoke_in_step(
            connection, key, origin=origin, now=now, longest_token=self._longest_token(), reason=reason
        )


async def _key(connection: Connection, key_id: UUID) -> ApiKey:
    key = await api_keys.find(connection, key_id)
    if key is None:
        raise NotFound("api_key_id: there is no such key")
    return key


def _written(key: ApiKey) -> str:
    return f"{key.created_at.astimezone(UTC).isoformat()} {key.id}"


def _position(text: str | None) -> tuple[datetime, UUID] | None:
    if text is None:
        return None
    moment, _, key_id = text.partition(" ")
    return datetime.fromisoformat(moment), UUID(key_id)
