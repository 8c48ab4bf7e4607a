"""Co-signatures of notes, notes that need one, and with which comments they were returned, which never change.

`downgrade` destroys the co-signatures, the comments, and whose notes need a co-signature.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0060"
down_revision = "0059"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
RETURN, REVIEW, SIGNATURE = "note_return", "note_review", "note_signature"
REFERENCES = {"note_id": "note", "client_id": "client", "created_by": "user_account"}
# Triggers of the table that never changes; SQLite's REPLACE slips past the first two.
GUARDS = {
    "sqlite": [
        f"""CREATE TRIGGER {RETURN}_no_update BEFORE UPDATE ON {RETURN}
        BEGIN SELECT RAISE(ABORT, 'returns never change'); END""",
        f"""CREATE TRIGGER {RETURN}_no_delete BEFORE DELETE ON {RETURN}
        BEGIN SELECT RAISE(ABORT, 'returns never change'); END""",
        """CREATE TRIGGER note_return_no_replace BEFORE INSERT ON note_return
        WHEN EXISTS (SELECT 1 FROM note_return WHERE rowid = NEW.rowid OR id = NEW.id
        OR (note_id = NEW.note_id AND seq = NEW.seq))
        BEGIN SELECT RAISE(ABORT, 'returns never change'); END""",
    ],
    "postgresql": [
        f"""CREATE TRIGGER {RETURN}_no_change BEFORE UPDATE OR DELETE ON {RETURN}
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        f"""CREATE TRIGGER {RETURN}_no_truncate BEFORE TRUNCATE ON {RETURN}
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ],
}


def upgrade() -> None:
    _allow("'author', 'cosign'")
    op.add_column(
        "user_account",
        sa.Column("needs_cosignature", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.create_table(
        REVIEW,
        sa.Column("note_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("waits_since", TIME, nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'returned')", name=op.f(f"ck_{REVIEW}_state")),
        *_references(REVIEW, "note_id", "client_id"),
        sa.PrimaryKeyConstraint("note_id", name=op.f(f"pk_{REVIEW}")),
    )
    op.create_index(f"ix_{REVIEW}_client_id", REVIEW, ["client_id"])
    op.create_index(f"ix_{REVIEW}_waits_since", REVIEW, ["waits_since", "note_id"])
    op.create_table(
        RETURN,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("note_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("comment", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("seq >= 1", name=op.f(f"ck_{RETURN}_seq")),
        *_references(RETURN, *REFERENCES),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{RETURN}")),
        sa.UniqueConstraint("note_id", "seq", name=op.f(f"uq_{RETURN}_note_id_seq")),
    )
    op.create_index(f"ix_{RETURN}_client_id", RETURN, ["client_id"])
    for guard in GUARDS[op.get_context().dialect.name]:
        op.execute(guard)


def downgrade() -> None:
    op.drop_table(RETURN)
    op.drop_table(REVIEW)
    op.drop_column("user_account", "needs_cosignature")
    _remove_cosignatures()
    _allow("'author'")


def _references(table: str, *columns: str) -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint(
            [column],
            [f"{REFERENCES[column]}.id"],
            name=op.f(f"fk_{table}_{column}_{REFERENCES[column]}"),
        )
        for column in columns
    ]


def _allow(meanings: str) -> None:
    """Let signatures have these meanings; SQLite's table is built anew, without its triggers meanwhile."""
    triggers = _take_triggers()
    with op.batch_alter_table(SIGNATURE) as batch:
        batch.drop_constraint(op.f(f"ck_{SIGNATURE}_meaning"), type_="check")
        batch.create_check_constraint(op.f(f"ck_{SIGNATURE}_meaning"), f"meaning IN ({meanings})")
    for trigger in triggers:
        op.get_bind().exec_driver_sql(trigger)


def _take_triggers() -> list[str]:
    if op.get_context().dialect.name != "sqlite":
        return []
    stored = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = "
    found = op.get_bind().exec_driver_sql(f"{stored}'{SIGNATURE}'").all()
    for row in found:
        op.execute(f'DROP TRIGGER "{row.name}"')
    return [row.sql for row in found]


def _remove_cosignatures() -> None:
    triggers = _take_triggers()
    if not triggers:
        op.execute(f"ALTER TABLE {SIGNATURE} DISABLE TRIGGER USER")
    op.execute("DELETE FROM note_signature WHERE meaning = 'cosign'")
    if not triggers:
        op.execute(f"ALTER TABLE {SIGNATURE} ENABLE TRIGGER USER")
    for trigger in triggers:
        op.get_bind().exec_driver_sql(trigger)
