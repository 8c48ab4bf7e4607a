"""Whether a practice tells clients of a new coach. `downgrade` forgets it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0061"
down_revision = "0060"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not rebuilt on SQLite, where an earlier migration's downgrade drops a column with its CHECK.
    op.add_column(
        "practice",
        sa.Column("tells_new_coach", sa.Boolean(), server_default=sa.false(), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("practice", "tells_new_coach")
