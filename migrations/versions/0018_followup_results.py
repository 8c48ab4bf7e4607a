"""Follow-ups have coded results, attempts and times before which they can't be done, and a kind for welfare checks.

A task that was completed before keeps its note and counts as done. `downgrade` destroys the codes of results; a welfare
check becomes a task to tell the supervisor.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TABLE = "follow_up"
KINDS = (
    "recheck",
    "referral",
    "referral_outcome",
    "safety_plan",
    "safety_24h",
    "safety_72h",
    "safety_7d",
    "emergency_steps",
    "duty_check",
    "tell_supervisor",
    "close_screening",
    "close_check_in",
    "custom",
)


def _replace_kinds(kinds: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    with op.batch_alter_table(TABLE) as batch:
        batch.drop_constraint(op.f("ck_follow_up_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_follow_up_kind"), f"kind IN ({listed})")


def upgrade() -> None:
    _replace_kinds((*KINDS, "welfare_check"))
    # As column constraints, they need no other rebuilt table on SQLite.
    op.execute(
        f"ALTER TABLE {TABLE} ADD COLUMN attempt INTEGER DEFAULT 1 NOT NULL"
        " CONSTRAINT ck_follow_up_attempt CHECK (attempt >= 1)"
    )
    with op.batch_alter_table(TABLE) as batch:
        batch.add_column(sa.Column("not_before_at", sa.DateTime(timezone=True), nullable=True))
        batch.add_column(sa.Column("result", sa.LargeBinary(), nullable=True))
        batch.add_column(sa.Column("previous_id", sa.Uuid(), nullable=True))
        batch.create_foreign_key(
            op.f("fk_follow_up_previous_id_follow_up"), TABLE, ["previous_id"], ["id"]
        )


def downgrade() -> None:
    op.execute("UPDATE follow_up SET kind = 'tell_supervisor' WHERE kind = 'welfare_check'")
    with op.batch_alter_table(TABLE) as batch:
        batch.drop_constraint(op.f("fk_follow_up_previous_id_follow_up"), type_="foreignkey")
        batch.drop_constraint(op.f("ck_follow_up_attempt"), type_="check")
        for name in ("previous_id", "result", "not_before_at", "attempt"):
            batch.drop_column(name)
    _replace_kinds(KINDS)
