"""A practice can add help lines about a child, and for children. `downgrade` stops while there is one."""

from __future__ import annotations

from alembic import op

revision = "0078"
down_revision = "0077"
branch_labels = None
depends_on = None

TABLE, CHECK = "practice_help_line", "ck_practice_help_line_kind"
BEFORE = "'crisis', 'dv', 'substance', 'ed', 'behaviour'"
AFTER = f"{BEFORE}, 'safeguarding', 'children'"


def upgrade() -> None:
    _allow(AFTER)


def downgrade() -> None:
    _allow(BEFORE)


def _allow(kinds: str) -> None:
    with op.batch_alter_table(TABLE) as batch:
        batch.drop_constraint(op.f(CHECK), type_="check")
        batch.create_check_constraint(op.f(CHECK), f"kind IN ({kinds})")
