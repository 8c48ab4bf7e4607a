"""A form that is sent twice leads to the same place: its key keeps the address and the message that followed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TABLE = "idempotency_key"
LENGTHS = {"location": 2000, "message": 40}


def upgrade() -> None:
    sqlite = op.get_context().dialect.name == "sqlite"
    with op.batch_alter_table(TABLE) as batch:
        for name, length in LENGTHS.items():
            batch.add_column(sa.Column(name, sa.String(length), nullable=True))
            if sqlite:
                # SQLite doesn't enforce the length of a text by itself.
                batch.create_check_constraint(
                    op.f(f"ck_{TABLE}_{name}_length"), f"length({name}) <= {length}"
                )


def downgrade() -> None:
    sqlite = op.get_context().dialect.name == "sqlite"
    with op.batch_alter_table(TABLE) as batch:
        for name in LENGTHS:
            if sqlite:
                batch.drop_constraint(op.f(f"ck_{TABLE}_{name}_length"), type_="check")
            batch.drop_column(name)
