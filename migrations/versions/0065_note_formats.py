"""More formats of notes. `downgrade` stops while there is a note in one of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0065"
down_revision = "0064"
branch_labels = None
depends_on = None

BEFORE = "'dap', 'soap', 'free'"
AFTER = "'dap', 'soap', 'birp', 'girp', 'free', 'intake', 'closing'"


def upgrade() -> None:
    _change(AFTER, sa.String(4), sa.String(8))


def downgrade() -> None:
    _change(BEFORE, sa.String(8), sa.String(4))


def _change(formats: str, before: sa.String, after: sa.String) -> None:
    """Let notes have these formats; SQLite's table is built anew, without its triggers meanwhile."""
    triggers: list[sa.Row[tuple[str, str]]] = []
    if op.get_context().dialect.name == "sqlite":
        # Those of addenda and moves ask for the note.
        stored = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%note%'"
        triggers = [*op.get_bind().exec_driver_sql(stored)]
        for trigger in triggers:
            op.execute(f'DROP TRIGGER "{trigger.name}"')
    with op.batch_alter_table("note") as batch:
        batch.drop_constraint(op.f("ck_note_format"), type_="check")
        batch.alter_column("format", existing_type=before, type_=after, existing_nullable=False)
        batch.create_check_constraint(op.f("ck_note_format"), f"format IN ({formats})")
    for trigger in triggers:
        op.get_bind().exec_driver_sql(trigger.sql)
