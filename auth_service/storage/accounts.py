"""Accounts as people and administrators see them: `person` and `local_account` side by side."""

from uuid import UUID

import sqlalchemy as sa

from auth_service.domain.accounts import Account
from auth_service.storage import people
from auth_service.storage.database import Connection, Row, Statement
from auth_service.storage.schema import local_account, person

COLUMNS = (
    *people.COLUMNS,
    person.c.email,
    person.c.email_verified_at,
    person.c.created_at,
    person.c.last_login_at,
    local_account.c.must_change_password,
)
"""What a statement must select from `FROM` for `account_of` to read an account."""
FROM = person.outerjoin(local_account)

_find = Statement(sa.select(*COLUMNS).select_from(FROM).where(person.c.id == sa.bindparam("person_id")))


async def find(connection: Connection, person_id: UUID) -> Account | None:
    """Deleted accounts too, until they are purged."""
    row = await connection.row(_find, person_id=person_id)
    return account_of(row) if row is not None else None


def account_of(row: Row) -> Account:
    """The account in a row that holds `COLUMNS`."""
    return Account(
        person=people.person_of(row),
        email=row["email"],
        email_verified_at=row["email_verified_at"],
        created_at=row["created_at"],
        last_login_at=row["last_login_at"],
        must_change_password=bool(row["must_change_password"]),
    )
