"""Whose account is meant by a name or an address, on both databases."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from auth_service.domain.accounts import Account
from auth_service.domain.errors import AlreadyExists
from auth_service.storage import accounts, local_accounts
from auth_service.storage.database import Connection, Database, Statement
from auth_service.storage.schema import person
from tests.domain.rings import NOON
from tests.storage.rivals import all_at_once, replicas
from tests.support.conditions import eventually


async def added(
    database: Database, username: str, *, email: str | None = None, verified_at: datetime | None = None
) -> UUID:
    return await database.transaction(
        lambda connection: local_accounts.add(
            connection,
            username=username,
            display_name=username,
            password_hash="$argon2id$",
            now=NOON,
            email=email,
            email_verified_at=verified_at,
        )
    )


async def meant_by(database: Database, name: str) -> UUID | None:
    found = await database.autocommit(lambda connection: local_accounts.find(connection, name))
    return found.person_id if found is not None else None


@pytest.mark.row("B1")
async def test_a_person_is_found_by_user_name_and_by_verified_address_however_it_is_spelt(database: Database) -> None:
    ada = await added(database, "Ada", email="Ada@example.org", verified_at=NOON)

    for name in ("ada", "ADA", "\uff21da", "ada@example.org", "ADA@Example.ORG"):
        assert await meant_by(database, name) == ada
    for name in ("ad", "ada@example", "ada@example.orgs", "", "None"):
        assert await meant_by(database, name) is None


@pytest.mark.row("B1")
async def test_an_address_that_was_not_shown_to_be_the_persons_is_nobodys(database: Database) -> None:
    await added(database, "eve", email="ada@example.org")

    assert await meant_by(database, "ada@example.org") is None


@pytest.mark.row("B1")
async def test_nobody_takes_anothers_address_for_a_name_nor_anothers_name_for_an_address(database: Database) -> None:
    ada = await added(database, "ada", email="ada@example.org", verified_at=NOON)
    root = await added(database, "root@example.org")

    with pytest.raises(AlreadyExists, match=r"^username: "):
        await added(database, "ADA@example.org")
    with pytest.raises(AlreadyExists, match=r"^email: "):
        await added(database, "eve", email="Root@example.org")
    account = await database.autocommit(lambda connection: accounts.find(connection, ada))
    assert isinstance(account, Account)
    with pytest.raises(AlreadyExists, match=r"^email: "):
        await database.transaction(
            lambda connection: accounts.change(connection, replace(account, email="root@example.org"))
        )
    assert [await meant_by(database, name) for name in ("ada@example.org", "root@example.org")] == [ada, root]


@pytest.mark.row("B1")
async def test_a_name_that_is_spelt_like_anothers_verified_address_does_not_stand_in_its_way(
    database: Database,
) -> None:
    """Two who come at the same moment can do what one after the other cannot."""
    eve, ada = await added(database, "eve"), await added(database, "ada", email="ada@example.org", verified_at=NOON)
    theirs = Statement(
        person.update().where(person.c.id == eve).values(username="ada@example.org", username_key="ada@example.org")
    )
    await database.autocommit(lambda connection: connection.run(theirs))

    assert await meant_by(database, "ada@example.org") == ada


async def test_ones_own_address_may_be_ones_name(database: Database) -> None:
    ada = await added(database, "ada@example.org", email="ada@example.org")

    assert await meant_by(database, "ada@example.org") == ada


@pytest.mark.row("S45")
async def test_whoever_waited_for_an_account_sees_the_password_that_it_was_left_with(database_url: str) -> None:
    """Else a sign-in with the old password could begin a session after a new one has ended them all."""
    async with replicas(database_url, 2) as (one, other):
        ada, is_held = await added(one, "ada"), asyncio.Event()

        async def change(connection: Connection) -> None:
            await accounts.hold(connection, ada)
            await local_accounts.set_password(connection, ada, "$argon2id$2", now=NOON + timedelta(days=1))
            is_held.set()
            if database_url.startswith("postgres"):
                await eventually(partial(somebody_waits, connection))

        async def sign_in(connection: Connection) -> Account | None:
            return await accounts.arrived(connection, ada, now=NOON)

        changing = asyncio.create_task(one.transaction(change))
        await is_held.wait()
        found = await other.transaction(sign_in)
        await changing

    assert found is not None
    assert found.password_changed_at == NOON + timedelta(days=1)


async def somebody_waits(connection: Connection) -> bool:
    waiting = Statement(sa.select(sa.text("1")).select_from(sa.text("pg_locks")).where(sa.text("NOT granted")))
    return await connection.row(waiting) is not None


@pytest.mark.row("B7", "C1")
@pytest.mark.parametrize("field", ["username", "email"])
async def test_of_many_who_take_one_name_or_address_at_once_one_gets_it(database_url: str, field: str) -> None:
    async def take(connection: Connection) -> UUID:
        name = "ada" if field == "username" else uuid4().hex
        address = f"{uuid4().hex}@example.org" if field == "username" else "ada@example.org"
        return await local_accounts.add(
            connection, username=name, display_name="Ada", password_hash="$argon2id$", now=NOON, email=address
        )

    async with replicas(database_url, 3) as databases:
        outcomes = await all_at_once(databases, take, times=9)

    lost = [each for each in outcomes if isinstance(each, AlreadyExists)]
    assert (sum(isinstance(each, UUID) for each in outcomes), len(lost)) == (1, 8)
    assert {each.violations[0].field for each in lost} == {field}
