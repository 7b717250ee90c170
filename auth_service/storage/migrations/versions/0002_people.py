"""People, roles, service accounts, mail, audit, limits.

Revision ID: 0002
Revises: 0001
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from auth_service.domain.names import name_key
from auth_service.storage.migrate import DatabaseRefused
from auth_service.storage.schema import Moment

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_BUILT_IN = (
    ("admin", 0, "May do everything."),
    ("staff", 500, "Follows from the facility's roles and the staff table."),
    ("user", 1000, "Everybody else."),
)
_WEAKEST_OF_FORMER_ROLES = 999
_STATES = {
    "present": "deleted_at IS NULL",
    "disabled": "disabled_at IS NOT NULL AND deleted_at IS NULL",
    "deleted": "deleted_at IS NOT NULL",
}


def upgrade() -> None:
    _person()
    _roles()
    with op.batch_alter_table("local_account") as local_account:
        local_account.add_column(
            sa.Column("must_change_password", sa.Boolean(), nullable=False, server_default=sa.false())
        )
    for name in ("address", "user_agent"):
        op.add_column("session", sa.Column(name, sa.Text()))
    _mail()
    _service_accounts()
    _audit()
    _limits()


def downgrade() -> None:
    _drop_audit_triggers()
    for table in (
        "call_count",
        "failed_attempts",
        "publication",
        "audit_event",
        "api_key",
        "service_account",
        "mail",
        "action_token",
    ):
        op.drop_table(table)
    with op.batch_alter_table("session") as session:
        session.drop_column("user_agent")
        session.drop_column("address")
    with op.batch_alter_table("local_account") as local_account:
        local_account.drop_column("must_change_password")
    with op.batch_alter_table("person_role") as person_role:
        person_role.drop_constraint("fk_person_role_role_role", type_="foreignkey")
        person_role.drop_index("ix_person_role_role_granted_at_person_id")
        person_role.drop_column("granted_at")
    op.drop_table("role")
    for index in (
        "uq_person_local_email_key",
        "uq_person_local_username_key",
        "ix_person_user_number",
        *(f"ix_person_{state}" for state in _STATES),
        "ix_person_email_key_id",
        "ix_person_username_key_id",
    ):
        op.drop_index(index, "person")
    with op.batch_alter_table("person") as person:
        for column in ("email_verified_at", "email_key", "email", "username_key"):
            person.drop_column(column)
    _index_where("uq_person_local_username", "person", ["username"], "provider = 'local'", unique=True)


def _person() -> None:
    op.drop_index("uq_person_local_username", "person")
    op.add_column("person", sa.Column("username_key", _key()))
    op.add_column("person", sa.Column("email", sa.Text()))
    op.add_column("person", sa.Column("email_key", _key()))
    op.add_column("person", sa.Column("email_verified_at", Moment()))
    _fill_username_keys()
    with op.batch_alter_table("person") as person:
        person.alter_column("username_key", existing_type=_key(), nullable=False)
    for key in ("username_key", "email_key"):
        op.create_index(f"ix_person_{key}_id", "person", [key, "id"])
        _index_where(f"uq_person_local_{key}", "person", [key], "provider = 'local'", unique=True)
    for state, condition in _STATES.items():
        _index_where(f"ix_person_{state}", "person", ["created_at", "id"], condition, unique=False)
    _index_where("ix_person_user_number", "person", ["user_number"], "user_number IS NOT NULL", unique=False)


def _fill_username_keys() -> None:
    connection = op.get_bind()
    person = sa.table(
        "person", sa.column("id", sa.Uuid), sa.column("provider"), sa.column("username"), sa.column("username_key")
    )
    locals_by_key: dict[str, list[str]] = {}
    for row in connection.execute(sa.select(person.c.id, person.c.provider, person.c.username)).all():
        key = name_key(row.username)
        connection.execute(sa.update(person).where(person.c.id == row.id).values(username_key=key))
        if row.provider == "local":
            locals_by_key.setdefault(key, []).append(row.username)
    doubled = [", ".join(sorted(names)) for names in locals_by_key.values() if len(names) > 1]
    if doubled:
        raise DatabaseRefused(
            "these user names are one name from this release on; rename all but one of each: " + "; ".join(doubled)
        )


def _roles() -> None:
    connection = op.get_bind()
    role = op.create_table(
        "role",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("built_in", sa.Boolean(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_role"),
        sa.UniqueConstraint("level", name="uq_role_level"),
        sa.CheckConstraint("level between 0 and 1000", name="ck_role_level"),
    )
    now = datetime.now(UTC)
    known = {name for name, _, _ in _BUILT_IN}
    person_role = sa.table("person_role", sa.column("role"), sa.column("granted_at", Moment()))
    former = [
        name
        for (name,) in connection.execute(sa.select(person_role.c.role).distinct().order_by(person_role.c.role))
        if name not in known
    ]
    # A role that was granted before roles had levels is worth nothing until somebody gives it another level.
    rows = [
        *((name, level, description, True) for name, level, description in _BUILT_IN),
        *((name, _WEAKEST_OF_FORMER_ROLES - index, "", False) for index, name in enumerate(former)),
    ]
    op.bulk_insert(
        role,
        [
            {"name": name, "level": level, "description": description, "built_in": built_in, "created_at": now}
            for name, level, description, built_in in rows
        ],
    )
    op.add_column("person_role", sa.Column("granted_at", Moment()))
    connection.execute(sa.update(person_role).values(granted_at=now))
    with op.batch_alter_table("person_role") as table:
        table.alter_column("granted_at", existing_type=Moment(), nullable=False)
        table.create_foreign_key("fk_person_role_role_role", "role", ["role"], ["name"])
        table.create_index("ix_person_role_role_granted_at_person_id", ["role", "granted_at", "person_id"])


def _mail() -> None:
    op.create_table(
        "action_token",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("password_changed_at", Moment()),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        _belongs_to_person("action_token"),
        sa.PrimaryKeyConstraint("digest", name="pk_action_token"),
    )
    op.create_index("ix_action_token_person_id_purpose", "action_token", ["person_id", "purpose"])
    op.create_index("ix_action_token_expires_at", "action_token", ["expires_at"])
    op.create_table(
        "mail",
        sa.Column("id", _serial(), autoincrement=True, nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("due_at", Moment(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        _belongs_to_person("mail"),
        sa.PrimaryKeyConstraint("id", name="pk_mail"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_mail_person_id", "mail", ["person_id"])
    op.create_index("ix_mail_due_at", "mail", ["due_at"])


def _service_accounts() -> None:
    op.create_table(
        "service_account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", _key(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_service_account"),
        sa.UniqueConstraint("name", name="uq_service_account_name"),
    )
    op.create_table(
        "api_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("service_account_id", sa.Uuid(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("from_settings", sa.Boolean(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment()),
        sa.Column("last_used_at", Moment()),
        sa.Column("revoked_at", Moment()),
        sa.ForeignKeyConstraint(
            ["service_account_id"],
            ["service_account.id"],
            name="fk_api_key_service_account_id_service_account",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_key"),
        sa.UniqueConstraint("digest", name="uq_api_key_digest"),
    )
    op.create_index("ix_api_key_service_account_id", "api_key", ["service_account_id"])


def _audit() -> None:
    op.create_table(
        "audit_event",
        sa.Column("id", _serial(), autoincrement=True, nullable=False),
        sa.Column("transaction_number", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at", Moment(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid()),
        sa.Column("subject_id", sa.Uuid()),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_event"),
        sa.UniqueConstraint("event_id", name="uq_audit_event_event_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_event_request_id", "audit_event", ["request_id"])
    op.create_index("ix_audit_event_transaction_number_id", "audit_event", ["transaction_number", "id"])
    op.create_index("ix_audit_event_occurred_at_id", "audit_event", ["occurred_at", "id"])
    for column in ("type", "subject_id", "actor_id"):
        op.create_index(f"ix_audit_event_{column}_occurred_at_id", "audit_event", [column, "occurred_at", "id"])
    was_refused = sa.text("outcome = 'refused'")
    op.create_index(
        "ix_audit_event_refused",
        "audit_event",
        ["occurred_at", "id"],
        postgresql_where=was_refused,
        sqlite_where=was_refused,
    )
    op.create_table(
        "publication",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("transaction_number", sa.BigInteger(), nullable=False),
        sa.Column("audit_event_id", sa.BigInteger(), nullable=False),
        sa.Column("held_by", sa.Uuid()),
        sa.Column("held_until", Moment()),
        sa.PrimaryKeyConstraint("name", name="pk_publication"),
    )
    _create_audit_triggers()


def _create_audit_triggers() -> None:
    """Whatever the code may do one day: no event is altered, and none of the last thirty days is deleted."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER audit_event_is_append_only BEFORE UPDATE ON audit_event "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        )
        op.execute(
            "CREATE TRIGGER audit_event_is_kept BEFORE DELETE ON audit_event "
            "WHEN OLD.occurred_at > datetime('now', '-30 days') "
            "BEGIN SELECT RAISE(ABORT, 'the audit log keeps thirty days'); END"
        )
        return
    op.execute(
        # Only the place in the order may be taken off an event, for a server whose transaction numbers are others.
        "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN "
        "IF TG_OP = 'UPDATE' THEN "
        "OLD.transaction_number := 0; "
        "IF OLD IS NOT DISTINCT FROM NEW THEN RETURN NEW; END IF; "
        "END IF; "
        "RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_event_is_append_only BEFORE UPDATE ON audit_event "
        "FOR EACH ROW EXECUTE FUNCTION refuse_audit_change()"
    )
    op.execute(
        "CREATE TRIGGER audit_event_is_kept BEFORE DELETE ON audit_event "
        "FOR EACH ROW WHEN (OLD.occurred_at > now() - interval '30 days') EXECUTE FUNCTION refuse_audit_change()"
    )
    op.execute(
        "CREATE TRIGGER audit_event_is_not_emptied BEFORE TRUNCATE ON audit_event "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
    )


def _drop_audit_triggers() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_event_is_append_only")
        op.execute("DROP TRIGGER audit_event_is_kept")
        return
    op.execute("DROP FUNCTION refuse_audit_change() CASCADE")


def _limits() -> None:
    op.create_table(
        "failed_attempts",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("account", sa.LargeBinary()),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("paid_off_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_failed_attempts"),
    )
    op.create_index("ix_failed_attempts_account", "failed_attempts", ["account"])
    op.create_index("ix_failed_attempts_paid_off_at", "failed_attempts", ["paid_off_at"])
    op.create_table(
        "call_count",
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("window", sa.BigInteger(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("key", "window", name="pk_call_count"),
    )
    op.create_index("ix_call_count_expires_at", "call_count", ["expires_at"])


def _key() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _serial() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _index_where(name: str, table: str, columns: list[str], condition: str, *, unique: bool) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=unique, postgresql_where=where, sqlite_where=where)


def _belongs_to_person(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_person_id_person"
    return sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=name, ondelete="CASCADE")
