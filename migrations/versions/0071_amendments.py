"""Clients' requests to correct signed notes. `downgrade` destroys them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0071"
down_revision = "0070"
branch_labels = None
depends_on = None

TABLE = "amendment_request"
TIME = sa.DateTime(timezone=True)
REFERENCES = {
    "note_id": "note",
    "client_id": "client",
    "recorded_by": "user_account",
    "answered_by": "user_account",
    "addendum_id": "note_addendum",
}


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("note_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.SmallInteger(), nullable=False),
        sa.Column("requested_on", sa.Date(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("words", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("answered_at", TIME, nullable=True),
        sa.Column("answered_by", sa.Uuid(), nullable=True),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("addendum_id", sa.Uuid(), nullable=True),
        sa.CheckConstraint("seq >= 1", name=op.f(f"ck_{TABLE}_seq")),
        sa.CheckConstraint(
            "state IN ('open', 'accepted', 'declined')", name=op.f(f"ck_{TABLE}_state")
        ),
        *(
            sa.ForeignKeyConstraint(
                [name], [f"{other}.id"], name=op.f(f"fk_{TABLE}_{name}_{other}")
            )
            for name, other in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
        sa.UniqueConstraint("note_id", "seq", name=op.f(f"uq_{TABLE}_note_id_seq")),
    )
    op.create_index("ix_amendment_request_client_id", TABLE, ["client_id"])
    op.create_index(
        "ix_amendment_request_open",
        TABLE,
        ["due_at", "id"],
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def downgrade() -> None:
    op.drop_table(TABLE)
