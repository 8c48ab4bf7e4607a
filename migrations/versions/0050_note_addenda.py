"""Addenda of signed notes, which never change, and what lists use instead of the note's own time and minutes.

A signed note now takes one change: what its newest addendum says of it, together with that addendum. `downgrade`
destroys the addenda; each note counts with its own time and minutes again, also one that was entered in error.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None

TABLE, NOTE = "note_addendum", "note"
TIME = sa.DateTime(timezone=True)
REFERENCES = {"note_id": NOTE, "client_id": "client", "created_by": "user_account"}
INDEXES = {"ix_note_case_session_at": ("case_id", "{}", "id"), "ix_note_signed": ("{}", "id")}
# What a signed note keeps as it was signed.
SIGNED = (
    "rowid",
    "id",
    "case_id",
    "client_id",
    "author_id",
    "format",
    "session_at",
    "minutes",
    "modality",
    "status",
    "sections",
    "draft_screening",
    "has_unrecorded",
    "screening_id",
    "created_at",
    "updated_at",
    "signed_at",
    "signed_by",
    "sha256",
)
KEPT = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in SIGNED)
HAS_ADDENDUM = """NEW.addenda = OLD.addenda + 1 AND EXISTS
        (SELECT 1 FROM note_addendum WHERE note_id = OLD.id AND seq = NEW.addenda)"""
GUARD = "note_signed_no_update"
GUARD_BEFORE = f"""CREATE TRIGGER {GUARD} BEFORE UPDATE ON note WHEN OLD.status = 'signed'
        BEGIN SELECT RAISE(ABORT, 'signed notes never change'); END"""
GUARD_AFTER = f"""CREATE TRIGGER {GUARD} BEFORE UPDATE ON note
        WHEN OLD.status = 'signed' AND NOT ({KEPT} AND {HAS_ADDENDUM})
        BEGIN SELECT RAISE(ABORT, 'signed notes never change'); END"""
FUNCTION = """CREATE OR REPLACE FUNCTION refuse_signed() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            {allowed}
            IF OLD.status = 'signed' THEN RAISE EXCEPTION 'signed notes never change'; END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        END $$"""
ALLOWED = f"""IF OLD.status = 'signed' AND TG_OP = 'UPDATE' THEN
                IF to_jsonb(NEW) - ARRAY['actual_session_at', 'actual_minutes', 'in_error', 'addenda', 'version']
                    = to_jsonb(OLD) - ARRAY['actual_session_at', 'actual_minutes', 'in_error', 'addenda', 'version']
                    AND {HAS_ADDENDUM} THEN RETURN NEW; END IF;
            END IF;"""
# Triggers of the table that never changes; SQLite's REPLACE slips past the first two.
GUARDS = {
    "sqlite": [
        f"""CREATE TRIGGER {TABLE}_no_update BEFORE UPDATE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, 'addenda never change'); END""",
        f"""CREATE TRIGGER {TABLE}_no_delete BEFORE DELETE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, 'addenda never change'); END""",
        """CREATE TRIGGER note_addendum_no_replace BEFORE INSERT ON note_addendum
        WHEN EXISTS (SELECT 1 FROM note_addendum WHERE rowid = NEW.rowid OR id = NEW.id
        OR (note_id = NEW.note_id AND seq = NEW.seq))
        BEGIN SELECT RAISE(ABORT, 'addenda never change'); END""",
    ],
    "postgresql": [
        f"""CREATE TRIGGER {TABLE}_no_change BEFORE UPDATE OR DELETE ON {TABLE}
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        f"""CREATE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE}
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ],
}


def upgrade() -> None:
    _create_addenda()
    triggers = _take_triggers()
    # As column constraints, they need no rebuilt table on SQLite.
    for column in (
        "actual_session_at TIMESTAMP WITH TIME ZONE",
        "actual_minutes SMALLINT CONSTRAINT ck_note_actual_minutes CHECK (actual_minutes BETWEEN 1 AND 600)",
        "in_error BOOLEAN DEFAULT false NOT NULL",
        "addenda SMALLINT DEFAULT 0 NOT NULL CONSTRAINT ck_note_addenda CHECK (addenda >= 0)",
    ):
        op.execute(f"ALTER TABLE {NOTE} ADD COLUMN {_adapt(column)}")
    op.execute("UPDATE note SET actual_session_at = session_at, actual_minutes = minutes")
    _drop_indexes()
    with op.batch_alter_table(NOTE) as batch:
        batch.alter_column("actual_session_at", existing_type=TIME, nullable=False)
        batch.alter_column("in_error", existing_type=sa.Boolean(), server_default=None)
        batch.alter_column("addenda", existing_type=sa.SmallInteger(), server_default=None)
    _create_indexes("actual_session_at")
    _put_back(triggers | {GUARD: GUARD_AFTER}, FUNCTION.format(allowed=ALLOWED))


def downgrade() -> None:
    triggers = _take_triggers()
    _drop_indexes()
    with op.batch_alter_table(NOTE) as batch:
        batch.drop_constraint(op.f("ck_note_actual_minutes"), type_="check")
        batch.drop_constraint(op.f("ck_note_addenda"), type_="check")
        for column in ("addenda", "in_error", "actual_minutes", "actual_session_at"):
            batch.drop_column(column)
    _create_indexes("session_at")
    _put_back(triggers | {GUARD: GUARD_BEFORE}, FUNCTION.format(allowed=""))
    op.drop_table(TABLE)


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"


def _adapt(column: str) -> str:
    return column.replace("TIMESTAMP WITH TIME ZONE", "DATETIME") if _is_sqlite() else column


def _take_triggers() -> dict[str, str]:
    """Take off the triggers of notes; return those of SQLite, whose tables are built anew without them."""
    if not _is_sqlite():
        op.execute(f"ALTER TABLE {NOTE} DISABLE TRIGGER USER")
        return {}
    stored = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'note'"
    found = {row.name: row.sql for row in op.get_bind().exec_driver_sql(stored)}
    for name in found:
        op.execute(f'DROP TRIGGER "{name}"')
    return found


def _put_back(triggers: dict[str, str], function: str) -> None:
    if not _is_sqlite():
        op.execute(function)
        op.execute(f"ALTER TABLE {NOTE} ENABLE TRIGGER USER")
        return
    for trigger in triggers.values():
        op.get_bind().exec_driver_sql(trigger)


def _drop_indexes() -> None:
    for name in INDEXES:
        op.drop_index(name, NOTE)


def _create_indexes(moment: str) -> None:
    for name, columns in INDEXES.items():
        signed = sa.text("status = 'signed'") if name == "ix_note_signed" else None
        op.create_index(
            name,
            NOTE,
            [column.format(moment) for column in columns],
            sqlite_where=signed,
            postgresql_where=signed,
        )


def _create_addenda() -> None:
    # SQLite doesn't enforce the length of a text by itself.
    lengths = (
        sa.CheckConstraint(f"length({name}) <= {length}", name=op.f(f"ck_{TABLE}_{name}_length"))
        for name, length in (("zone", 40), ("digest", 64))
        if _is_sqlite()
    )
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("note_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.SmallInteger(), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(12), nullable=False),
        sa.Column("zone", sa.String(40), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("key_number", sa.Integer(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("seq >= 1", name=op.f(f"ck_{TABLE}_seq")),
        sa.CheckConstraint(
            "kind IN ('correction', 'addition', 'late_entry', 'in_error')",
            name=op.f(f"ck_{TABLE}_kind"),
        ),
        sa.CheckConstraint(
            "role IN ('coach', 'supervisor', 'admin')", name=op.f(f"ck_{TABLE}_role")
        ),
        sa.CheckConstraint("key_number >= 1", name=op.f(f"ck_{TABLE}_key_number")),
        *lengths,
        *(
            sa.ForeignKeyConstraint(
                [column], [f"{other}.id"], name=op.f(f"fk_{TABLE}_{column}_{other}")
            )
            for column, other in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
        sa.UniqueConstraint("note_id", "seq", name=op.f(f"uq_{TABLE}_note_id_seq")),
    )
    op.create_index(f"ix_{TABLE}_client_id", TABLE, ["client_id"])
    for guard in GUARDS[op.get_context().dialect.name]:
        op.execute(guard)
