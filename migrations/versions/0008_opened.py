"""When a client first opened a sheet stands in the log of reads alone, so that showing a page changes no record."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BY_CLIENT = sa.text("actor_role = 'client'")
# Whoever opened a sheet stands in the log at the same moment or before.
FIRST_TOUCH = """
    UPDATE assignment SET opened_at = (
        SELECT min(audit_entry.at) FROM audit_entry
        WHERE audit_entry.actor_role = 'client' AND audit_entry.outcome = 'done'
        AND audit_entry.actor_id = assignment.client_id
        AND audit_entry.object_id = assignment.id
    )
"""


def upgrade() -> None:
    op.create_index(
        "ix_audit_entry_by_client",
        "audit_entry",
        ["object_id", "at"],
        sqlite_where=BY_CLIENT,
        postgresql_where=BY_CLIENT,
    )
    with op.batch_alter_table("assignment") as batch:
        batch.drop_column("opened_at")


def downgrade() -> None:
    with op.batch_alter_table("assignment") as batch:
        batch.add_column(sa.Column("opened_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(FIRST_TOUCH)
    op.drop_index("ix_audit_entry_by_client", "audit_entry")
