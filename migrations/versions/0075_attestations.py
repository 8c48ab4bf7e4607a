"""A criterion can be attested again, at another move of the case. `downgrade` keeps the newest evidence only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0075"
down_revision = "0074"
branch_labels = None
depends_on = None

TABLE, UNIQUE, INDEX = (
    "attestation",
    "uq_attestation_case_id_criterion",
    "ix_attestation_case_id",
)


def upgrade() -> None:
    with op.batch_alter_table(TABLE) as batch:
        batch.drop_constraint(op.f(UNIQUE), type_="unique")
    op.create_index(INDEX, TABLE, ["case_id"])


def downgrade() -> None:
    op.execute(
        sa.text(
            "DELETE FROM attestation WHERE EXISTS (SELECT 1 FROM attestation AS newer "
            "WHERE newer.case_id = attestation.case_id AND newer.criterion = attestation.criterion "
            "AND (newer.attested_at, newer.id) > (attestation.attested_at, attestation.id))"
        )
    )
    op.drop_index(INDEX, TABLE)
    with op.batch_alter_table(TABLE) as batch:
        batch.create_unique_constraint(op.f(UNIQUE), ["case_id", "criterion"])
