"""A session knows when its person last showed who they are; for one that has begun already that is its beginning."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("session", sa.Column("authenticated_at", TIME, nullable=True))
    op.execute("UPDATE session SET authenticated_at = created_at")
    with op.batch_alter_table("session") as batch:
        batch.alter_column("authenticated_at", existing_type=TIME, nullable=False)


def downgrade() -> None:
    op.drop_column("session", "authenticated_at")
