"""Legal holds on clients' records. `downgrade` destroys them, and refuses while one stands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0074"
down_revision = "0073"
branch_labels = None
depends_on = None

TABLE = "legal_hold"
TIME = sa.DateTime(timezone=True)
REFERENCES = {"client_id": "client", "placed_by": "user_account", "lifted_by": "user_account"}


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(14), nullable=False),
        sa.Column("placed_at", TIME, nullable=False),
        sa.Column("placed_by", sa.Uuid(), nullable=False),
        sa.Column("review_on", sa.Date(), nullable=False),
        sa.Column("lifted_at", TIME, nullable=True),
        sa.Column("lifted_by", sa.Uuid(), nullable=True),
        sa.Column("lift_reason", sa.String(10), nullable=True),
        sa.CheckConstraint(
            "kind IN ('court', 'complaint', 'claim', 'investigation', 'law')",
            name=op.f("ck_legal_hold_kind"),
        ),
        sa.CheckConstraint(
            "lift_reason IN ('ended', 'released', 'mistake', 'erased')",
            name=op.f("ck_legal_hold_lift_reason"),
        ),
        *(
            sa.ForeignKeyConstraint(
                [name], [f"{other}.id"], name=op.f(f"fk_{TABLE}_{name}_{other}")
            )
            for name, other in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
    )
    op.create_index("ix_legal_hold_client", TABLE, ["client_id"])
    op.create_index("ix_legal_hold_placed", TABLE, ["placed_at", "id"])


def downgrade() -> None:
    stands = (
        sa.select(sa.func.count())
        .select_from(sa.table(TABLE))
        .where(sa.column("lifted_at").is_(None))
    )
    if op.get_bind().scalar(stands):
        raise RuntimeError("Legal holds stand. Without them nothing would keep those records.")
    op.drop_table(TABLE)
