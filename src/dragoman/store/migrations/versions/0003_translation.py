"""Translation: what channels and keys say about it, and the responses kept for upstreams that keep none."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Three columns and one table."""
    op.add_column(
        "channels", sa.Column("translate", sa.Boolean, nullable=False, server_default=sa.text("true"))
    )
    op.add_column("channels", sa.Column("facts", sa.Text, nullable=False, server_default=sa.text("'{}'")))
    op.add_column("keys", sa.Column("strict", sa.Boolean, nullable=False, server_default=sa.text("false")))
    op.create_table(
        "responses",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("parent_id", sa.Text),
        sa.Column("cipher", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_responses_created_at", "responses", ["created_at"])
