"""When replicas got through, and which of them spent a refresh token.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

from auth_service.storage.schema import Moment

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "presence",
        sa.Column("replica", sa.Uuid(), nullable=False),
        sa.Column("begun_at", Moment(), nullable=False),
        sa.Column("lasts_until", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("replica", "begun_at", name="pk_presence"),
    )
    op.create_index("ix_presence_lasts_until", "presence", ["lasts_until"])
    op.add_column("session", sa.Column("rotated_by", sa.Uuid()))


def downgrade() -> None:
    op.drop_column("session", "rotated_by")
    op.drop_table("presence")
