"""Each membership of a care team has a role, and one that is no coach's can have an end.

Everybody so far is a coach. `downgrade` keeps the coaches only: before, every member could see all about the client.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

TABLE, KEY = "care_team", "pk_care_team"
ROLES = "role IN ('coach', 'alert', 'release')"


def upgrade() -> None:
    # As column constraints, they need no other rebuilt table on SQLite.
    op.execute(
        f"ALTER TABLE {TABLE} ADD COLUMN role VARCHAR(8) DEFAULT 'coach' NOT NULL"
        f" CONSTRAINT ck_care_team_role CHECK ({ROLES})"
    )
    with op.batch_alter_table(TABLE) as batch:
        batch.add_column(sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True))
        batch.create_check_constraint(
            op.f("ck_care_team_coach_has_no_end"), "role <> 'coach' OR ends_at IS NULL"
        )
        batch.drop_constraint(op.f(KEY), type_="primary")
        batch.create_primary_key(op.f(KEY), ["user_id", "client_id", "role"])


def downgrade() -> None:
    op.execute(f"DELETE FROM {TABLE} WHERE role <> 'coach'")  # noqa: S608 - no value of anybody's
    with op.batch_alter_table(TABLE) as batch:
        batch.drop_constraint(op.f("ck_care_team_coach_has_no_end"), type_="check")
        batch.drop_constraint(op.f("ck_care_team_role"), type_="check")
        batch.drop_constraint(op.f(KEY), type_="primary")
        batch.create_primary_key(op.f(KEY), ["user_id", "client_id"])
        batch.drop_column("ends_at")
        batch.drop_column("role")
