"""People: those whom providers vouched for, and what was granted to them here."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from auth_service.domain.names import name_key
from auth_service.domain.people import Identity, Person
from auth_service.domain.roles import valid_role
from auth_service.storage.database import Connection, Row, Statement
from auth_service.storage.schema import person, person_role, staff

# The person's columns are spelt out, because SQLAlchemy does not correlate what stands in a RETURNING.
_granted_roles = (
    # A literal: SQLAlchemy inserts a bound separator only when it executes, which on PostgreSQL it does not.
    sa.select(sa.func.aggregate_strings(person_role.c.role, sa.literal_column("','")))  # type: ignore[arg-type]  # a str by its annotation, any expression by its documentation
    .where(person_role.c.person_id == sa.literal_column("person.id"))
    .scalar_subquery()
    .label("granted_roles")
)
_is_listed_staff = (
    sa.exists().where(staff.c.user_number == sa.literal_column("person.user_number")).label("is_listed_staff")
)

COLUMNS = (
    person.c.id.label("person_id"),
    person.c.provider,
    person.c.provider_subject,
    person.c.username,
    person.c.display_name,
    person.c.user_number,
    person.c.provider_roles,
    person.c.provider_checked_at,
    person.c.disabled_at,
    person.c.deleted_at,
    _granted_roles,
    _is_listed_staff,
)
"""What a statement must select, or return, for `person_of` to read a person."""

_OURS_ALONE = ("disabled_at", "deleted_at", "email", "email_key", "email_verified_at")
_insert = postgresql.insert(person).values(
    {column.name: sa.bindparam(column.name) for column in person.c if column.name not in _OURS_ALONE}
)
_what_providers_tell = (
    "username",
    "username_key",
    "display_name",
    "user_number",
    "provider_roles",
    "provider_checked_at",
)
REMEMBER = Statement(
    _insert.on_conflict_do_update(
        index_elements=[person.c.provider, person.c.provider_subject],
        set_={name: _insert.excluded[name] for name in (*_what_providers_tell, "last_login_at")},
        where=sa.and_(person.c.disabled_at.is_(None), person.c.deleted_at.is_(None)),
    ).returning(*COLUMNS)
)
"""With `remembering`: the person who signs in, made or brought up to date; no row for one who may not sign in."""
_find = Statement(sa.select(*COLUMNS).where(person.c.id == sa.bindparam("person_id")))
_identified = Statement(
    sa.select(*COLUMNS).where(
        person.c.provider == sa.bindparam("provider"), person.c.provider_subject == sa.bindparam("provider_subject")
    )
)
_set_provider_roles = Statement(
    sa.update(person)
    .where(person.c.id == sa.bindparam("person_id"))
    .values(provider_roles=sa.bindparam("provider_roles"), provider_checked_at=sa.bindparam("provider_checked_at"))
)
_grant = Statement(
    postgresql.insert(person_role)
    .values(person_id=sa.bindparam("person_id"), role=sa.bindparam("role"), granted_at=sa.bindparam("now"))
    .on_conflict_do_nothing(index_elements=[person_role.c.person_id, person_role.c.role])
)
_revoke = Statement(
    sa.delete(person_role).where(
        person_role.c.person_id == sa.bindparam("person_id"), person_role.c.role == sa.bindparam("role")
    )
)


async def remember(connection: Connection, identity: Identity, *, now: datetime) -> Person | None:
    """The person whom `identity` names, made or brought up to date by this sign-in; None if they may not sign in."""
    row = await connection.row(REMEMBER, **remembering(identity, person_id=uuid4(), now=now))
    return person_of(row) if row is not None else None


def remembering(identity: Identity, *, person_id: UUID, now: datetime) -> dict[str, Any]:
    """The values of `REMEMBER`. `person_id` is for a person who was never here."""
    return {
        "id": person_id,
        "provider": identity.provider,
        "provider_subject": identity.subject,
        "username": identity.username,
        "username_key": name_key(identity.username),
        "display_name": identity.display_name,
        "user_number": identity.user_number,
        "provider_roles": _as_text(identity.provider_roles),
        "provider_checked_at": now,
        "created_at": now,
        "last_login_at": now,
    }


async def identified(connection: Connection, identity: Identity) -> Person | None:
    """Who was remembered by this identity, whether they may sign in or not."""
    row = await connection.row(_identified, provider=identity.provider, provider_subject=identity.subject)
    return person_of(row) if row is not None else None


async def set_provider_roles(connection: Connection, person_id: UUID, roles: Iterable[str], *, now: datetime) -> None:
    """Keep what the provider says of a person's roles at `now`."""
    values = {"provider_roles": _as_text(roles), "provider_checked_at": now}
    await connection.run(_set_provider_roles, person_id=person_id, **values)


async def find(connection: Connection, person_id: UUID) -> Person | None:
    row = await connection.row(_find, person_id=person_id)
    return person_of(row) if row is not None else None


async def grant(connection: Connection, person_id: UUID, role: str, *, now: datetime) -> bool:
    """Whether the person did not have the role before; there must be one of this name. Raises InvalidInput."""
    return await connection.run(_grant, person_id=person_id, role=valid_role(role), now=now) == 1


async def revoke(connection: Connection, person_id: UUID, role: str) -> bool:
    """Whether the person had been granted the role."""
    return await connection.run(_revoke, person_id=person_id, role=role) == 1


def person_of(row: Row) -> Person:
    """The person in a row that holds `COLUMNS`."""
    granted = row["granted_roles"]
    return Person(
        id=row["person_id"],
        provider=row["provider"],
        provider_subject=row["provider_subject"],
        username=row["username"],
        display_name=row["display_name"],
        user_number=row["user_number"],
        provider_roles=frozenset(json.loads(row["provider_roles"])),
        provider_checked_at=row["provider_checked_at"],
        granted_roles=frozenset(granted.split(",")) if granted else frozenset(),
        is_listed_staff=bool(row["is_listed_staff"]),
        disabled_at=row["disabled_at"],
        deleted_at=row["deleted_at"],
    )


def _as_text(roles: Iterable[str]) -> str:
    return json.dumps(sorted(roles))
