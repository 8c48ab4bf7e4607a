"""For how long the practice keeps records: a profile, and the years that it has chosen otherwise."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0076"
down_revision = "0075"
branch_labels = None
depends_on = None

TABLE = "practice"
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
LENGTH = " CONSTRAINT ck_practice_retention_reason_length CHECK (length(retention_reason) <= 400)"


def upgrade() -> None:
    # As column constraints, they need no rebuilt table on SQLite, and go with the columns.
    op.execute(
        "ALTER TABLE practice ADD COLUMN retention_profile VARCHAR(8)"
        " CONSTRAINT ck_practice_retention_profile"
        " CHECK (retention_profile IN ('us', 'uk', 'other'))"
    )
    op.add_column(
        TABLE, sa.Column("retention_years", JSON, server_default=sa.text("'{}'"), nullable=False)
    )
    # SQLite ignores the length of the type.
    length = LENGTH if op.get_context().dialect.name == "sqlite" else ""
    op.execute(
        "ALTER TABLE practice ADD COLUMN retention_reason VARCHAR(400) DEFAULT '' NOT NULL" + length
    )


def downgrade() -> None:
    for name in ("retention_reason", "retention_years", "retention_profile"):
        op.drop_column(TABLE, name)
