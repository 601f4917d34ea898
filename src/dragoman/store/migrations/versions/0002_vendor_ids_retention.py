"""The register of vendor-side ids is kept for a time, so it can be read by age."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One index."""
    op.create_index("ix_vendor_ids_created_at", "vendor_ids", ["created_at"])
