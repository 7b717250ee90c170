"""API keys: of each its digest, never its secret. Replicas that listen are told of every change."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from auth_service.domain.api_keys import ApiKey
from auth_service.storage.database import Connection, Row, Statement
from auth_service.storage.schema import api_key, service_account

TOPIC = "api_keys"
"""What replicas that listen are told when there is another key, or one less."""

_add = Statement(
    postgresql.insert(api_key)
    .values({column.name: sa.bindparam(column.name) for column in api_key.c})
    .on_conflict_do_nothing(index_elements=[api_key.c.digest])
    .inline()
)
_select = sa.select(api_key)
_find = Statement(_select.where(api_key.c.id == sa.bindparam("key_id")))
_with_digest = Statement(_select.where(api_key.c.digest == sa.bindparam("digest")))
_from_settings = Statement(_select.where(api_key.c.from_settings, api_key.c.revoked_at.is_(None)))
_unrevoked_of = Statement(
    _select.where(api_key.c.service_account_id == sa.bindparam("account_id"), api_key.c.revoked_at.is_(None))
)
_of_account = _select.where(api_key.c.service_account_id == sa.bindparam("account_id")).order_by(
    api_key.c.created_at.desc(), api_key.c.id.desc()
)
_first_page = Statement(_of_account.limit(sa.bindparam("most")))
_page = Statement(
    _of_account.where(
        sa.or_(
            api_key.c.created_at < sa.bindparam("before"),
            sa.and_(api_key.c.created_at == sa.bindparam("before"), api_key.c.id < sa.bindparam("before_id")),
        )
    ).limit(sa.bindparam("most"))
)
_unrevoked = Statement(
    sa.select(api_key, service_account.c.name.label("account_name"))
    .join_from(api_key, service_account)
    .where(api_key.c.revoked_at.is_(None))
)
_revoked_by_hand = Statement(
    sa.select(api_key.c.digest).where(api_key.c.revoked_at.is_not(None), ~api_key.c.from_settings)
)
_revoke = Statement(
    sa.update(api_key)
    .where(api_key.c.id == sa.bindparam("key_id"), api_key.c.revoked_at.is_(None))
    .values(revoked_at=sa.bindparam("now"), from_settings=sa.bindparam("stays_in_settings"))
)
_delete = Statement(sa.delete(api_key).where(api_key.c.id == sa.bindparam("key_id")))
_used = Statement(
    sa.update(api_key)
    .where(
        api_key.c.id == sa.bindparam("key_id"),
        sa.or_(api_key.c.last_used_at.is_(None), api_key.c.last_used_at <= sa.bindparam("before")),
    )
    .values(last_used_at=sa.bindparam("moment"))
)


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key that was not revoked, and whose it is."""

    key: ApiKey
    account_name: str


async def add(connection: Connection, new: ApiKey) -> bool:
    """Whether it was added; False where the very same key is there."""
    is_new = await connection.run(_add, **_columns(new)) == 1
    await connection.tell(TOPIC)
    return is_new


async def find(connection: Connection, key_id: UUID) -> ApiKey | None:
    row = await connection.row(_find, key_id=key_id)
    return _key(row) if row is not None else None


async def with_digest(connection: Connection, digest: bytes) -> ApiKey | None:
    row = await connection.row(_with_digest, digest=digest)
    return _key(row) if row is not None else None


async def from_settings(connection: Connection) -> tuple[ApiKey, ...]:
    """Those of the settings that were not revoked."""
    return tuple(_key(row) for row in await connection.rows(_from_settings))


async def unrevoked_of(connection: Connection, account_id: UUID) -> tuple[ApiKey, ...]:
    """The account's keys that were not revoked; some may have expired."""
    return tuple(_key(row) for row in await connection.rows(_unrevoked_of, account_id=account_id))


async def page(
    connection: Connection, account_id: UUID, *, after: tuple[datetime, UUID] | None, most: int
) -> tuple[ApiKey, ...]:
    """The account's keys, newest first; those that come after the one made at this moment with this id."""
    if after is None:
        rows = await connection.rows(_first_page, account_id=account_id, most=most)
    else:
        rows = await connection.rows(_page, account_id=account_id, before=after[0], before_id=after[1], most=most)
    return tuple(_key(row) for row in rows)


async def unrevoked(connection: Connection) -> tuple[HeldKey, ...]:
    """Every key that was not revoked; some may have expired."""
    return tuple(HeldKey(_key(row), row["account_name"]) for row in await connection.rows(_unrevoked))


async def revoked_by_hand(connection: Connection) -> frozenset[bytes]:
    """Digests of keys that somebody revoked: the settings do not bring them back."""
    return frozenset(bytes(row["digest"]) for row in await connection.rows(_revoked_by_hand))


async def revoke(connection: Connection, key_id: UUID, *, now: datetime, stays_in_settings: bool = False) -> bool:
    """Whether this call revoked it. `stays_in_settings` leaves it to the settings to bring it back."""
    changed = await connection.run(_revoke, key_id=key_id, now=now, stays_in_settings=stays_in_settings)
    await connection.tell(TOPIC)
    return changed == 1


async def delete(connection: Connection, key_id: UUID) -> None:
    await connection.run(_delete, key_id=key_id)


async def used(connection: Connection, moments: Mapping[UUID, datetime], *, unless_within: timedelta) -> None:
    """Write when each key was used, unless a moment not that long before is written already."""
    for key_id, moment in moments.items():
        await connection.run(_used, key_id=key_id, moment=moment, before=moment - unless_within)


def _columns(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "service_account_id": key.account_id,
        "prefix": key.prefix,
        "digest": key.digest,
        "scopes": " ".join(sorted(key.scopes)),
        "from_settings": key.from_settings,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }


def _key(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        account_id=row["service_account_id"],
        prefix=row["prefix"],
        digest=bytes(row["digest"]),
        scopes=frozenset(row["scopes"].split()),
        from_settings=bool(row["from_settings"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
    )
