"""A practice may have a logo, and a QR code on its paper."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "practice_logo",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("picture", sa.LargeBinary(), nullable=False),
        sa.Column("alternative", sa.String(120), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_practice_logo")),
    )
    with op.batch_alter_table("practice") as batch:
        batch.add_column(
            sa.Column("paper_code", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
    with op.batch_alter_table("practice") as batch:
        batch.alter_column("paper_code", existing_type=sa.Boolean(), server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("practice") as batch:
        batch.drop_column("paper_code")
    op.drop_table("practice_logo")
