"""The `staff` table: user numbers that are staff whatever the facility says."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from auth_service.storage.database import Connection, Statement
from auth_service.storage.schema import person, staff

_add = Statement(
    postgresql.insert(staff)
    .values(user_number=sa.bindparam("user_number"))
    .on_conflict_do_nothing(index_elements=[staff.c.user_number])
    .inline()
)
_remove = Statement(sa.delete(staff).where(staff.c.user_number == sa.bindparam("user_number")))
_remove_of_nobody = Statement(
    sa.delete(staff).where(
        staff.c.user_number == sa.bindparam("user_number"),
        ~sa.exists().where(person.c.user_number == staff.c.user_number),
    )
)
_all = Statement(sa.select(staff.c.user_number).order_by(staff.c.user_number))


async def add(connection: Connection, user_number: int) -> bool:
    """Whether it was not there before."""
    return await connection.run(_add, user_number=user_number) == 1


async def remove(connection: Connection, user_number: int) -> bool:
    """Whether it was there before."""
    return await connection.run(_remove, user_number=user_number) == 1


async def remove_of_nobody(connection: Connection, user_number: int) -> None:
    """Take the number off the list unless somebody has it."""
    await connection.run(_remove_of_nobody, user_number=user_number)


async def listed(connection: Connection) -> tuple[int, ...]:
    """Every user number, ascending."""
    return tuple(row["user_number"] for row in await connection.rows(_all))
