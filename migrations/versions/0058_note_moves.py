"""Moves of notes into other clients' records, which never change.

A signed note now takes one more change: where it is filed, together with a move that says from where to where; its
addenda follow it. `downgrade` refuses while there is a move: without it a signed note that was moved looks changed, and
upgrading again wouldn't bring it back.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None

TABLE, NOTE, ADDENDUM = "note_move", "note", "note_addendum"
TIME = sa.DateTime(timezone=True)
REFERENCES = {
    "note_id": NOTE,
    "from_client_id": "client",
    "from_case_id": "coaching_case",
    "client_id": "client",
    "case_id": "coaching_case",
    "moved_by": "user_account",
}
FILED = ("case_id", "client_id", "sections")
FACTS = ("actual_session_at", "actual_minutes", "in_error", "addenda")
# What a signed note keeps as it was signed, wherever it is filed.
SIGNED = (
    "rowid",
    "id",
    "author_id",
    "format",
    "session_at",
    "minutes",
    "modality",
    "status",
    "draft_screening",
    "has_unrecorded",
    "screening_id",
    "created_at",
    "updated_at",
    "signed_at",
    "signed_by",
    "sha256",
)
HAS_ADDENDUM = """NEW.addenda = OLD.addenda + 1 AND EXISTS
        (SELECT 1 FROM note_addendum WHERE note_id = OLD.id AND seq = NEW.addenda)"""
HAS_MOVE = """NEW.moves = OLD.moves + 1 AND EXISTS
        (SELECT 1 FROM note_move WHERE note_id = OLD.id AND seq = NEW.moves
        AND from_client_id = OLD.client_id AND from_case_id = OLD.case_id
        AND client_id = NEW.client_id AND case_id = NEW.case_id)"""
FOLLOWS = """NEW.client_id <> OLD.client_id
        AND NEW.client_id = (SELECT client_id FROM note WHERE id = OLD.note_id)"""
SAME_ADDENDUM = (
    "rowid",
    "id",
    "note_id",
    "seq",
    "kind",
    "created_at",
    "created_by",
    "role",
    "zone",
    "digest",
    "key_number",
    "mac",
)


def _keep(*names: str) -> str:
    return " AND ".join(f"NEW.{name} IS OLD.{name}" for name in names)


def _same(*names: str) -> str:
    left = ", ".join(f"'{name}'" for name in names)
    return f"to_jsonb(NEW) - ARRAY[{left}] = to_jsonb(OLD) - ARRAY[{left}]"


GUARD, ADDENDUM_GUARD = "note_signed_no_update", f"{ADDENDUM}_no_update"
NOTE_GUARD = """CREATE TRIGGER note_signed_no_update BEFORE UPDATE ON note
        WHEN OLD.status = 'signed' AND NOT ({allowed})
        BEGIN SELECT RAISE(ABORT, 'signed notes never change'); END"""
GUARDS_BEFORE = {
    GUARD: NOTE_GUARD.format(allowed=f"{_keep(*SIGNED, *FILED)} AND {HAS_ADDENDUM}"),
    ADDENDUM_GUARD: f"""CREATE TRIGGER {ADDENDUM_GUARD} BEFORE UPDATE ON {ADDENDUM}
        BEGIN SELECT RAISE(ABORT, 'addenda never change'); END""",
}
GUARDS_AFTER = {
    GUARD: NOTE_GUARD.format(
        allowed=f"""({_keep(*SIGNED, *FILED, "moves")} AND {HAS_ADDENDUM})
        OR ({_keep(*SIGNED, *FACTS)} AND {HAS_MOVE})"""
    ),
    ADDENDUM_GUARD: f"""CREATE TRIGGER {ADDENDUM_GUARD} BEFORE UPDATE ON {ADDENDUM}
        WHEN NOT ({_keep(*SAME_ADDENDUM)} AND {FOLLOWS})
        BEGIN SELECT RAISE(ABORT, 'addenda never change'); END""",
}
FUNCTION = """CREATE OR REPLACE FUNCTION refuse_signed() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            IF OLD.status = 'signed' AND TG_OP = 'UPDATE' THEN
                {allowed}
            END IF;
            IF OLD.status = 'signed' THEN RAISE EXCEPTION 'signed notes never change'; END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        END $$"""
TAKES_ADDENDUM = f"IF {_same(*FACTS, 'version')} AND {HAS_ADDENDUM} THEN RETURN NEW; END IF;"
TAKES_MOVE = f"IF {_same(*FILED, 'moves', 'version')} AND {HAS_MOVE} THEN RETURN NEW; END IF;"
ADDENDUM_FUNCTION = f"""CREATE FUNCTION refuse_addendum() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            IF TG_OP = 'UPDATE' THEN
                IF {_same("client_id", "content")} AND {FOLLOWS} THEN RETURN NEW; END IF;
            END IF;
            RAISE EXCEPTION 'addenda never change';
        END $$"""
ADDENDUM_TRIGGER = f"""CREATE TRIGGER {ADDENDUM}_no_change BEFORE UPDATE OR DELETE ON {ADDENDUM}
        FOR EACH ROW EXECUTE FUNCTION {{function}}()"""
# Triggers of the table that never changes; SQLite's REPLACE slips past the first two.
GUARDS = {
    "sqlite": [
        f"""CREATE TRIGGER {TABLE}_no_update BEFORE UPDATE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, 'moves never change'); END""",
        f"""CREATE TRIGGER {TABLE}_no_delete BEFORE DELETE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, 'moves never change'); END""",
        """CREATE TRIGGER note_move_no_replace BEFORE INSERT ON note_move
        WHEN EXISTS (SELECT 1 FROM note_move WHERE rowid = NEW.rowid OR id = NEW.id
        OR (note_id = NEW.note_id AND seq = NEW.seq))
        BEGIN SELECT RAISE(ABORT, 'moves never change'); END""",
    ],
    "postgresql": [
        f"""CREATE TRIGGER {TABLE}_no_change BEFORE UPDATE OR DELETE ON {TABLE}
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        f"""CREATE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE}
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ],
}


def upgrade() -> None:
    _create_moves()
    # As a column constraint, it needs no rebuilt table on SQLite.
    op.execute(
        f"ALTER TABLE {NOTE} ADD COLUMN moves SMALLINT DEFAULT 0 NOT NULL "
        "CONSTRAINT ck_note_moves CHECK (moves >= 0)"
    )
    if _is_sqlite():
        _replace_guards(GUARDS_AFTER)
        return
    op.execute(FUNCTION.format(allowed=f"{TAKES_ADDENDUM} {TAKES_MOVE}"))
    op.execute(ADDENDUM_FUNCTION)
    _guard_addenda("refuse_addendum")


def downgrade() -> None:
    if op.get_bind().scalar(sa.select(sa.func.count()).select_from(sa.table(TABLE))):
        raise RuntimeError("Notes were moved. Without their moves they would look changed.")
    if _is_sqlite():
        # First: a table that a trigger of another one reads can't be built anew.
        _replace_guards({ADDENDUM_GUARD: GUARDS_BEFORE[ADDENDUM_GUARD]})
        stored = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'note'"
        triggers = {row.name: row.sql for row in op.get_bind().exec_driver_sql(stored)}
        for name in triggers:
            op.execute(f'DROP TRIGGER "{name}"')
        _drop_column()
        for name, text in triggers.items():
            op.get_bind().exec_driver_sql(text if name != GUARD else GUARDS_BEFORE[GUARD])
    else:
        _drop_column()
        op.execute(FUNCTION.format(allowed=TAKES_ADDENDUM))
        _guard_addenda("refuse_change")
        op.execute("DROP FUNCTION refuse_addendum()")
    op.drop_table(TABLE)


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"


def _drop_column() -> None:
    with op.batch_alter_table(NOTE) as batch:
        batch.drop_constraint(op.f("ck_note_moves"), type_="check")
        batch.drop_column("moves")


def _replace_guards(guards: dict[str, str]) -> None:
    for name, text in guards.items():
        op.execute(f"DROP TRIGGER {name}")
        op.get_bind().exec_driver_sql(text)


def _guard_addenda(function: str) -> None:
    op.execute(f"DROP TRIGGER {ADDENDUM}_no_change ON {ADDENDUM}")
    op.execute(ADDENDUM_TRIGGER.format(function=function))


def _create_moves() -> None:
    # SQLite doesn't enforce the length of a text by itself.
    lengths = [
        sa.CheckConstraint("length(zone) <= 40", name=op.f(f"ck_{TABLE}_zone_length"))
    ] * _is_sqlite()
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("note_id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.SmallInteger(), nullable=False),
        sa.Column("from_client_id", sa.Uuid(), nullable=False),
        sa.Column("from_case_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("addenda", sa.SmallInteger(), nullable=False),
        sa.Column("moved_at", TIME, nullable=False),
        sa.Column("moved_by", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(12), nullable=False),
        sa.Column("zone", sa.String(40), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("key_number", sa.Integer(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("seq >= 1", name=op.f(f"ck_{TABLE}_seq")),
        sa.CheckConstraint("addenda >= 0", name=op.f(f"ck_{TABLE}_addenda")),
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
    op.create_index("ix_note_move_from_case", TABLE, ["from_case_id", "moved_at"])
    op.create_index(f"ix_{TABLE}_client_id", TABLE, ["client_id"])
    for guard in GUARDS[op.get_context().dialect.name]:
        op.execute(guard)
