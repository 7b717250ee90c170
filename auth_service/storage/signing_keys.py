"""The key ring: read as one value, replaced by compare-and-swap on its version."""

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from auth_service.domain.errors import RingChanged
from auth_service.domain.keys import KeyRing, SigningKey, State
from auth_service.storage.database import Connection, Row, Statement, UniqueViolated
from auth_service.storage.schema import key_ring, signing_key

TOPIC = "keys"
"""What replicas that listen are told when the ring has changed."""

_version = Statement(sa.select(key_ring.c.version))
_read = Statement(
    sa.select(key_ring.c.version, signing_key)
    .select_from(key_ring.outerjoin(signing_key, sa.true()))
    .order_by(signing_key.c.published_at, signing_key.c.kid)
)
_begin = Statement(sa.insert(key_ring).values(id=1, version=1))
_advance = Statement(
    sa.update(key_ring)
    .where(key_ring.c.version == sa.bindparam("expected"))
    .values(version=sa.bindparam("expected") + 1)
)
_insert = postgresql.insert(signing_key).values({column.name: sa.bindparam(column.name) for column in signing_key.c})
_put = Statement(
    _insert.on_conflict_do_update(
        index_elements=[signing_key.c.kid],
        set_={column.name: _insert.excluded[column.name] for column in signing_key.c if not column.primary_key},
    )
)

# One signer and one successor at any moment (unique indexes): the old ones make room first.
_WRITE_ORDER = (State.REVOKED, State.RETIRED, State.RETIRING, State.ACTIVE, State.STANDBY)


async def version(connection: Connection) -> int:
    """0 before the first ring."""
    row = await connection.row(_version)
    return row["version"] if row else 0


async def read(connection: Connection) -> KeyRing:
    """The ring as it is, in one statement and therefore of one version; oldest key first."""
    rows = await connection.rows(_read)
    if not rows:
        return KeyRing(version=0)
    return KeyRing(rows[0]["version"], tuple(_key_of(row) for row in rows if row["kid"] is not None))


async def swap(connection: Connection, *, old: KeyRing, new: KeyRing) -> None:
    """Replace `old` by `new`. Raises RingChanged if the ring is no longer `old`. Belongs in a transaction."""
    if old.version == 0:
        try:
            await connection.run(_begin)
        except UniqueViolated as error:
            raise RingChanged(expected=0, found=1) from error
    elif await connection.run(_advance, expected=old.version) != 1:
        raise RingChanged(expected=old.version, found=await version(connection))
    before = {key.kid: key for key in old.keys}
    changed = [key for key in new.keys if before.get(key.kid) != key]
    for key in sorted(changed, key=lambda each: _WRITE_ORDER.index(each.state)):
        await connection.run(_put, **_values_of(key))
    await connection.tell(TOPIC)


def _values_of(key: SigningKey) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "state": key.state.value,
        "modulus": key.modulus.to_bytes((key.modulus.bit_length() + 7) // 8),
        "sealed_private": key.sealed_private,
        "covers_lifetime_seconds": int(key.covers_lifetime.total_seconds()),
        "covers_lease_seconds": int(key.covers_lease.total_seconds()),
        "published_at": key.published_at,
        "activated_at": key.activated_at,
        "demoted_at": key.demoted_at,
        "verifies_until": key.verifies_until,
        "withdrawn_at": key.withdrawn_at,
    }


def _key_of(row: Row) -> SigningKey:
    return SigningKey(
        kid=row["kid"],
        state=State(row["state"]),
        modulus=int.from_bytes(row["modulus"]),
        sealed_private=row["sealed_private"],
        covers_lifetime=timedelta(seconds=row["covers_lifetime_seconds"]),
        covers_lease=timedelta(seconds=row["covers_lease_seconds"]),
        published_at=row["published_at"],
        activated_at=row["activated_at"],
        demoted_at=row["demoted_at"],
        verifies_until=row["verifies_until"],
        withdrawn_at=row["withdrawn_at"],
    )
