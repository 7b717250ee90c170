"""Failed attempts: what each account and each address still owes for them."""

from collections.abc import Callable, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from auth_service.domain.accounts import LOCAL
from auth_service.domain.attempts import Tally, account_key
from auth_service.domain.emails import email_key
from auth_service.domain.names import name_key
from auth_service.storage.database import Connection, Statement
from auth_service.storage.schema import failed_attempts, person, session

_insert = postgresql.insert(failed_attempts).values(
    key=sa.bindparam("key"), account=sa.bindparam("account"), failures=0, paid_off_at=sa.bindparam("now")
)
# Written although nothing changes: that locks the row, and whoever comes next finds what this step makes of it.
_lock = Statement(
    _insert.on_conflict_do_update(
        index_elements=[failed_attempts.c.key], set_={"failures": failed_attempts.c.failures}
    ).returning(failed_attempts.c.failures, failed_attempts.c.paid_off_at)
)
_write = Statement(
    sa.update(failed_attempts)
    .where(failed_attempts.c.key == sa.bindparam("of_key"))
    .values(failures=sa.bindparam("new_failures"), paid_off_at=sa.bindparam("new_paid_off_at"))
)
_find = Statement(
    sa.select(failed_attempts.c.failures, failed_attempts.c.paid_off_at).where(
        failed_attempts.c.key == sa.bindparam("key"), failed_attempts.c.paid_off_at > sa.bindparam("now")
    )
)
_forget = Statement(sa.delete(failed_attempts).where(failed_attempts.c.account == sa.bindparam("account")))
_other = person.alias("other")
_others_of_name = Statement(
    sa.select(_other.c.id)
    .where(
        _other.c.username_key == sa.bindparam("username_key"),
        _other.c.provider != sa.bindparam("provider"),
        _other.c.deleted_at.is_(None),
    )
    .limit(1)
)
_sweep = Statement(
    sa.delete(failed_attempts).where(
        failed_attempts.c.key.in_(
            sa.select(failed_attempts.c.key)
            .where(failed_attempts.c.paid_off_at < sa.bindparam("before"))
            .limit(sa.bindparam("most"))
        )
    )
)
_owner_of_address = Statement(
    sa.select(person.c.username).where(
        person.c.provider == LOCAL,
        person.c.email_key == sa.bindparam("email_key"),
        person.c.email_verified_at.is_not(None),
    )
)
_addresses = Statement(
    sa.select(session.c.address)
    .distinct()
    .join(person, person.c.id == session.c.person_id)
    .where(
        person.c.username_key == sa.bindparam("username_key"),
        person.c.deleted_at.is_(None),
        session.c.address.is_not(None),
        ~sa.exists().where(
            _other.c.username_key == person.c.username_key,
            _other.c.provider != person.c.provider,
            _other.c.deleted_at.is_(None),
        ),
    )
)


async def add(
    connection: Connection, key: bytes, *, account: bytes | None, now: datetime, after: Callable[[Tally], Tally]
) -> Tally:
    """The tally of `key`, with what `after` makes of it written down. `account` is whose it is, for `forget`."""
    row = await connection.row(_lock, key=key, account=account, now=now)
    assert row is not None
    tally = after(Tally(row["failures"], row["paid_off_at"]))
    await connection.run(_write, of_key=key, new_failures=tally.failures, new_paid_off_at=tally.paid_off_at)
    return tally


async def find(connection: Connection, key: bytes, *, now: datetime) -> Tally | None:
    """What `key` owes; None if nothing."""
    row = await connection.row(_find, key=key, now=now)
    return Tally(row["failures"], row["paid_off_at"]) if row is not None else None


async def forget(connection: Connection, username: str) -> int:
    """Nothing failed on the account, from anywhere; how many tallies there were.

    A replica that refuses it from memory hears of it within a second.
    """
    return await connection.run(_forget, account=account_key(username))


async def is_only_one_of(connection: Connection, username: str, *, provider: str) -> bool:
    """Whether nobody of another provider bears the name of this provider's person."""
    return await connection.row(_others_of_name, username_key=name_key(username), provider=provider) is None


async def owner_of_address(connection: Connection, address: str) -> str | None:
    """The user name of whoever signs in with this mail address; None if there is nobody."""
    row = await connection.row(_owner_of_address, email_key=email_key(address))
    return row["username"] if row is not None else None


async def addresses_of(connection: Connection, username: str) -> Sequence[str]:
    """From where the person of this name has signed in, as far back as sessions are kept.

    None where people of several providers bear it: what is one's home is not the other's.
    """
    return [row["address"] for row in await connection.rows(_addresses, username_key=name_key(username))]


async def sweep(connection: Connection, *, before: datetime, most: int) -> int:
    """Delete up to `most` that were paid off before `before`; how many."""
    return await connection.run(_sweep, before=before, most=most)
