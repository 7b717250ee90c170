"""People, local accounts and staff on both databases."""

import traceback
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest

from auth_service.domain.errors import AlreadyExists, InvalidInput
from auth_service.domain.people import GREATEST_USER_NUMBER, Identity, Person
from auth_service.storage import local_accounts, people, roles, staff
from auth_service.storage.database import Connection, Database
from tests.domain.rings import NOON
from tests.storage.rivals import all_at_once, replicas

ADA = Identity(
    "uows",
    "17",
    username="Ada Łovelace 🦊",
    display_name='O\'Brien \\ "%s" :name',
    user_number=17,
    provider_roles=frozenset({"ISIS Instrument Scientist", "a, b", 'say "hi"'}),
)


async def remembered(database: Database, identity: Identity = ADA, *, days: int = 0) -> Person:
    now = NOON + timedelta(days=days)
    person = await database.transaction(lambda connection: people.remember(connection, identity, now=now))
    assert person is not None
    return person


async def test_a_person_is_read_as_the_provider_told(database: Database) -> None:
    person = await remembered(database)

    assert isinstance(person.id, UUID)
    assert person == Person(
        id=person.id,
        provider="uows",
        provider_subject="17",
        username=ADA.username,
        display_name=ADA.display_name,
        user_number=17,
        provider_roles=ADA.provider_roles,
        provider_checked_at=NOON,
        granted_roles=frozenset(),
        is_listed_staff=False,
    )
    assert person.provider_checked_at.utcoffset() == timedelta(0)


async def test_a_row_that_is_refused_is_not_written_to_the_log(database: Database) -> None:
    person = await remembered(database)
    incomplete = {"id": person.id, "password_hash": "$argon2id$hash", "now": None, "must_change": False}

    with pytest.raises(Exception, match=r"(?i)not.null") as refused:
        await database.autocommit(lambda connection: connection.run(local_accounts._set_password, **incomplete))

    assert "argon2id" not in "".join(traceback.format_exception(refused.value))


async def test_a_second_sign_in_brings_the_person_up_to_date_and_keeps_who_they_are(database: Database) -> None:
    before = await remembered(database)
    await database.autocommit(lambda connection: people.grant(connection, before.id, "admin", now=NOON))

    after = await remembered(
        database,
        replace(ADA, username="ada", display_name="A", user_number=18, provider_roles=frozenset()),
        days=1,
    )

    assert after == replace(
        before,
        username="ada",
        display_name="A",
        user_number=18,
        provider_roles=frozenset(),
        provider_checked_at=NOON + timedelta(days=1),
        granted_roles=frozenset({"admin"}),
    )


async def test_the_same_subject_of_another_provider_is_somebody_else(database: Database) -> None:
    one = await remembered(database)
    other = await remembered(database, replace(ADA, provider="other"))

    assert one.id != other.id


async def test_first_sign_ins_at_once_make_one_person(database_url: str) -> None:
    async with replicas(database_url, 3) as databases:
        outcomes = await all_at_once(databases, lambda connection: people.remember(connection, ADA, now=NOON), times=30)

    assert len({outcome.id for outcome in outcomes if isinstance(outcome, Person)}) == 1
    assert all(isinstance(outcome, Person) for outcome in outcomes)


async def test_granted_roles_and_the_staff_table_show(database: Database) -> None:
    person = await remembered(database)
    await database.autocommit(
        lambda connection: roles.add(connection, "beamline.operator", level=7, description="", now=NOON)
    )
    for role in ("admin", "beamline.operator", "admin"):
        await database.autocommit(partial(people.grant, person_id=person.id, role=role, now=NOON))
    await database.autocommit(lambda connection: staff.add(connection, 17))

    person = await remembered(database)

    assert person.granted_roles == {"admin", "beamline.operator"}
    assert person.is_listed_staff


async def test_the_staff_table_says_nothing_of_people_without_a_number(database: Database) -> None:
    await database.autocommit(lambda connection: staff.add(connection, 17))

    person = await remembered(database, replace(ADA, user_number=None))

    assert person.is_listed_staff is False


