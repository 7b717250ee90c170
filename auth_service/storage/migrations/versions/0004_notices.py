"""What people are told about maintenance.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

from auth_service.storage.schema import Moment

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "maintenance_notice",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("is_shown", sa.Boolean(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("changed_at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name="pk_maintenance_notice"),
        sa.CheckConstraint("kind in ('maintenance', 'scheduled_maintenance')", name="ck_maintenance_notice_kind"),
    )


def downgrade() -> None:
    op.drop_table("maintenance_notice")
