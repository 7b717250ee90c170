"""Services that call us."""

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from auth_service.domain.api_keys import ServiceAccount
from auth_service.domain.errors import AlreadyExists, FieldViolation, NotFound
from auth_service.storage.database import Connection, Row, Statement, UniqueViolated
from auth_service.storage.schema import service_account

_values: dict[str, sa.BindParameter[object]] = {column.name: sa.bindparam(column.name) for column in service_account.c}
_add = Statement(sa.insert(service_account).values(_values))
_add_unless_there = Statement(
    postgresql.insert(service_account)
    .values(_values)
    .on_conflict_do_nothing(index_elements=[service_account.c.name])
    .inline()
)
_select = sa.select(service_account)
_find = Statement(_select.where(service_account.c.id == sa.bindparam("account_id")))
# Whoever counts an account's keys, and then adds one, does so alone.
_lock = Statement(_select.where(service_account.c.id == sa.bindparam("account_id")).with_for_update())
_named = Statement(_select.where(service_account.c.name == sa.bindparam("name")))
_LAST_CHARACTER = "\U0010ffff"
_page = Statement(
    _select.where(
        service_account.c.name > sa.bindparam("after"),
        service_account.c.name >= sa.bindparam("beginning"),
        service_account.c.name < sa.bindparam("until"),
    )
    .order_by(service_account.c.name)
    .limit(sa.bindparam("most"))
)
_delete = Statement(sa.delete(service_account).where(service_account.c.id == sa.bindparam("account_id")))


async def add(connection: Connection, new: ServiceAccount) -> None:
    """Raises AlreadyExists if the name is taken."""
    try:
        await connection.run(_add, **_columns(new))
    except UniqueViolated as error:
        raise AlreadyExists(FieldViolation("name", f"{new.name!r} is taken")) from error


async def add_unless_there(connection: Connection, new: ServiceAccount) -> bool:
    """Whether it was added; False where the name is taken."""
    return await connection.run(_add_unless_there, **_columns(new)) == 1


async def get(connection: Connection, account_id: UUID) -> ServiceAccount:
    """Raises NotFound."""
    return _account(await connection.row(_find, account_id=account_id))


async def lock(connection: Connection, account_id: UUID) -> ServiceAccount:
    """As `get`; until the transaction ends nobody else gets it so. Raises NotFound."""
    return _account(await connection.row(_lock, account_id=account_id))


async def named(connection: Connection, name: str) -> ServiceAccount:
    """Raises NotFound."""
    return _account(await connection.row(_named, name=name), field="name")


async def page(connection: Connection, *, beginning: str, after: str, most: int) -> tuple[ServiceAccount, ...]:
    """By name, those whose name begins so and comes after `after`."""
    rows = await connection.rows(_page, beginning=beginning, until=beginning + _LAST_CHARACTER, after=after, most=most)
    return tuple(_account(row) for row in rows)


async def delete(connection: Connection, account_id: UUID) -> None:
    """The account, and its keys with it."""
    await connection.run(_delete, account_id=account_id)


def _columns(account: ServiceAccount) -> dict[str, object]:
    return {
        "id": account.id,
        "name": account.name,
        "description": account.description,
        "created_at": account.created_at,
    }


def _account(row: Row | None, *, field: str = "service_account_id") -> ServiceAccount:
    if row is None:
        raise NotFound(f"{field}: there is no such service account")
    return ServiceAccount(row["id"], row["name"], row["description"], row["created_at"])
