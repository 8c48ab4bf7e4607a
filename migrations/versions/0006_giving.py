"""One sheet may be given to several clients at once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "giving",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.String(60), nullable=False),
        sa.Column("language", sa.String(5), nullable=False),
        sa.Column("edition_id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.String(12), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["edition.id"], name=op.f("fk_giving_edition_id_edition")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_giving")),
    )
    op.create_index("ix_giving_made_by", "giving", ["made_by", "made_at"])
    op.create_table(
        "giving_item",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("giving_id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.LargeBinary(), nullable=True),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column(
            "reasons", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False
        ),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("assignment_id", sa.Uuid(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["giving_id"], ["giving.id"], name=op.f("fk_giving_item_giving_id_giving")
        ),
        sa.ForeignKeyConstraint(
            ["case_id"], ["coaching_case.id"], name=op.f("fk_giving_item_case_id_coaching_case")
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_giving_item_client_id_client")
        ),
        sa.ForeignKeyConstraint(
            ["assignment_id"],
            ["assignment.id"],
            name=op.f("fk_giving_item_assignment_id_assignment"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_giving_item")),
        sa.UniqueConstraint("giving_id", "case_id", name=op.f("uq_giving_item_giving_id_case_id")),
    )
    op.create_index("ix_giving_item_waiting", "giving_item", ["giving_id", "state", "id"])
    op.create_index("ix_giving_item_client", "giving_item", ["client_id"])


def downgrade() -> None:
    op.drop_table("giving_item")
    op.drop_table("giving")
