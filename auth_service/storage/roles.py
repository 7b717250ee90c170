"""Roles and their levels."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from auth_service.domain.errors import AlreadyExists
from auth_service.storage.database import Connection, Statement, UniqueViolated
from auth_service.storage.schema import role

_add = Statement(sa.insert(role).values({column.name: sa.bindparam(column.name) for column in role.c}))
_levels = Statement(sa.select(role.c.name, role.c.level))


async def add(connection: Connection, name: str, *, level: int, description: str, now: datetime) -> None:
    """Raises AlreadyExists, whether it is the name or the level that is taken."""
    try:
        await connection.run(_add, name=name, level=level, description=description, built_in=False, created_at=now)
    except UniqueViolated as error:
        raise AlreadyExists(f"role: {name!r}, or the level {level}, is taken") from error


async def levels(connection: Connection) -> Mapping[str, int]:
    """The level of every role."""
    return {row["name"]: row["level"] for row in await connection.rows(_levels)}
