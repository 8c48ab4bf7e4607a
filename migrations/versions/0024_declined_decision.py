"""A supervisor decides what follows when a client declines what the protocol requires.

`downgrade` makes such a decision a task to tell the supervisor. A code of a result stays sealed as it is.
"""

from __future__ import annotations

from alembic import op

revision = "0024"
down_revision = "0023"
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
    "welfare_check",
)


def _replace_kinds(kinds: tuple[str, ...]) -> None:
    listed = ", ".join(f"'{kind}'" for kind in kinds)
    with op.batch_alter_table(TABLE) as batch:
        batch.drop_constraint(op.f("ck_follow_up_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_follow_up_kind"), f"kind IN ({listed})")


def upgrade() -> None:
    _replace_kinds((*KINDS, "declined_decision"))


def downgrade() -> None:
    op.execute("UPDATE follow_up SET kind = 'tell_supervisor' WHERE kind = 'declined_decision'")
    _replace_kinds(KINDS)
