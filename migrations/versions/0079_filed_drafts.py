"""A supervisor files the draft of somebody who has left: a meaning of signatures and a kind of addendum.

A note has one signature that locks it, whatever co-signatures it has. `downgrade` refuses while a draft was filed:
without that signature the note would look changed.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0079"
down_revision = "0078"
branch_labels = None
depends_on = None

SIGNATURE, ADDENDUM = "note_signature", "note_addendum"
LOCKING = "uq_note_signature_locking"
MEANINGS = "'author', 'cosign'"
KINDS = "'correction', 'addition', 'late_entry', 'in_error'"
# SQLite's REPLACE slips past the triggers on updates and deletes, by either key.
GUARD = "note_signature_no_replace"
GUARD_BEFORE = """CREATE TRIGGER note_signature_no_replace BEFORE INSERT ON note_signature
        WHEN EXISTS (SELECT 1 FROM note_signature WHERE rowid = NEW.rowid
        OR (note_id = NEW.note_id AND meaning = NEW.meaning))
        BEGIN SELECT RAISE(ABORT, 'signatures never change'); END"""
GUARD_AFTER = """CREATE TRIGGER note_signature_no_replace BEFORE INSERT ON note_signature
        WHEN EXISTS (SELECT 1 FROM note_signature WHERE rowid = NEW.rowid
        OR (note_id = NEW.note_id AND (meaning = NEW.meaning
        OR (meaning <> 'cosign' AND NEW.meaning <> 'cosign'))))
        BEGIN SELECT RAISE(ABORT, 'signatures never change'); END"""


def upgrade() -> None:
    _allow(f"{MEANINGS}, 'filed'", f"{KINDS}, 'filed'", GUARD_AFTER)
    locking = sa.text("meaning <> 'cosign'")
    op.create_index(
        LOCKING,
        SIGNATURE,
        ["note_id"],
        unique=True,
        sqlite_where=locking,
        postgresql_where=locking,
    )


def downgrade() -> None:
    signature = sa.table(SIGNATURE, sa.column("meaning"))
    filed = sa.select(sa.func.count()).where(signature.c.meaning == "filed")
    if op.get_bind().scalar(filed):
        raise RuntimeError("Drafts were filed. Without their signatures they would look changed.")
    op.drop_index(LOCKING, SIGNATURE)
    _allow(MEANINGS, KINDS, GUARD_BEFORE)


def _allow(meanings: str, kinds: str, guard: str) -> None:
    """Let signatures and addenda have these; SQLite's tables are built anew, without triggers meanwhile."""
    triggers: dict[str, str] = {}
    if op.get_context().dialect.name == "sqlite":
        # Those of notes ask for the addendum.
        stored = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%note%'"
        triggers = {row.name: row.sql for row in op.get_bind().exec_driver_sql(stored)}
        for name in triggers:
            op.execute(f'DROP TRIGGER "{name}"')
        triggers[GUARD] = guard
    for table, column, codes in ((SIGNATURE, "meaning", meanings), (ADDENDUM, "kind", kinds)):
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(f"ck_{table}_{column}"), type_="check")
            batch.create_check_constraint(op.f(f"ck_{table}_{column}"), f"{column} IN ({codes})")
    for trigger in triggers.values():
        op.get_bind().exec_driver_sql(trigger)
