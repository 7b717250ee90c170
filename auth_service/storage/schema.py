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


# In the order of its code points, so that "begins with" is a range of the index.
_Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

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
    # What all the names that look like `username` have in common (`domain.names`).
    sa.Column("username_key", _Key, nullable=False),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("email", sa.Text),
    sa.Column("email_key", _Key),
    sa.Column("email_verified_at", Moment),
    sa.Column("user_number", sa.BigInteger),
    sa.Column("provider_roles", sa.Text, nullable=False),
    sa.Column("provider_checked_at", Moment, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("last_login_at", Moment),
    sa.Column("disabled_at", Moment),
    sa.Column("deleted_at", Moment),
    sa.UniqueConstraint("provider", "provider_subject"),
    # With `id`, so that a listing goes on after any of them, and each page costs what the first did.
    sa.Index(None, "username_key", "id"),
    sa.Index(None, "email_key", "id"),
)
for _state, _where in (
    ("present", person.c.deleted_at.is_(None)),
    ("disabled", sa.and_(person.c.disabled_at.is_not(None), person.c.deleted_at.is_(None))),
    ("deleted", person.c.deleted_at.is_not(None)),
):
    sa.Index(f"ix_person_{_state}", person.c.created_at, person.c.id, postgresql_where=_where, sqlite_where=_where)
_has_number = person.c.user_number.is_not(None)
sa.Index(None, person.c.user_number, postgresql_where=_has_number, sqlite_where=_has_number)
# People of a provider may swap names there; within our own accounts a name and an address are one person's, for as long
# as the row is there: deleting an account does not free them, purging does.
for _key in (person.c.username_key, person.c.email_key):
    sa.Index(
        f"uq_person_local_{_key.name}",
        _key,
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
    sa.Column("must_change_password", sa.Boolean, nullable=False, server_default=sa.false()),
)

