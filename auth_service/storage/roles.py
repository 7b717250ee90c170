"""Roles and their levels."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import sqlalchemy as sa

from auth_service.domain.errors import AlreadyExists, FieldViolation
from auth_service.domain.roles import Role
from auth_service.storage.database import Connection, Row, Statement, UniqueViolated
from auth_service.storage.schema import person, person_role, role

_add = Statement(sa.insert(role).values({column.name: sa.bindparam(column.name) for column in role.c}))
_levels = Statement(sa.select(role.c.name, role.c.level))
_named = sa.select(role).where(role.c.name == sa.bindparam("named"))
_find = Statement(_named)
# A grant refers to the role, and so waits for whoever changes or deletes it: "for key share".
_hold = Statement(_named.with_for_update(read=True, key_share=True))
_lock = Statement(_named.with_for_update())
_page = Statement(
    sa.select(role)
    .where(role.c.level > sa.bindparam("after"))
    .order_by(role.c.level)
    .limit(sa.bindparam("most", type_=sa.Integer))
)
_change = Statement(
    sa.update(role)
    .where(role.c.name == sa.bindparam("named"))
    .values(level=sa.bindparam("new_level"), description=sa.bindparam("new_description"))
)
_delete = Statement(sa.delete(role).where(role.c.name == sa.bindparam("named")))
_take_from_deleted = Statement(
    sa.delete(person_role).where(
        person_role.c.role == sa.bindparam("named"),
        person_role.c.person_id.in_(sa.select(person.c.id).where(person.c.deleted_at.is_not(None))),
    )
)
_holder = Statement(sa.select(person_role.c.person_id).where(person_role.c.role == sa.bindparam("named")).limit(1))


async def add(connection: Connection, name: str, *, level: int, description: str, now: datetime) -> None:
    """Raises AlreadyExists, which says whether it is the name or the level that is taken."""
    with _name_or_level_taken(name, level):
        await connection.run(_add, name=name, level=level, description=description, built_in=False, created_at=now)


async def levels(connection: Connection) -> Mapping[str, int]:
    """The level of every role."""
    return {row["name"]: row["level"] for row in await connection.rows(_levels)}


async def find(connection: Connection, name: str) -> Role | None:
    row = await connection.row(_find, named=name)
    return _role_of(row) if row is not None else None


async def hold(connection: Connection, name: str) -> Role | None:
    """As `find`; until the transaction ends the role is there."""
    row = await connection.row(_hold, named=name)
    return _role_of(row) if row is not None else None


async def lock(connection: Connection, name: str) -> Role | None:
    """As `find`; until the transaction ends nobody else changes, deletes or grants the role."""
    row = await connection.row(_lock, named=name)
    return _role_of(row) if row is not None else None


async def page(connection: Connection, *, after: int, most: int) -> tuple[Role, ...]:
    """Up to `most` roles weaker than the level `after`, strongest first."""
    return tuple(_role_of(row) for row in await connection.rows(_page, after=after, most=most))


async def change(connection: Connection, name: str, *, level: int, description: str) -> None:
    """Raises AlreadyExists if the level is taken."""
    with _name_or_level_taken(name, level):
        await connection.run(_change, named=name, new_level=level, new_description=description)


async def delete(connection: Connection, name: str) -> bool:
    """Whether it is gone: False while somebody has the role whose account is not deleted. It must be locked."""
    await connection.run(_take_from_deleted, named=name)
    if await connection.row(_holder, named=name) is not None:
        return False
    await connection.run(_delete, named=name)
    return True


@contextmanager
def _name_or_level_taken(name: str, level: int) -> Iterator[None]:
    try:
        yield
    except UniqueViolated as error:
        if "level" in str(error):
            raise AlreadyExists(FieldViolation("level", f"{level} is another role's already")) from error
        raise AlreadyExists(FieldViolation("name", f"{name!r} is taken")) from error


def _role_of(row: Row) -> Role:
    return Role(
        name=row["name"],
        level=row["level"],
        description=row["description"],
        built_in=row["built_in"],
        created_at=row["created_at"],
    )
