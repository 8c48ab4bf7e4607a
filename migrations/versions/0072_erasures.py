"""Requests to erase a client's record, and the certificates. `downgrade` destroys them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0072"
down_revision = "0071"
branch_labels = None
depends_on = None

TABLE = "erasure"
TIME = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
REFERENCES = {
    "client_id": "client",
    "requested_by": "user_account",
    "decided_by": "user_account",
}
WAITS = sa.text("state = 'requested'")


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("ground", sa.String(10), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("requested_at", TIME, nullable=False),
        sa.Column("requested_by", sa.Uuid(), nullable=False),
        sa.Column("decided_at", TIME, nullable=True),
        sa.Column("decided_by", sa.Uuid(), nullable=True),
        sa.Column("refusal", sa.String(10), nullable=True),
        sa.Column("counts", JSON, nullable=False),
        sa.Column("vault_keys", JSON, nullable=False),
        sa.Column("keys_gone_at", TIME, nullable=True),
        sa.CheckConstraint(
            "ground IN ('client', 'proxy', 'retention', 'error')", name=op.f("ck_erasure_ground")
        ),
        sa.CheckConstraint(
            "state IN ('requested', 'refused', 'withdrawn', 'done')", name=op.f("ck_erasure_state")
        ),
        sa.CheckConstraint(
            "refusal IN ('law', 'claim', 'mistake', 'other')", name=op.f("ck_erasure_refusal")
        ),
        *(
            sa.ForeignKeyConstraint(
                [name], [f"{other}.id"], name=op.f(f"fk_{TABLE}_{name}_{other}")
            )
            for name, other in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
    )
    op.create_index(
        "uq_erasure_requested",
        TABLE,
        ["client_id"],
        unique=True,
        sqlite_where=WAITS,
        postgresql_where=WAITS,
    )
    op.create_index("ix_erasure_requested_at", TABLE, ["requested_at", "id"])


def downgrade() -> None:
    op.drop_table(TABLE)
