"""A coach offers a client to a colleague, who accepts or declines. `downgrade` forgets all offers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
STATES = "'offered', 'accepted', 'declined', 'withdrawn', 'undone', 'expired'"


def upgrade() -> None:
    op.create_table(
        "transfer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("from_id", sa.Uuid(), nullable=False),
        sa.Column("to_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("offered_at", TIME, nullable=False),
        sa.Column("offered_by", sa.Uuid(), nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("decided_at", TIME, nullable=True),
        sa.CheckConstraint(f"state IN ({STATES})", name=op.f("ck_transfer_state")),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_transfer_client_id_client")
        ),
        *(
            sa.ForeignKeyConstraint(
                [name], ["user_account.id"], name=op.f(f"fk_transfer_{name}_user_account")
            )
            for name in ("from_id", "to_id", "offered_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfer")),
    )
    offered = sa.text("state = 'offered'")
    op.create_index(
        "uq_transfer_offered",
        "transfer",
        ["client_id"],
        unique=True,
        sqlite_where=offered,
        postgresql_where=offered,
    )
    op.create_index("ix_transfer_client", "transfer", ["client_id"])
    op.create_index("ix_transfer_to", "transfer", ["to_id", "state", "expires_at"])
    op.create_index("ix_transfer_from", "transfer", ["from_id", "offered_at"])


def downgrade() -> None:
    op.drop_table("transfer")
