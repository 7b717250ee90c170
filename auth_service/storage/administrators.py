"""Whether somebody is left who may administer."""

import json
from collections.abc import Iterable
from uuid import UUID

import sqlalchemy as sa

from auth_service.domain.accounts import LOCAL
from auth_service.domain.policy import ADMIN
from auth_service.storage.database import Connection, Statement
from auth_service.storage.schema import local_account, person, person_role, role

_NOBODY = UUID(int=0)
# Those who take an administrator away come one after the other; grants of the role are not held up.
_take_turns = Statement(sa.select(role.c.level).where(role.c.name == ADMIN).with_for_update(key_share=True))

_may_sign_in = sa.and_(
    person.c.id != sa.bindparam("but"),
    person.c.disabled_at.is_(None),
    person.c.deleted_at.is_(None),
    person.c.provider == sa.bindparam("provider"),
    sa.or_(person.c.provider != LOCAL, local_account.c.person_id.is_not(None)),
)
_granted = Statement(
    sa.select(person.c.id)
    .join_from(person_role, person)
    .outerjoin(local_account)
    .where(person_role.c.role == ADMIN, _may_sign_in)
    .limit(1)
)
# The names are a JSON list: a name with its quotation marks is in the text if it is in the list.
_mapped = Statement(
    sa.select(person.c.id)
    .where(
        _may_sign_in,
        person.c.provider_roles != "[]",
        sa.func.replace(person.c.provider_roles, sa.bindparam("name", type_=sa.Text), "") != person.c.provider_roles,
    )
    .select_from(person.outerjoin(local_account))
    .limit(1)
)


async def take_turns(connection: Connection) -> None:
    """Wait for one's turn, such as to take an administrator away; whoever comes next waits for this transaction."""
    await connection.row(_take_turns)


async def is_there_one(
    connection: Connection, *, but: UUID | None, mapped: Iterable[str], providers: Iterable[str]
) -> bool:
    """Whether anybody other than `but` may administer and sign in.

    `mapped` are provider roles that bring `admin`; `providers` are those that are asked for passwords.
    """
    names = [json.dumps(name) for name in mapped]
    for provider in providers:
        of_provider = {"but": but or _NOBODY, "provider": provider}
        if await connection.row(_granted, **of_provider) is not None:
            return True
        for name in names:
            if await connection.row(_mapped, name=name, **of_provider) is not None:
                return True
    return False
