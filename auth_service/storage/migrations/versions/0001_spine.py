"""The spine: people, sessions, revocations, the key ring; and the `staff` table of the service before us.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

from auth_service.storage.schema import Moment

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _take_over_staff()
    op.create_table(
        "person",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_subject", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("user_number", sa.BigInteger()),
        sa.Column("provider_roles", sa.Text(), nullable=False),
        sa.Column("provider_checked_at", Moment(), nullable=False),
        sa.Column("created_at", Moment(), nullable=False),
        sa.Column("last_login_at", Moment()),
        sa.Column("disabled_at", Moment()),
        sa.Column("deleted_at", Moment()),
        sa.PrimaryKeyConstraint("id", name="pk_person"),
        sa.UniqueConstraint("provider", "provider_subject", name="uq_person_provider_provider_subject"),
    )
    _index_where("uq_person_local_username", "person", ["username"], "provider = 'local'")
    op.create_table(
        "local_account",
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("password_changed_at", Moment(), nullable=False),
        _belongs_to_person("local_account"),
        sa.PrimaryKeyConstraint("person_id", name="pk_local_account"),
    )
    op.create_table(
        "person_role",
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        _belongs_to_person("person_role"),
        sa.PrimaryKeyConstraint("person_id", "role", name="pk_person_role"),
    )
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("started_at", Moment(), nullable=False),
        sa.Column("rotated_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.Column("absolute_expires_at", Moment(), nullable=False),
        sa.Column("ended_at", Moment()),
        sa.Column("end_reason", sa.Text()),
        _belongs_to_person("session"),
        sa.PrimaryKeyConstraint("id", name="pk_session"),
    )
    op.create_index("ix_session_person_id", "session", ["person_id"])
    op.create_index("ix_session_expires_at", "session", ["expires_at"])
    op.create_table(
        "revocation",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("revoked_at", Moment(), nullable=False),
        sa.Column("expires_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_revocation"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_revocation_revoked_at", "revocation", ["revoked_at"])
    op.create_index("ix_revocation_expires_at", "revocation", ["expires_at"])
    op.create_table(
        "key_ring",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name="ck_key_ring_only_one"),
        sa.PrimaryKeyConstraint("id", name="pk_key_ring"),
    )
    op.create_table(
        "signing_key",
        sa.Column("kid", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("modulus", sa.LargeBinary(), nullable=False),
        sa.Column("sealed_private", sa.LargeBinary()),
        sa.Column("covers_lifetime_seconds", sa.BigInteger(), nullable=False),
        sa.Column("covers_lease_seconds", sa.BigInteger(), nullable=False),
        sa.Column("published_at", Moment(), nullable=False),
        sa.Column("activated_at", Moment()),
        sa.Column("demoted_at", Moment()),
        sa.Column("verifies_until", Moment()),
        sa.Column("withdrawn_at", Moment()),
        sa.CheckConstraint(
            "state in ('standby', 'active', 'retiring', 'retired', 'revoked')", name="ck_signing_key_state"
        ),
        sa.PrimaryKeyConstraint("kid", name="pk_signing_key"),
    )
    _index_where("uq_signing_key_one_active", "signing_key", ["state"], "state = 'active'")
    _index_where("uq_signing_key_one_standby", "signing_key", ["state"], "state = 'standby'")


def downgrade() -> None:
    """Everything but `staff`, which may have been there before us, and to which others' rows may point."""
    for table in ("signing_key", "key_ring", "revocation", "session", "person_role", "local_account", "person"):
        op.drop_table(table)


def _take_over_staff() -> None:
    connection = op.get_bind()
    if not sa.inspect(connection).has_table("staff"):
        op.create_table(
            "staff",
            sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
            sa.Column("user_number", sa.BigInteger(), nullable=False),
            sa.PrimaryKeyConstraint("id", name="pk_staff"),
            sa.UniqueConstraint("user_number", name="uq_staff_user_number"),
        )
        return
    # A number that is listed twice, or a row without one, says nothing that the first row does not.
    op.execute("DELETE FROM staff WHERE user_number IS NULL")
    op.execute("DELETE FROM staff WHERE id NOT IN (SELECT min(id) FROM staff GROUP BY user_number)")
    unique = {each["name"] for each in sa.inspect(connection).get_unique_constraints("staff")}
    with op.batch_alter_table("staff") as staff:
        staff.alter_column("user_number", existing_type=sa.Integer(), type_=sa.BigInteger(), nullable=False)
        if "uq_staff_user_number" not in unique:
            staff.create_unique_constraint("uq_staff_user_number", ["user_number"])


def _index_where(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=True, postgresql_where=where, sqlite_where=where)


def _belongs_to_person(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_person_id_person"
    return sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=name, ondelete="CASCADE")
