"""How many mails an address got, of however many accounts.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

INDEX = "ix_action_token_email_key_purpose_created_at"


def upgrade() -> None:
    op.create_index(INDEX, "action_token", ["email_key", "purpose", "created_at"])


def downgrade() -> None:
    op.drop_index(INDEX, "action_token")