role = sa.Table(
    "role",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("level", sa.Integer, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("built_in", sa.Boolean, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.UniqueConstraint("level"),
    sa.CheckConstraint("level between 0 and 1000", name="level"),
)

person_role = sa.Table(
    "person_role",
    metadata,
    sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("role", sa.Text, sa.ForeignKey("role.name"), primary_key=True),
    sa.Column("granted_at", Moment, nullable=False),
    sa.Index(None, "role", "granted_at", "person_id"),
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
    sa.Column("address", sa.Text),
    sa.Column("user_agent", sa.Text),
    # The replica that spent the generation before this one; NULL after a sign-in.
    sa.Column("rotated_by", sa.Uuid),
)

presence = sa.Table(
    "presence",
    metadata,
    sa.Column("replica", sa.Uuid, primary_key=True),
    sa.Column("begun_at", Moment, primary_key=True),
    sa.Column("lasts_until", Moment, nullable=False, index=True),
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

# Of a single-use token that was mailed: nothing from which the token could be made. It dies when it is used, when it
# expires, and when the password or the address it was made for is another one.
action_token = sa.Table(
    "action_token",
    metadata,
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id", ondelete="CASCADE"), nullable=False),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("email_key", sa.Text, nullable=False),
    sa.Column("password_changed_at", Moment),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False, index=True),
    sa.Index(None, "person_id", "purpose"),
    sa.Index(None, "email_key", "purpose", "created_at"),
)

# Mail that is not sent yet, sealed: it holds the token. A row leaves when the mail is on its way.
mail = sa.Table(
    "mail",
    metadata,
    sa.Column("id", _Serial, primary_key=True, autoincrement=True),
    sa.Column("person_id", sa.Uuid, sa.ForeignKey("person.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("purpose", sa.Text, nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("due_at", Moment, nullable=False, index=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sqlite_autoincrement=True,
)

service_account = sa.Table(
    "service_account",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("name", _Key, nullable=False),
    sa.Column("description", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.UniqueConstraint("name"),
)

api_key = sa.Table(
    "api_key",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column(
        "service_account_id",
        sa.Uuid,
        sa.ForeignKey("service_account.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("prefix", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("from_settings", sa.Boolean, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("expires_at", Moment),
    sa.Column("last_used_at", Moment),
    sa.Column("revoked_at", Moment),
    sa.UniqueConstraint("digest"),
)

# Append-only: triggers refuse to change a row, and to delete one of the last thirty days. A reader that follows the log
# orders by `transaction_number` first: `id` is given out before the commit, and a smaller one may appear later.
audit_event = sa.Table(
    "audit_event",
    metadata,
    sa.Column("id", _Serial, primary_key=True, autoincrement=True),
    sa.Column("transaction_number", sa.BigInteger, nullable=False),
    sa.Column("event_id", sa.Uuid, nullable=False),
    sa.Column("occurred_at", Moment, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("actor_kind", sa.Text, nullable=False),
    sa.Column("actor_id", sa.Uuid),
    sa.Column("subject_id", sa.Uuid),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("request_id", sa.Text, nullable=False, index=True),
    sa.Column("details", sa.Text, nullable=False),
    sa.UniqueConstraint("event_id"),
    sa.Index(None, "transaction_number", "id"),
    sa.Index(None, "occurred_at", "id"),
    sa.Index(None, "type", "occurred_at", "id"),
    sa.Index(None, "subject_id", "occurred_at", "id"),
    sa.Index(None, "actor_id", "occurred_at", "id"),
    sqlite_autoincrement=True,
)
# Few are, and they are looked for.
_was_refused = audit_event.c.outcome == sa.literal_column("'refused'")
sa.Index(
    "ix_audit_event_refused",
    audit_event.c.occurred_at,
    audit_event.c.id,
    postgresql_where=_was_refused,
    sqlite_where=_was_refused,
)

# How far the audit log was published, for each place that it goes to, and which replica does it now.
publication = sa.Table(
    "publication",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("transaction_number", sa.BigInteger, nullable=False),
    sa.Column("audit_event_id", sa.BigInteger, nullable=False),
    sa.Column("held_by", sa.Uuid),
    sa.Column("held_until", Moment),
)

# Of an account or an address: what is owed for attempts that failed. Keys are digests, for the name may be nobody's;
# `account` is that of the account where there is one.
failed_attempts = sa.Table(
    "failed_attempts",
    metadata,
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("account", sa.LargeBinary, index=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("paid_off_at", Moment, nullable=False, index=True),
)

# How often a method was called within a window, by everybody or from one address, over all replicas.
call_count = sa.Table(
    "call_count",
    metadata,
    sa.Column("key", sa.LargeBinary, primary_key=True),
    sa.Column("window", sa.BigInteger, primary_key=True),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("expires_at", Moment, nullable=False, index=True),
)

# What people are told about maintenance; a row for each notice that was ever set.
maintenance_notice = sa.Table(
    "maintenance_notice",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("is_shown", sa.Boolean, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
    sa.CheckConstraint("kind in ('maintenance', 'scheduled_maintenance')", name="kind"),
)

# Who takes the key set, what all replicas saw of them. `id` is a digest of the four columns after it; `regular_from` is
# when a consumer that still comes is no passer-by any more.
key_consumer = sa.Table(
    "key_consumer",
    metadata,
    sa.Column("id", sa.LargeBinary, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("address", _Key, nullable=False),
    sa.Column("user_agent", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("first_seen_at", Moment, nullable=False),
    sa.Column("regular_from", Moment, nullable=False),
    sa.Column("last_seen_at", Moment, nullable=False, index=True),
    sa.Column("times", sa.BigInteger, nullable=False),
    sa.Column("ring_version", sa.BigInteger, nullable=False),
    sa.Column("standby_kid", sa.Text, nullable=False),
    sa.Column("showed_version", sa.BigInteger),
    sa.Index(None, "address", "id"),
)
