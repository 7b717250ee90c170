"""Accounts of our own: a password hash for a person whom no other system knows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from auth_service.domain.accounts import LOCAL
from auth_service.domain.emails import email_key
from auth_service.domain.errors import AlreadyExists, FieldViolation
from auth_service.domain.names import name_key
from auth_service.storage.database import Connection, Statement, UniqueViolated
from auth_service.storage.schema import local_account, person

# An address counts only once it was shown to be the person's, or whoever claims another's address would be asked for
# when the other signs in. Then it goes before a user name that is spelt like it, which anybody may have chosen.
_has_address = sa.and_(
    person.c.email_key == sa.bindparam("address_key", type_=sa.Text), person.c.email_verified_at.is_not(None)
)
_find = Statement(
    sa.select(
        person.c.id,
        person.c.username,
        person.c.display_name,
        person.c.user_number,
        local_account.c.password_hash,
        local_account.c.password_changed_at,
    )
    .join_from(local_account, person)
    .where(
        person.c.provider == LOCAL,
        sa.or_(person.c.username_key == sa.bindparam("username_key", type_=sa.Text), _has_address),
    )
    .order_by(sa.case((_has_address, 0), else_=1))
    .limit(1)
)
_mistaken_for = Statement(
    sa.select((person.c.email_key == sa.bindparam("username_as_address", type_=sa.Text)).label("is_of_username"))
    .where(
        person.c.provider == LOCAL,
        person.c.id != sa.bindparam("of"),
        sa.or_(
            person.c.email_key == sa.bindparam("username_as_address", type_=sa.Text),
            # Nobody signs in with the name of a deleted account, and who registered it need not have had the address.
            sa.and_(
                person.c.username_key == sa.bindparam("address_as_username", type_=sa.Text),
                person.c.deleted_at.is_(None),
            ),
        ),
    )
    .limit(1)
)
_own = person.alias("own")
_borne_elsewhere = Statement(
    sa.select(person.c.id)
    .where(
        person.c.provider != LOCAL,
        person.c.username_key == sa.bindparam("username_key", type_=sa.Text),
        person.c.deleted_at.is_(None),
        # Whoever has the name keeps it, though somebody of the facility came with the same one.
        ~sa.exists().where(
            _own.c.id == sa.bindparam("of"), _own.c.username_key == sa.bindparam("username_key", type_=sa.Text)
        ),
    )
    .limit(1)
)
_add_person = Statement(
    sa.insert(person).values(
        id=sa.bindparam("id"),
        provider=LOCAL,
        provider_subject=sa.bindparam("subject"),
        username=sa.bindparam("username"),
        username_key=sa.bindparam("username_key"),
        display_name=sa.bindparam("display_name"),
        provider_roles="[]",
        provider_checked_at=sa.bindparam("now"),
        created_at=sa.bindparam("now"),
        email=sa.bindparam("email"),
        email_key=sa.bindparam("email_key"),
        email_verified_at=sa.bindparam("email_verified_at"),
        user_number=sa.bindparam("user_number"),
    )
)
_new_password = postgresql.insert(local_account).values(
    person_id=sa.bindparam("id"),
    password_hash=sa.bindparam("password_hash"),
    password_changed_at=sa.bindparam("now"),
    must_change_password=sa.bindparam("must_change"),
)
_set_password = Statement(
    _new_password.on_conflict_do_update(
        index_elements=[local_account.c.person_id],
        set_={
            name: _new_password.excluded[name]
            for name in ("password_hash", "password_changed_at", "must_change_password")
        },
    )
)
_set_must_change = Statement(
    sa.update(local_account)
    .where(local_account.c.person_id == sa.bindparam("id"))
    .values(must_change_password=sa.bindparam("must_change"))
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
    password_changed_at: datetime
    password_hash: str = field(repr=False)


async def find(connection: Connection, name: str) -> LocalAccount | None:
    """The account with this user name, or with this verified address."""
    row = await connection.row(_find, username_key=name_key(name), address_key=email_key(name))
    if row is None:
        return None
    return LocalAccount(
        row["id"],
        row["username"],
        row["display_name"],
        row["user_number"],
        row["password_changed_at"],
        password_hash=row["password_hash"],
    )


async def add(
    connection: Connection,
    *,
    username: str,
    display_name: str,
    password_hash: str | None,
    now: datetime,
    email: str | None = None,
    email_verified_at: datetime | None = None,
    user_number: int | None = None,
    must_change_password: bool = False,
) -> UUID:
    """The new person's id. Without a hash nobody signs in until a password is set. Raises AlreadyExists."""
    person_id = uuid4()
    who = {
        "subject": str(person_id),
        "username": username,
        "username_key": name_key(username),
        "display_name": display_name,
        "email": email,
        "email_key": email_key(email) if email is not None else None,
        "email_verified_at": email_verified_at,
        "user_number": user_number,
    }
    await check_not_mistaken(connection, person_id, username=username, email=email)
    with name_or_address_taken(username):
        await connection.run(_add_person, id=person_id, now=now, **who)
    if password_hash is not None:
        await set_password(connection, person_id, password_hash, now=now, must_change=must_change_password)
    return person_id


async def check_not_mistaken(connection: Connection, person_id: UUID, *, username: str, email: str | None) -> None:
    """Holds that the name is nobody else's address, and the address nobody else's name. Raises AlreadyExists.

    Nor is a new name one that somebody of another provider bears: others would take the one for the other.
    """
    as_username = name_key(email) if email is not None else None
    found = await connection.row(
        _mistaken_for, of=person_id, username_as_address=email_key(username), address_as_username=as_username
    )
    if found is not None:
        raise _taken_username(username) if found["is_of_username"] else _taken_address()
    if await connection.row(_borne_elsewhere, of=person_id, username_key=name_key(username)) is not None:
        raise _taken_username(username)


async def set_password(
    connection: Connection, person_id: UUID, password_hash: str, *, now: datetime, must_change: bool = False
) -> None:
    """Of a local account, whether it had a password before or not."""
    await connection.run(_set_password, id=person_id, password_hash=password_hash, now=now, must_change=must_change)


async def set_must_change(connection: Connection, person_id: UUID, *, must_change: bool) -> bool:
    """Whether there is a password to be changed."""
    return await connection.run(_set_must_change, id=person_id, must_change=must_change) == 1


@contextmanager
def name_or_address_taken(username: str) -> Iterator[None]:
    """Raises AlreadyExists where two local accounts would have one name or one address; an address is not repeated."""
    try:
        yield
    except UniqueViolated as error:
        if "email_key" in str(error):
            raise _taken_address() from error
        raise _taken_username(username) from error


def _taken_username(username: str) -> AlreadyExists:
    return AlreadyExists(FieldViolation("username", f"{username!r} is taken"))


def _taken_address() -> AlreadyExists:
    return AlreadyExists(FieldViolation("email", "is another account's already"))


async def replace_hash(connection: Connection, person_id: UUID, *, old: str, new: str) -> None:
    """Keep the same password under newer parameters, unless it was changed meanwhile."""
    await connection.run(_set_hash, id=person_id, old=old, new=new)
