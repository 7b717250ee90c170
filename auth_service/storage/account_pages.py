"""Accounts, a page at a time. Each listing walks along an index, so that the last page costs what the first did."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal
from uuid import UUID

import sqlalchemy as sa

from auth_service.domain.accounts import AccountFilter, AccountState, ListedAccount
from auth_service.storage import accounts
from auth_service.storage.database import Connection, Row, Statement
from auth_service.storage.schema import Moment, person, person_role

Order = Literal["username", "email", "role", "creation"]
Position = tuple[Any, UUID]
"""Where a page ends: the value that the listing is ordered by, and the account's id."""

_NOBODY = UUID(int=0)
_BEFORE_EVERYTHING = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_CHARACTER = "\U0010ffff"
_ORDERED_BY: dict[Order, tuple[sa.ColumnElement[Any], sa.ColumnElement[UUID], Any]] = {
    "username": (person.c.username_key, person.c.id, sa.Text()),
    "email": (person.c.email_key, person.c.id, sa.Text()),
    "role": (person_role.c.granted_at, person_role.c.person_id, Moment()),
    "creation": (person.c.created_at, person.c.id, Moment()),
}
_IN_STATE: dict[AccountState | None, sa.ColumnElement[bool]] = {
    None: person.c.deleted_at.is_(None),
    AccountState.ACTIVE: sa.and_(person.c.deleted_at.is_(None), person.c.disabled_at.is_(None)),
    AccountState.DISABLED: sa.and_(person.c.disabled_at.is_not(None), person.c.deleted_at.is_(None)),
    AccountState.DELETED: person.c.deleted_at.is_not(None),
}


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a statement depends on: which filters there are, not what they hold."""

    order: Order
    has_email: bool
    has_role: bool
    state: AccountState | None


def order_of(filters: AccountFilter) -> Order:
    """By what the accounts that `filters` lets through are ordered."""
    if filters.username_prefix:
        return "username"
    if filters.email_prefix:
        return "email"
    return "role" if filters.role else "creation"


async def page(
    connection: Connection, filters: AccountFilter, *, after: Position | None, most: int
) -> Sequence[ListedAccount]:
    """Up to `most` of the accounts that `filters` lets through, in the order of `order_of`, from `after` on.

    Prefixes are of keys (`domain.names`).
    """
    order = order_of(filters)
    shape = _Shape(order, bool(filters.email_prefix), bool(filters.role), filters.state)
    value, person_id = after or (_start(order, filters), _NOBODY)
    rows = await connection.rows(
        _statement(shape),
        after=value,
        after_id=person_id,
        most=most,
        username_until=filters.username_prefix + _LAST_CHARACTER,
        email_from=filters.email_prefix,
        email_until=filters.email_prefix + _LAST_CHARACTER,
        role=filters.role,
    )
    return [_listed(row) for row in rows]


def _start(order: Order, filters: AccountFilter) -> str | datetime:
    return {"username": filters.username_prefix, "email": filters.email_prefix}.get(order, _BEFORE_EVERYTHING)


@cache
def _statement(shape: _Shape) -> Statement:
    value, person_id, kind = _ORDERED_BY[shape.order]
    # One lower bound only: of two, PostgreSQL may begin at the wrong one and walk over all the pages before.
    after = sa.tuple_(sa.bindparam("after", type_=kind), sa.bindparam("after_id", type_=sa.Uuid))
    select = (
        sa.select(*accounts.COLUMNS, value.label("position"), _granted_at(shape))
        .select_from(accounts.FROM)
        .where(sa.tuple_(value, person_id) > after, _IN_STATE[shape.state])
        .order_by(value, person_id)
        .limit(sa.bindparam("most", type_=sa.Integer))
    )
    if shape.order == "username":
        select = select.where(person.c.username_key < sa.bindparam("username_until", type_=sa.Text))
    if shape.has_email:
        select = select.where(person.c.email_key < sa.bindparam("email_until", type_=sa.Text))
    if shape.has_email and shape.order != "email":
        select = select.where(person.c.email_key >= sa.bindparam("email_from", type_=sa.Text))
    if shape.has_role:
        select = select.join(person_role).where(person_role.c.role == sa.bindparam("role", type_=sa.Text))
    return Statement(select)


def _granted_at(shape: _Shape) -> sa.ColumnElement[Any]:
    return (person_role.c.granted_at if shape.has_role else sa.null()).label("granted_at")


def _listed(row: Row) -> ListedAccount:
    return ListedAccount(accounts.account_of(row), position=row["position"], granted_at=row["granted_at"])
