"""The events of a case say when somebody else became responsible, who was before, and who is now.

`downgrade` removes these events; the audit log keeps them. Hand-overs of before the upgrade stand in the log only.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

TABLE, CHECK = "case_event", "ck_case_event_kind"
KINDS = "'opened', 'moved', 'closed', 'reopened'"
COACHES = {
    "from_coach_id": "fk_case_event_from_coach_id_user_account",
    "to_coach_id": "fk_case_event_to_coach_id_user_account",
}


def upgrade() -> None:
    with op.batch_alter_table(TABLE) as batch:
        batch.alter_column("kind", existing_type=sa.String(10), type_=sa.String(12))
        batch.drop_constraint(op.f(CHECK), type_="check")
        batch.create_check_constraint(op.f(CHECK), f"kind IN ({KINDS}, 'handed_over')")
        for column, key in COACHES.items():
            batch.add_column(sa.Column(column, sa.Uuid(), nullable=True))
            batch.create_foreign_key(op.f(key), "user_account", [column], ["id"])


def downgrade() -> None:
    op.execute("DELETE FROM case_event WHERE kind = 'handed_over'")
    with op.batch_alter_table(TABLE) as batch:
        for column, key in COACHES.items():
            batch.drop_constraint(op.f(key), type_="foreignkey")
            batch.drop_column(column)
        batch.drop_constraint(op.f(CHECK), type_="check")
        batch.create_check_constraint(op.f(CHECK), f"kind IN ({KINDS})")
        batch.alter_column("kind", existing_type=sa.String(12), type_=sa.String(10))
