"""The language of the mail that a member of staff gets. `downgrade` forgets it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0067"
down_revision = "0066"
branch_labels = None
depends_on = None

CHECK = "ck_user_account_language"


def upgrade() -> None:
    with op.batch_alter_table("user_account") as batch:
        batch.add_column(sa.Column("language", sa.String(5), nullable=True))
        batch.create_check_constraint(op.f(CHECK), "language IN ('en-GB', 'en-US', 'es')")


def downgrade() -> None:
    with op.batch_alter_table("user_account") as batch:
        batch.drop_constraint(op.f(CHECK), type_="check")
        batch.drop_column("language")
