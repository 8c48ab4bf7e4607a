"""An assignment says nothing about the client's levels when it was made; the safety events do.

`downgrade` leaves the levels empty.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("assignment", "levels")


def downgrade() -> None:
    levels = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    op.add_column(
        "assignment", sa.Column("levels", levels, server_default=sa.text("'{}'"), nullable=False)
    )
