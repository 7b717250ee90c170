"""Listings of accounts walk along an index: no page looks at the accounts of the pages before, nor sorts them."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from functools import partial
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg

from auth_service.domain.accounts import AccountFilter, AccountState
from auth_service.storage import account_pages, local_accounts, people, roles
from auth_service.storage.account_pages import Order, _Shape, _statement
from auth_service.storage.database import Connection, Database
from tests.domain.rings import NOON

SHAPES: list[tuple[_Shape, str]] = [
    (_Shape("creation", has_email=False, has_role=False, state=None), "ix_person_present"),
    (_Shape("creation", has_email=False, has_role=False, state=AccountState.ACTIVE), "ix_person_present"),
    (_Shape("creation", has_email=False, has_role=False, state=AccountState.DISABLED), "ix_person_disabled"),
    (_Shape("creation", has_email=False, has_role=False, state=AccountState.DELETED), "ix_person_deleted"),
    (_Shape("username", has_email=False, has_role=False, state=None), "ix_person_username_key_id"),
    (_Shape("email", has_email=True, has_role=False, state=None), "ix_person_email_key_id"),
    (_Shape("role", has_email=False, has_role=True, state=None), "ix_person_role_role_granted_at_person_id"),
]


_CROWD = """
INSERT INTO person (id, provider, provider_subject, username, username_key, display_name, email, email_key,
  provider_roles, provider_checked_at, created_at, disabled_at, deleted_at)
SELECT id, 'local', id, name, name, name, name, name, '[]', now(), now(), CASE WHEN number % 100 = 1 THEN now() END,
  CASE WHEN number % 100 = 2 THEN now() END
FROM (SELECT gen_random_uuid() AS id, 'a' || number AS name, number FROM generate_series(1, 20000) AS number) AS crowd;
INSERT INTO person_role (person_id, role, granted_at) SELECT id, 'admin', now() FROM person;
ANALYZE;
"""


@pytest.mark.row("E6")
@pytest.mark.parametrize(("shape", "index"), SHAPES)
def test_sqlite_walks_along_an_index(shape: _Shape, index: str, sqlite_url: str) -> None:
    compiled = _statement(shape).executable.compile(
        dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True}
    )
    text = str(compiled)

    with closing(sqlite3.connect(sqlite_url.partition("///")[2])) as database:
        plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {text}", [None] * text.count("?"))]

    assert plan[0].startswith("SEARCH")
    assert index in plan[0]
    assert not any("TEMP B-TREE" in step for step in plan)


@pytest.mark.row("E6")
@pytest.mark.parametrize(("shape", "index"), SHAPES)
async def test_postgresql_walks_along_an_index(shape: _Shape, index: str, postgres_url: str) -> None:
    dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # untyped in SQLAlchemy
    values = {
        "after": "a" if shape.order in ("username", "email") else NOON,
        "after_id": UUID(int=1),
        "most": 101,
        "username_until": "b",
        "email_until": "b",
        "role": "admin",
    }
    text, arguments = _statement(shape).positional(dialect, values)

    database = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    # A table of a few rows is read as a whole, whatever its indexes.
    await database.execute(_CROWD)
    plan = [row[0] for row in await database.fetch(f"EXPLAIN (COSTS OFF) {text}", *arguments)]
    await database.close()

    walk = next(number for number, step in enumerate(plan) if index in step)
    assert "Index Cond: " in plan[walk + 1]
    assert "ROW(" in plan[walk + 1]
    assert not any("Sort" in step for step in plan)


@pytest.mark.parametrize("order", ["creation", "username", "email", "role"])
async def test_each_order_shows_everybody_once(database: Database, order: Order) -> None:
    async def fill(connection: Connection) -> list[UUID]:
        await roles.add(connection, "beam", level=300, description="", now=NOON)
        made = []
        for number in range(5):
            # Two of them at one moment, so that the id decides.
            moment = NOON + timedelta(seconds=number // 2)
            name = f"ada{number}"
            made.append(
                await local_accounts.add(
                    connection,
                    username=name,
                    display_name=name,
                    password_hash=None,
                    now=moment,
                    email=f"{name}@example.org",
                )
            )
            await people.grant(connection, made[-1], "beam", now=moment)
        return made

    made = await database.transaction(fill)
    filters = {
        "creation": AccountFilter(),
        "username": AccountFilter(username_prefix="ada"),
        "email": AccountFilter(email_prefix="ada"),
        "role": AccountFilter(role="beam"),
    }[order]
    assert account_pages.order_of(filters) == order

    shown: list[UUID] = []
    after: account_pages.Position | None = None
    while page := await database.autocommit(partial(account_pages.page, filters=filters, after=after, most=2)):
        shown += [each.account.id for each in page]
        after = page[-1].position, page[-1].account.id

    assert len(shown) == 5
    assert set(shown) == set(made)
