"""Accounts as people and administrators see them: `person` and `local_account` side by side."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from auth_service.domain.accounts import LOCAL, Account, AccountState
from auth_service.domain.emails import email_key
from auth_service.domain.names import name_key
from auth_service.storage import local_accounts, people
from auth_service.storage.database import Connection, Row, Statement
from auth_service.storage.schema import local_account, person

COLUMNS = (
    *people.COLUMNS,
    person.c.email,
    person.c.email_verified_at,
    person.c.created_at,
    person.c.last_login_at,
    local_account.c.must_change_password,
    local_account.c.password_changed_at,
)
"""What a statement must select from `FROM` for `account_of` to read an account."""
FROM = person.outerjoin(local_account)

MOST_BEARERS = 100
"""Of one name, that are looked at: our own account, and those who came last."""

_find = Statement(sa.select(*COLUMNS).select_from(FROM).where(person.c.id == sa.bindparam("person_id")))
_hold = Statement(
    sa.select(person.c.id).where(person.c.id == sa.bindparam("person_id")).with_for_update(key_share=True)
)
_arrived = Statement(
    sa.update(person)
    .where(person.c.id == sa.bindparam("person_id"))
    .values(last_login_at=sa.bindparam("now"), provider_checked_at=sa.bindparam("now"))
)
_change = Statement(
    sa.update(person)
    .where(person.c.id == sa.bindparam("person_id"))
    .values(
        username=sa.bindparam("new_username"),
        username_key=sa.bindparam("new_username_key"),
        display_name=sa.bindparam("new_display_name"),
        email=sa.bindparam("new_email"),
        email_key=sa.bindparam("new_email_key"),
        email_verified_at=sa.bindparam("new_email_verified_at"),
        user_number=sa.bindparam("new_user_number"),
    )
)
_bearer_of_number = Statement(
    sa.select(person.c.id)
    .where(
        person.c.user_number == sa.bindparam("number"),
        person.c.deleted_at.is_(None),
        sa.or_(sa.bindparam("but", type_=sa.Uuid).is_(None), person.c.id != sa.bindparam("but", type_=sa.Uuid)),
    )
    .limit(1)
)
_set_disabled = Statement(
    sa.update(person)
    .where(person.c.id == sa.bindparam("person_id"))
    .values(disabled_at=sa.bindparam("new_disabled_at"))
)
_is_unverified = person.c.email_verified_at.is_(None)
_delete = Statement(
    sa.update(person)
    .where(person.c.id == sa.bindparam("person_id"))
    .values(
        deleted_at=sa.bindparam("now"),
        email=sa.case((_is_unverified, None), else_=person.c.email),
        email_key=sa.case((_is_unverified, None), else_=person.c.email_key),
    )
)
_purge = Statement(sa.delete(person).where(person.c.id == sa.bindparam("person_id"), person.c.deleted_at.is_not(None)))
_verified = Statement(
    sa.update(person).where(person.c.id == sa.bindparam("person_id")).values(email_verified_at=sa.bindparam("now"))
)
_with_email = Statement(
    sa.select(*COLUMNS)
    .select_from(FROM)
    .where(person.c.provider == LOCAL, person.c.email_key == sa.bindparam("address_key"), person.c.deleted_at.is_(None))
)
_named = Statement(
    sa.select(*COLUMNS)
    .select_from(FROM)
    .where(person.c.username_key == sa.bindparam("username_key"))
    .order_by(person.c.deleted_at.is_not(None), person.c.provider != LOCAL, person.c.last_login_at.desc())
    .limit(MOST_BEARERS)
)


async def find(connection: Connection, person_id: UUID) -> Account | None:
    """Deleted accounts too, until they are purged."""
    row = await connection.row(_find, person_id=person_id)
    return account_of(row) if row is not None else None


async def hold(connection: Connection, person_id: UUID) -> Account | None:
    """As `find`; until the transaction ends nobody else changes the account or its password."""
    # Two statements: one that has to wait for the lock would show the password as it was before.
    await connection.row(_hold, person_id=person_id)
    return await find(connection, person_id)


async def arrived(connection: Connection, person_id: UUID, *, now: datetime) -> Account | None:
    """As `hold`, and keep that its person has signed in."""
    await connection.run(_arrived, person_id=person_id, now=now)
    return await find(connection, person_id)


async def bearers(connection: Connection, username: str) -> Sequence[Account]:
    """Whose name this is, however it is spelt: one of each provider; a deleted account only where there is no other.

    A name is one person's among our own accounts; of a provider's people, the one's who bore it last.
    """
    found = [account_of(row) for row in await connection.rows(_named, username_key=name_key(username))]
    of_provider: dict[str, Account] = {}
    for account in found:
        if account.state is not AccountState.DELETED:
            of_provider.setdefault(account.person.provider, account)
    return list(of_provider.values()) or found[:1]


async def with_email(connection: Connection, email: str) -> Account | None:
    """The account of our own with this address, verified or not, unless it is deleted."""
    row = await connection.row(_with_email, address_key=email_key(email))
    return account_of(row) if row is not None else None


async def verified(connection: Connection, person_id: UUID, *, now: datetime) -> None:
    """The person's address is theirs."""
    await connection.run(_verified, person_id=person_id, now=now)


async def change(connection: Connection, account: Account) -> None:
    """Write what `account` now says of names, address and number. Raises AlreadyExists."""
    person = account.person
    if account.is_local:
        await local_accounts.check_not_mistaken(connection, account.id, username=person.username, email=account.email)
    with local_accounts.name_or_address_taken(person.username):
        await connection.run(
            _change,
            person_id=account.id,
            new_username=person.username,
            new_username_key=name_key(person.username),
            new_display_name=person.display_name,
            new_email=account.email,
            new_email_key=email_key(account.email) if account.email is not None else None,
            new_email_verified_at=account.email_verified_at,
            new_user_number=person.user_number,
        )


async def bears_number(connection: Connection, number: int, *, but: UUID | None) -> bool:
    """Whether somebody other than `but`, whose account is not deleted, has the facility's `number`."""
    return await connection.row(_bearer_of_number, number=number, but=but) is not None


async def set_disabled(connection: Connection, person_id: UUID, at: datetime | None) -> None:
    """Since `at`; None for an account that may be used."""
    await connection.run(_set_disabled, person_id=person_id, new_disabled_at=at)


async def delete(connection: Connection, person_id: UUID, *, now: datetime) -> None:
    """The row stays, and with it the name, and the address if it was shown to be the person's.

    One that was not may be anybody's, and is theirs again.
    """
    await connection.run(_delete, person_id=person_id, now=now)


async def purge(connection: Connection, person_id: UUID) -> bool:
    """Whether a deleted account was there: it, its sessions, grants, tokens and mail are gone."""
    return await connection.run(_purge, person_id=person_id) == 1


def account_of(row: Row) -> Account:
    """The account in a row that holds `COLUMNS`."""
    return Account(
        person=people.person_of(row),
        email=row["email"],
        email_verified_at=row["email_verified_at"],
        created_at=row["created_at"],
        last_login_at=row["last_login_at"],
        must_change_password=bool(row["must_change_password"]),
        password_changed_at=row["password_changed_at"],
    )
