"""Who takes the key set.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from auth_service.storage.schema import Moment

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "key_consumer",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("address", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=False),
        sa.Column("user_agent", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("first_seen_at", Moment(), nullable=False),
        sa.Column("regular_from", Moment(), nullable=False),
        sa.Column("last_seen_at", Moment(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("ring_version", sa.BigInteger(), nullable=False),
        sa.Column("standby_kid", sa.Text(), nullable=False),
        sa.Column("showed_version", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id", name="pk_key_consumer"),
    )
    op.create_index("ix_key_consumer_last_seen_at", "key_consumer", ["last_seen_at"])
    op.create_index("ix_key_consumer_address_id", "key_consumer", ["address", "id"])


def downgrade() -> None:
    op.drop_table("key_consumer")
