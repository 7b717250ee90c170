"""Accounts of our own: argon2id hashes in our database, for people whom no other system knows."""

import structlog

from auth_service.domain.accounts import LOCAL
from auth_service.domain.errors import BadCredentials, DatabaseUnavailable, Overloaded, ProviderUnavailable
from auth_service.domain.people import Identity, Person
from auth_service.providers.password_hashing import PasswordHashing, UnreadableHash
from auth_service.storage import local_accounts
from auth_service.storage.database import Database
from auth_service.storage.local_accounts import LocalAccount

log = structlog.get_logger()


class LocalAccounts:
    """Signs in people of the `local_account` table. An unknown name costs what a wrong password costs."""

    name = LOCAL

    def __init__(self, database: Database, hashing: PasswordHashing) -> None:
        self._database = database
        self._hashing = hashing

    async def authenticate(self, *, username: str, password: str) -> Identity:
        """Raises BadCredentials, ProviderUnavailable, Overloaded."""
        try:
            account = await self._database.autocommit(lambda connection: local_accounts.find(connection, username))
        except DatabaseUnavailable as error:
            raise ProviderUnavailable("the database did not answer in time", retry_after=error.retry_after) from error
        if account is None:
            await self._hashing.verify_nobody(password)
            raise BadCredentials
        if not await self._matches(account, password):
            raise BadCredentials(account.person_id)
        await self._keep_up(account, password)
        return Identity(
            provider=LOCAL,
            subject=str(account.person_id),
            username=account.username,
            display_name=account.display_name,
            user_number=account.user_number,
            password_changed_at=account.password_changed_at,
        )

    async def current_roles(self, person: Person) -> frozenset[str]:
        """What we know of our own people is in the database already."""
        return person.provider_roles

    async def close(self) -> None:
        await self._hashing.close()

    async def _matches(self, account: LocalAccount, password: str) -> bool:
        try:
            return await self._hashing.verify(account.password_hash, password)
        except UnreadableHash:
            log.error("local_accounts.unreadable_hash", person=str(account.person_id))
            return False

    async def _keep_up(self, account: LocalAccount, password: str) -> None:
        """Hash the password again if today's parameters are other than those that it was hashed with.

        The next sign-in does it where this one cannot: nobody is turned away for it.
        """
        old = account.password_hash
        if not self._hashing.needs_rehash(old):
            return
        try:
            new = await self._hashing.hash(password)
            await self._database.autocommit(
                lambda connection: local_accounts.replace_hash(connection, account.person_id, old=old, new=new)
            )
        except (Overloaded, DatabaseUnavailable) as error:
            log.warning("local_accounts.not_rehashed", person=str(account.person_id), cause=error.reason)
