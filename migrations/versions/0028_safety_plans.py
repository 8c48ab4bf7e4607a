"""Safety plans: versions that never change, and follow-ups to review them.

`downgrade` destroys the plans; a follow-up to review one becomes a task to ask again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

TABLE = "safety_plan"
TASKS = "follow_up"
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
    "welfare_check",
    "declined_decision",
    "close_screening",
    "close_check_in",
    "custom",
)
# Triggers of the table that never changes; SQLite's REPLACE slips past the first two.
GUARDS = {
    "sqlite": [
        f"""CREATE TRIGGER {TABLE}_no_update BEFORE UPDATE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, 'versions of safety plans never change'); END""",
        f"""CREATE TRIGGER {TABLE}_no_delete BEFORE DELETE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, 'versions of safety plans never change'); END""",
        """CREATE TRIGGER safety_plan_no_replace BEFORE INSERT ON safety_plan
        WHEN EXISTS (SELECT 1 FROM safety_plan WHERE rowid = NEW.rowid OR id = NEW.id
        OR (client_id = NEW.client_id AND seq = NEW.seq))
        BEGIN SELECT RAISE(ABORT, 'versions of safety plans never change'); END""",
    ],
    "postgresql": [
        f"""CREATE TRIGGER {TABLE}_no_change BEFORE UPDATE OR DELETE ON {TABLE}
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        f"""CREATE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE}
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ],
}


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("review_on", sa.Date(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("seq >= 1", name=op.f(f"ck_{TABLE}_seq")),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f(f"fk_{TABLE}_client_id_client")
        ),
        sa.ForeignKeyConstraint(
            ["created_by"],
            ["user_account.id"],
            name=op.f(f"fk_{TABLE}_created_by_user_account"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
        sa.UniqueConstraint("client_id", "seq", name=op.f(f"uq_{TABLE}_client_id_seq")),
    )
    for guard in GUARDS[op.get_context().dialect.name]:
        op.execute(guard)
    _replace_kinds((*KINDS, "plan_review"))


def downgrade() -> None:
    op.execute(f"UPDATE {TASKS} SET kind = 'recheck' WHERE kind = 'plan_review'")  # noqa: S608
    _replace_kinds(KINDS)
    op.drop_table(TABLE)


def _replace_kinds(kinds: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    with op.batch_alter_table(TASKS) as batch:
        batch.drop_constraint(op.f("ck_follow_up_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_follow_up_kind"), f"kind IN ({listed})")
