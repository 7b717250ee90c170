"""The tables as they are now. Alembic's migrations lead here; `alembic check` holds that they do."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa


class Moment(sa.TypeDecorator[datetime]):
    """A moment in UTC: `timestamptz` on PostgreSQL, text without a zone on SQLite, aware in Python on both."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


# SQLite numbers rows by itself only in a column that is spelt INTEGER.
_Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

person = sa.Table(
    "person",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("provider", sa.Text, nullable=False),
    sa.Column("provider_subject", sa.Text, nullable=False),
    sa.Column("username", sa.Text, nullable=False),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("user_number", sa.BigInteger),
    sa.Column("provider_roles", sa.Text, nullable=False),
    sa.Column("provider_checked_at", Moment, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("last_login_at", Moment),
    sa.Column("disabled_at", Moment),
    sa.Column("deleted_at", Moment),
    sa.UniqueConstraint("provider", "provider_subject"),
)
# People of a provider may swap names there; within our own accounts a name is one person's.
sa.Index(
    "uq_person_local_username",
    person.c.username,
    unique=True,
    postgresql_where=person.c.provider == sa.literal_column("'local'"),
    sqlite_where=person.c.provider == sa.literal_column("'local'"),
)

local_account = sa.Table(
    "local_account",
    metadata,
    sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("password_changed_at", Moment, nullable=False),
)

person_role = sa.Table(
    "person_role",
    metadata,
    sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("role", sa.Text, primary_key=True),
)

# As the service before us left it (row A20), with the constraint that it lacked.
staff = sa.Table(
    "staff",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("user_number", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("user_number"),
)

session = sa.Table(
    "session",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("rotated_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False, index=True),
    sa.Column("absolute_expires_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
    sa.Column("end_reason", sa.Text),
)

revocation = sa.Table(
    "revocation",
    metadata,
    sa.Column("id", _Serial, primary_key=True, autoincrement=True),
    sa.Column("session_id", sa.Uuid, nullable=False),
    sa.Column("revoked_at", Moment, nullable=False, index=True),
    sa.Column("expires_at", Moment, nullable=False, index=True),
    sqlite_autoincrement=True,
)

key_ring = sa.Table(
    "key_ring",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.CheckConstraint("id = 1", name="only_one"),
)

signing_key = sa.Table(
    "signing_key",
    metadata,
    sa.Column("kid", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("modulus", sa.LargeBinary, nullable=False),
    sa.Column("sealed_private", sa.LargeBinary),
    sa.Column("covers_lifetime_seconds", sa.BigInteger, nullable=False),
    sa.Column("covers_lease_seconds", sa.BigInteger, nullable=False),
    sa.Column("published_at", Moment, nullable=False),
    sa.Column("activated_at", Moment),
    sa.Column("demoted_at", Moment),
    sa.Column("verifies_until", Moment),
    sa.Column("withdrawn_at", Moment),
    sa.CheckConstraint("state in ('standby', 'active', 'retiring', 'retired', 'revoked')", name="state"),
)
# Whatever a replica believes, the database holds at most one signer and one successor.
for _state in ("active", "standby"):
    sa.Index(
        f"uq_signing_key_one_{_state}",
        signing_key.c.state,
        unique=True,
        postgresql_where=signing_key.c.state == sa.literal_column(f"'{_state}'"),
        sqlite_where=signing_key.c.state == sa.literal_column(f"'{_state}'"),
    )
