"""What happens to a person's account while their password is being checked, on both databases."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from auth_service.domain.audit import Origin
from auth_service.domain.errors import BadCredentials
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


class Meanwhile(LocalAccounts):
    """Between the password's being right and its being taken for that, something happens."""

    def __init__(self, database: Database, hashing: PasswordHashing) -> None:
        super().__init__(database, hashing)
        self.happens: Callable[[Connection], Awaitable[object]] | None = None

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
    async with replica(url, facility=provider) as at:
        yield at, provider, ada
    await hashing.close()
    await database.close()


async def sign_in(at: Replica) -> UUID:
    return (await at.sign_in.login(username="ada", password=PASSWORD, origin=Origin())).session_id


def disabled(ada: UUID) -> Callable[[Connection], Awaitable[object]]:
    return lambda connection: accounts.set_state(connection, ada, disabled_at=LATER, deleted_at=None)


def deleted(ada: UUID) -> Callable[[Connection], Awaitable[object]]:
    return lambda connection: accounts.set_state(connection, ada, disabled_at=None, deleted_at=LATER)


def given_a_new_password(ada: UUID) -> Callable[[Connection], Awaitable[object]]:
    return lambda connection: local_accounts.set_password(connection, ada, "$argon2id$another", now=LATER)


def purged(ada: UUID) -> Callable[[Connection], Awaitable[object]]:
    async def step(connection: Connection) -> object:
        await accounts.set_state(connection, ada, disabled_at=None, deleted_at=LATER)
        return await accounts.purge(connection, ada)

    return step


@pytest.mark.row("S45", "E7")
@pytest.mark.parametrize("what", [disabled, deleted, given_a_new_password, purged])
async def test_whoever_loses_their_account_or_password_while_it_is_checked_is_refused(
    database_url: str, what: Callable[[UUID], Callable[[Connection], Awaitable[object]]]
) -> None:
    async with with_ada(database_url) as (at, provider, ada):
        assert await sign_in(at)

        provider.happens = what(ada)
        with pytest.raises(BadCredentials):
            await sign_in(at)

        account = await at.database.autocommit(lambda connection: accounts.find(connection, ada))
        assert (account is None) == (what is purged)


async def test_what_the_person_changed_meanwhile_stays_changed(database_url: str) -> None:
    async with with_ada(database_url) as (at, provider, ada):

        async def renamed(connection: Connection) -> None:
            account = await accounts.hold(connection, ada)
            assert account is not None
            person = replace(account.person, display_name="Countess")
            await accounts.change(connection, replace(account, person=person))

        provider.happens = renamed
        assert await sign_in(at)

        account = await at.database.autocommit(lambda connection: accounts.find(connection, ada))
        assert account is not None
        assert account.person.display_name == "Countess"
        assert account.last_login_at is not None
