"""Snippets: the short texts that staff put into notes. `downgrade` deletes them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0069"
down_revision = "0068"
branch_labels = None
depends_on = None

TABLE = "snippet"
SECTIONS = (
    *("data", "assessment", "plan", "subjective", "objective", "behaviour", "intervention"),
    *("response", "goals", "text", "request", "background", "course", "outcome", "afterwards"),
)


def upgrade() -> None:
    listed = ", ".join(f"'{section}'" for section in SECTIONS)
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("section", sa.String(12), nullable=True),
        sa.Column("ring_number", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(f"section IN ({listed})", name=op.f("ck_snippet_section")),
        sa.CheckConstraint("ring_number >= 1", name=op.f("ck_snippet_ring_number")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_snippet_version")),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["user_account.id"], name=op.f("fk_snippet_owner_id_user_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snippet")),
    )
    op.create_index(op.f("ix_snippet_owner_id"), TABLE, ["owner_id"])


def downgrade() -> None:
    op.drop_table(TABLE)
