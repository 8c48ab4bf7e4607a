"""An edition may be recalled."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("edition") as batch:
        batch.add_column(sa.Column("recalled_at", sa.DateTime(timezone=True), nullable=True))
        batch.add_column(sa.Column("recalled_by", sa.Uuid(), nullable=True))
        batch.add_column(sa.Column("recall_reason", sa.String(300), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("edition") as batch:
        batch.drop_column("recall_reason")
        batch.drop_column("recalled_by")
        batch.drop_column("recalled_at")
