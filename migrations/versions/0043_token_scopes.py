"""API tokens have scopes and an expiry, and say when they were last used.

A token of an earlier release keeps what it could do, and expires a year after the upgrade.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
SCOPES = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SCOPES_BEFORE = [
    "account:write",
    "clients:write",
    "handouts:write",
    "reports:write",
    "audit:read",
]
TOKEN = sa.table("token", sa.column("scopes", SCOPES), sa.column("expires_at", TIME))


def upgrade() -> None:
    with op.batch_alter_table("token") as batch:
        batch.add_column(sa.Column("scopes", SCOPES, nullable=True))
        batch.add_column(sa.Column("expires_at", TIME, nullable=True))
        batch.add_column(sa.Column("used_at", TIME, nullable=True))
    expires_at = datetime.now(UTC) + timedelta(days=365)  # noqa: TID251 - no model is there
    op.execute(sa.update(TOKEN).values(scopes=SCOPES_BEFORE, expires_at=expires_at))
    with op.batch_alter_table("token") as batch:
        batch.alter_column("scopes", existing_type=SCOPES, nullable=False)
        batch.alter_column("expires_at", existing_type=TIME, nullable=False)


def downgrade() -> None:
    with op.batch_alter_table("token") as batch:
        batch.drop_column("used_at")
        batch.drop_column("expires_at")
        batch.drop_column("scopes")
