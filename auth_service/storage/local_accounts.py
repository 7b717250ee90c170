"""Accounts of our own: a password hash for a person whom no other system knows."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

import sqlalchemy as sa

from auth_service.domain.errors import AlreadyExists
from auth_service.domain.names import name_key
from auth_service.storage.database import Connection, Statement, UniqueViolated
from auth_service.storage.schema import local_account, person

PROVIDER = "local"

_find = Statement(
    sa.select(
        person.c.id, person.c.username, person.c.display_name, person.c.user_number, local_account.c.password_hash
    )
    .join_from(local_account, person)
    .where(person.c.provider == PROVIDER, person.c.username_key == sa.bindparam("username_key"))
)
_add_person = Statement(
    sa.insert(person).values(
        id=sa.bindparam("id"),
        provider=PROVIDER,
        provider_subject=sa.bindparam("subject"),
        username=sa.bindparam("username"),
        username_key=sa.bindparam("username_key"),
        display_name=sa.bindparam("display_name"),
        provider_roles="[]",
        provider_checked_at=sa.bindparam("now"),
        created_at=sa.bindparam("now"),
    )
)
_add_account = Statement(
    sa.insert(local_account).values(
        person_id=sa.bindparam("id"),
        password_hash=sa.bindparam("password_hash"),
        password_changed_at=sa.bindparam("now"),
    )
)
_set_hash = Statement(
    sa.update(local_account)
    .where(local_account.c.person_id == sa.bindparam("id"), local_account.c.password_hash == sa.bindparam("old"))
    .values(password_hash=sa.bindparam("new"))
)


@dataclass(frozen=True, slots=True)
class LocalAccount:
    person_id: UUID
    username: str
    display_name: str
    user_number: int | None
    password_hash: str = field(repr=False)


async def find(connection: Connection, username: str) -> LocalAccount | None:
    row = await connection.row(_find, username_key=name_key(username))
    if row is None:
        return None
    return LocalAccount(
        row["id"], row["username"], row["display_name"], row["user_number"], password_hash=row["password_hash"]
    )


async def add(connection: Connection, *, username: str, display_name: str, password_hash: str, now: datetime) -> UUID:
    """The new person's id. Raises AlreadyExists."""
    person_id = uuid4()
    who = {
        "subject": str(person_id),
        "username": username,
        "username_key": name_key(username),
        "display_name": display_name,
    }
    try:
        await connection.run(_add_person, id=person_id, now=now, **who)
    except UniqueViolated as error:
        raise AlreadyExists(f"username: {username!r} is taken") from error
    await connection.run(_add_account, id=person_id, password_hash=password_hash, now=now)
    return person_id


async def replace_hash(connection: Connection, person_id: UUID, *, old: str, new: str) -> None:
    """Keep the same password under newer parameters, unless it was changed meanwhile."""
    await connection.run(_set_hash, id=person_id, old=old, new=new)
