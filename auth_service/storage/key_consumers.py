"""Who takes the key set: what replicas saw, merged. Losing a row costs a rotation some evidence, and nothing else."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from auth_service.domain.consumers import REGULAR_AFTER, Consumer, ConsumerKind, Sighting
from auth_service.storage.database import Connection, Row, Statement
from auth_service.storage.schema import key_consumer

_table = key_consumer.c
_insert = postgresql.insert(key_consumer).values({column.name: sa.bindparam(column.name) for column in _table})
_new = _insert.excluded
_is_earlier, _is_later = _new.first_seen_at < _table.first_seen_at, _new.last_seen_at >= _table.last_seen_at
_put = Statement(
    _insert.on_conflict_do_update(
        index_elements=[_table.id],
        set_={
            "times": _table.times + _new.times,
            # Replicas write down later what they saw earlier: whoever saw it last knows what it holds.
            **{
                name: sa.case((_is_earlier, _new[name]), else_=_table[name])
                for name in ("first_seen_at", "regular_from")
            },
            **{
                name: sa.case((_is_later, _new[name]), else_=_table[name])
                for name in ("last_seen_at", "ring_version", "standby_kid", "showed_version")
            },
        },
    )
)
_count = Statement(sa.select(sa.func.count().label("rows")).select_from(key_consumer))
_known = Statement(sa.select(_table.id).where(_table.last_seen_at >= sa.bindparam("since")))
_page = Statement(
    sa.select(key_consumer)
    .where(sa.tuple_(_table.address, _table.id) > sa.tuple_(sa.bindparam("address"), sa.bindparam("id")))
    .order_by(_table.address, _table.id)
    .limit(sa.bindparam("most"))
)
_regular = (_table.last_seen_at >= sa.bindparam("since"), _table.last_seen_at >= _table.regular_from, _table.times > 1)
_newest_first = sa.select(key_consumer).order_by(_table.last_seen_at.desc(), _table.id).limit(sa.bindparam("most"))
_lacking = Statement(_newest_first.where(*_regular, _table.standby_kid != sa.bindparam("standby_kid")))
_older = Statement(_newest_first.where(*_regular, _table.ring_version < sa.bindparam("version")))
_sweep = Statement(
    sa.delete(key_consumer).where(
        _table.id.in_(
            sa.select(_table.id).where(_table.last_seen_at < sa.bindparam("before")).limit(sa.bindparam("most"))
        )
    )
)
_sweep_passers_by = Statement(
    sa.delete(key_consumer).where(
        _table.id.in_(
            sa.select(_table.id)
            .where(_table.last_seen_at < _table.regular_from)
            .order_by(_table.last_seen_at)
            .limit(sa.bindparam("most"))
        )
    )
)


async def count(connection: Connection) -> int:
    row = await connection.row(_count)
    assert row is not None
    return int(row["rows"])


async def known(connection: Connection, *, since: datetime) -> frozenset[bytes]:
    """The ids of all that were seen at `since` or later."""
    return frozenset(row["id"] for row in await connection.rows(_known, since=since))


async def add(connection: Connection, sightings: Sequence[Sighting]) -> None:
    """Add what one replica saw to what all saw. One round trip."""
    # In one order, or two replicas would wait for each other.
    await connection.run_many(_put, sorted((_values_of(each) for each in sightings), key=lambda values: values["id"]))


async def page(connection: Connection, *, after: tuple[str, bytes], most: int) -> tuple[Sighting, ...]:
    """Up to `most`, by address and id, beginning behind `after`: an address and an id, or both empty."""
    rows = await connection.rows(_page, address=after[0], id=after[1], most=most)
    return tuple(map(_sighting_of, rows))


async def lacking(connection: Connection, standby_kid: str, *, since: datetime, most: int) -> tuple[Sighting, ...]:
    """The regular ones seen at `since` or later whose standby is another one, those seen last first."""
    rows = await connection.rows(_lacking, standby_kid=standby_kid, since=since, most=most)
    return tuple(map(_sighting_of, rows))


async def older(connection: Connection, version: int, *, since: datetime, most: int) -> tuple[Sighting, ...]:
    """The regular ones seen at `since` or later that hold what was before `version`, those seen last first."""
    return tuple(map(_sighting_of, await connection.rows(_older, version=version, since=since, most=most)))


async def sweep(connection: Connection, *, before: datetime, most: int) -> int:
    """Delete up to `most` that were last seen before `before`; how many."""
    return await connection.run(_sweep, before=before, most=most)


async def sweep_passers_by(connection: Connection, *, most: int) -> int:
    """Delete up to `most` that are no regular ones, those that stayed away for longest first; how many."""
    return await connection.run(_sweep_passers_by, most=most)


def _values_of(sighting: Sighting) -> dict[str, Any]:
    consumer = sighting.consumer
    return {
        "id": consumer.id,
        "kind": consumer.kind.value,
        "address": consumer.address,
        "user_agent": consumer.user_agent,
        "name": consumer.name,
        "first_seen_at": sighting.first_seen_at,
        "regular_from": sighting.first_seen_at + REGULAR_AFTER,
        "last_seen_at": sighting.last_seen_at,
        "times": sighting.times,
        "ring_version": sighting.ring_version,
        "standby_kid": sighting.standby_kid,
        "showed_version": sighting.showed_version,
    }


def _sighting_of(row: Row) -> Sighting:
    return Sighting(
        Consumer(ConsumerKind(row["kind"]), row["address"], row["user_agent"], row["name"]),
        first_seen_at=row["first_seen_at"],
        last_seen_at=row["last_seen_at"],
        times=row["times"],
        ring_version=row["ring_version"],
        standby_kid=row["standby_kid"],
        showed_version=row["showed_version"],
    )
