"""Signatures of notes, which never change, and altered notes among the security events.

`caseapp init` then records a signature for each note that an earlier release signed. `downgrade` destroys the
signatures, and forgets which notes were found altered.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

TABLE = "note_signature"
TIME = sa.DateTime(timezone=True)
EVENTS = (
    "'password', 'confirmation', 'code', 'entry', 'start_code', 'pin', 'token', 'refused', 'link'"
)
REFERENCES = {
    "note_id": "note",
    "signed_client_id": "client",
    "signed_case_id": "coaching_case",
    "signed_by": "user_account",
}
# Triggers of the table that never changes; SQLite's REPLACE slips past the first two.
GUARDS = {
    "sqlite": [
        f"""CREATE TRIGGER {TABLE}_no_update BEFORE UPDATE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, 'signatures never change'); END""",
        f"""CREATE TRIGGER {TABLE}_no_delete BEFORE DELETE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, 'signatures never change'); END""",
        """CREATE TRIGGER note_signature_no_replace BEFORE INSERT ON note_signature
        WHEN EXISTS (SELECT 1 FROM note_signature WHERE rowid = NEW.rowid
        OR (note_id = NEW.note_id AND meaning = NEW.meaning))
        BEGIN SELECT RAISE(ABORT, 'signatures never change'); END""",
    ],
    "postgresql": [
        f"""CREATE TRIGGER {TABLE}_no_change BEFORE UPDATE OR DELETE ON {TABLE}
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        f"""CREATE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE}
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ],
}


def upgrade() -> None:
    dialect = op.get_context().dialect.name
    # SQLite doesn't enforce the length of a text by itself.
    lengths = (
        sa.CheckConstraint(f"length({name}) <= {length}", name=op.f(f"ck_{TABLE}_{name}_length"))
        for name, length in (("zone", 40), ("digest", 64))
        if dialect == "sqlite"
    )
    op.create_table(
        TABLE,
        sa.Column("note_id", sa.Uuid(), nullable=False),
        sa.Column("meaning", sa.String(8), nullable=False),
        sa.Column("signed_client_id", sa.Uuid(), nullable=False),
        sa.Column("signed_case_id", sa.Uuid(), nullable=False),
        sa.Column("signed_by", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(12), nullable=True),
        sa.Column("signed_at", TIME, nullable=False),
        sa.Column("zone", sa.String(40), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("key_number", sa.Integer(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("meaning IN ('author')", name=op.f(f"ck_{TABLE}_meaning")),
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
        sa.PrimaryKeyConstraint("note_id", "meaning", name=op.f(f"pk_{TABLE}")),
    )
    for guard in GUARDS[dialect]:
        op.execute(guard)
    _allow(f"{EVENTS}, 'altered'")


def downgrade() -> None:
    op.execute("DELETE FROM security_event WHERE kind = 'altered'")
    _allow(EVENTS)
    op.drop_table(TABLE)


def _allow(kinds: str) -> None:
    with op.batch_alter_table("security_event") as batch:
        batch.drop_constraint(op.f("ck_security_event_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_security_event_kind"), f"kind IN ({kinds})")
