"""The earlier texts of drafts of notes. `downgrade` deletes them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0068"
down_revision = "0067"
branch_labels = None
depends_on = None

TABLE = "note_revision"
REFERENCES = {"note_id": "note", "client_id": "client"}


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("note_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        *(
            sa.ForeignKeyConstraint(
                [name], [f"{other}.id"], name=op.f(f"fk_{TABLE}_{name}_{other}")
            )
            for name, other in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
    )
    op.create_index(op.f("ix_note_revision_client_id"), TABLE, ["client_id"])
    op.create_index("ix_note_revision_note", TABLE, ["note_id", "saved_at", "id"])


def downgrade() -> None:
    op.drop_table(TABLE)