async def test_a_role_cannot_smuggle_in_a_second_one(database: Database) -> None:
    person = await remembered(database)

    with pytest.raises(InvalidInput, match="role: expected a lower-case word"):
        await database.autocommit(lambda connection: people.grant(connection, person.id, "guest,admin", now=NOON))

    assert (await remembered(database)).granted_roles == frozenset()


async def test_the_providers_roles_are_replaced(database: Database) -> None:
    person = await remembered(database)
    later = NOON + timedelta(hours=1)

    await database.autocommit(
        lambda connection: people.set_provider_roles(connection, person.id, {"b", "a"}, now=later)
    )

    again = await database.autocommit(lambda connection: connection.row(people._find, person_id=person.id))
    assert again is not None
    assert people.person_of(again) == replace(person, provider_roles=frozenset({"a", "b"}), provider_checked_at=later)


async def add(connection: Connection, username: str = "ada") -> UUID:
    return await local_accounts.add(
        connection, username=username, display_name="Ada", password_hash="$argon2id$1", now=NOON
    )


async def test_a_local_account_is_found_by_its_name_alone(database: Database) -> None:
    person_id = await database.transaction(add)
    await remembered(database, replace(ADA, username="ada"))

    found = await database.autocommit(lambda connection: local_accounts.find(connection, "ada"))

    assert found == local_accounts.LocalAccount(person_id, "ada", "Ada", None, NOON, password_hash="$argon2id$1")
    assert await database.autocommit(lambda connection: local_accounts.find(connection, "ＡDA")) == found
    assert await database.autocommit(lambda connection: local_accounts.find(connection, "adaa")) is None


async def test_a_taken_name_is_refused_and_leaves_nothing_behind(database: Database) -> None:
    await database.transaction(add)

    with pytest.raises(AlreadyExists, match="'ada' is taken"):
        await database.transaction(add)

    await database.transaction(lambda connection: add(connection, "grace"))


async def test_of_those_who_want_a_name_at_once_one_gets_it(database_url: str) -> None:
    async with replicas(database_url, 3) as databases:
        outcomes = await all_at_once(databases, add, times=20)

    assert sum(isinstance(outcome, UUID) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 19


async def test_signing_in_to_a_local_account_finds_the_person_made_with_it(database: Database) -> None:
    person_id = await database.transaction(add)

    person = await remembered(database, Identity("local", str(person_id), "ada", "Ada", None))

    assert person.id == person_id


async def test_a_hash_is_renewed_unless_the_password_was_changed_meanwhile(database: Database) -> None:
    person_id = await database.transaction(add)
    for old, new in (("$argon2id$1", "$argon2id$2"), ("$argon2id$1", "$argon2id$3")):
        await database.autocommit(partial(local_accounts.replace_hash, person_id=person_id, old=old, new=new))

    found = await database.autocommit(lambda connection: local_accounts.find(connection, "ada"))
    assert found is not None
    assert found.password_hash == "$argon2id$2"


async def test_nobody_is_half_made(database: Database) -> None:
    """An account belongs to a person: the database refuses one without."""
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await database.autocommit(lambda connection: local_accounts.set_password(connection, uuid4(), "x", now=NOON))


async def test_staff_are_added_once_listed_in_order_and_removed(database: Database) -> None:
    async def added(number: int) -> bool:
        return await database.autocommit(lambda connection: staff.add(connection, number))

    async def removed(number: int) -> bool:
        return await database.autocommit(lambda connection: staff.remove(connection, number))

    assert [await added(number) for number in (9, 3, GREATEST_USER_NUMBER, 9)] == [True, True, True, False]
    assert await database.autocommit(staff.listed) == (3, 9, GREATEST_USER_NUMBER)
    assert [await removed(3), await removed(3)] == [True, False]
    assert await database.autocommit(staff.listed) == (9, GREATEST_USER_NUMBER)
