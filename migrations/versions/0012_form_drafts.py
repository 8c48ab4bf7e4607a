"""The words of forms that were not sent, sealed, for their author only. `downgrade` drops them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLE = "form_draft"


def upgrade() -> None:
    # SQLite doesn't enforce the length of a text by itself.
    sqlite = op.get_context().dialect.name == "sqlite"
    lengths = [
        sa.CheckConstraint(f"length({name}) <= 200", name=op.f(f"ck_form_draft_{name}_length"))
        for name in ("path", "form")
    ]
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=True),
        sa.Column("path", sa.String(200), nullable=False),
        sa.Column("form", sa.String(200), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ring_number", sa.Integer(), nullable=True),
        sa.Column("words", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_form_draft")),
        sa.UniqueConstraint(
            "author_id",
            "path",
            "form",
            "opened_at",
            name=op.f("uq_form_draft_author_id_path_form_opened_at"),
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_form_draft_client_id_client")
        ),
        sa.CheckConstraint("ring_number >= 1", name=op.f("ck_form_draft_ring_number")),
        *(lengths if sqlite else []),
    )
    op.create_index(op.f("ix_form_draft_client_id"), TABLE, ["client_id"])
    op.create_index(op.f("ix_form_draft_updated_at"), TABLE, ["updated_at"])


def downgrade() -> None:
    op.drop_table(TABLE)
