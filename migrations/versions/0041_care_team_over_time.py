"""Memberships of care teams have a start and an end, and what has ended is kept.

Those of today began when their members joined. `downgrade` keeps what runs, and of each other role the newest.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

TABLE, KEY = "care_team", "pk_care_team"
WHO = "fk_care_team_created_by_user_account"
TIME = sa.DateTime(timezone=True)
ENDLESS = datetime(9999, 12, 31, tzinfo=UTC)
TEAM = sa.table(
    TABLE,
    sa.column("user_id", sa.Uuid()),
    sa.column("client_id", sa.Uuid()),
    sa.column("role", sa.String()),
    sa.column("starts_at", TIME),
    sa.column("ends_at", TIME),
    sa.column("reason", sa.String()),
)
ROLE_KEY = ["user_id", "client_id", "role"]
INDEXES = {
    "ix_care_team_user": ["user_id", "ends_at", "starts_at", "client_id", "role"],
    "ix_care_team_client": ["client_id", "user_id", "ends_at", "starts_at", "role"],
}


def upgrade() -> None:
    op.drop_index(op.f("ix_care_team_client"), TABLE)
    with op.batch_alter_table(TABLE) as batch:
        batch.drop_constraint(op.f("ck_care_team_coach_has_no_end"), type_="check")
        batch.alter_column("joined_at", new_column_name="starts_at", existing_type=TIME)
        batch.add_column(sa.Column("reason", sa.String(12), nullable=True))
        batch.add_column(sa.Column("created_by", sa.Uuid(), nullable=True))
        batch.create_foreign_key(op.f(WHO), "user_account", ["created_by"], ["id"])
    op.execute(sa.update(TEAM).where(TEAM.c.ends_at.is_(None)).values(ends_at=ENDLESS))
    op.execute(sa.update(TEAM).values(reason=""))
    with op.batch_alter_table(TABLE) as batch:
        batch.alter_column("ends_at", existing_type=TIME, nullable=False)
        batch.alter_column("reason", existing_type=sa.String(12), nullable=False)
        batch.create_check_constraint(
            op.f("ck_care_team_reason"), "reason IN ('', 'opened', 'handed_over')"
        )
        batch.drop_constraint(op.f(KEY), type_="primary")
        batch.create_primary_key(op.f(KEY), [*ROLE_KEY, "starts_at"])
    for name, columns in INDEXES.items():
        op.create_index(op.f(name), TABLE, columns)


def downgrade() -> None:
    later = sa.alias(TEAM)
    is_older = sa.exists().where(
        *(later.c[name] == TEAM.c[name] for name in ROLE_KEY), later.c.starts_at > TEAM.c.starts_at
    )
    op.execute(sa.delete(TEAM).where(TEAM.c.role == "coach", TEAM.c.ends_at < ENDLESS))
    op.execute(sa.delete(TEAM).where(is_older))
    for name in INDEXES:
        op.drop_index(op.f(name), TABLE)
    with op.batch_alter_table(TABLE) as batch:
        batch.alter_column("ends_at", existing_type=TIME, nullable=True)
        batch.drop_constraint(op.f(KEY), type_="primary")
        batch.create_primary_key(op.f(KEY), ROLE_KEY)
    op.execute(sa.update(TEAM).where(TEAM.c.ends_at == ENDLESS).values(ends_at=None))
    with op.batch_alter_table(TABLE) as batch:
        batch.create_check_constraint(
            op.f("ck_care_team_coach_has_no_end"), "role <> 'coach' OR ends_at IS NULL"
        )
        batch.drop_constraint(op.f(WHO), type_="foreignkey")
        batch.drop_constraint(op.f("ck_care_team_reason"), type_="check")
        batch.drop_column("created_by")
        batch.drop_column("reason")
        batch.alter_column("starts_at", new_column_name="joined_at", existing_type=TIME)
    op.create_index(op.f("ix_care_team_client"), TABLE, ["client_id"])
