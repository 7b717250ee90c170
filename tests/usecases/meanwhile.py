"""Something happens to a person's account between their password's being right and its being taken for that."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from auth_service.domain.people import Identity
from auth_service.providers.local_accounts import LocalAccounts
from auth_service.providers.password_hashing import PasswordHashing
from auth_service.storage import accounts, local_accounts
from auth_service.storage.database import Connection, Database
from auth_service.storage.opening import open_database
from tests.conftest import BUDGET
from tests.domain.rings import NOON
from tests.usecases.replica import Replica, replica

PASSWORD = "a pony eats seven clever plums"
LATER = NOON + timedelta(days=1)

Step = Callable[[Connection], Awaitable[object]]


class Meanwhile(LocalAccounts):
    """Between the password's being right and its being taken for that, something happens."""

    def __init__(self, database: Database, hashing: PasswordHashing) -> None:
        super().__init__(database, hashing)
        self.hashing = hashing
        self.happens: Step | None = None

    async def authenticate(self, *, username: str, password: str) -> Identity:
        identity = await super().authenticate(username=username, password=password)
        if self.happens is not None:
            await self._database.transaction(self.happens)
        return identity


@asynccontextmanager
async def with_ada(url: str) -> AsyncIterator[tuple[Replica, Meanwhile, UUID]]:
    database, hashing = open_database(url, budget=BUDGET), PasswordHashing()
    password_hash = await hashing.hash(PASSWORD)
    ada = await database.transaction(
        lambda connection: local_accounts.add(
            connection, username="ada", display_name="Ada", password_hash=password_hash, now=NOON
        )
    )
    provider = Meanwhile(database, hashing)
    try:
        async with replica(url, facility=provider) as at:
            yield at, provider, ada
    finally:
        await hashing.close()
        await database.close()


def disabled(ada: UUID) -> Step:
    return lambda connection: accounts.set_disabled(connection, ada, LATER)


def deleted(ada: UUID) -> Step:
    return lambda connection: accounts.delete(connection, ada, now=LATER)


def given_a_new_password(ada: UUID) -> Step:
    return lambda connection: local_accounts.set_password(connection, ada, "$argon2id$another", now=LATER)


def purged(ada: UUID) -> Step:
    async def step(connection: Connection) -> object:
        await accounts.delete(connection, ada, now=LATER)
        return await accounts.purge(connection, ada)

    return step
