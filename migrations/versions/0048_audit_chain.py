"""Each event of the log holds a hash of itself and of the one before it.

The events that are there stay as they are; `caseapp init` writes one event with their number and a hash of them all.
`downgrade` forgets the hashes: after another `upgrade` and `caseapp init` nothing shows what was changed before that.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None

TABLE = "audit_event"
COLUMNS = {
    "stream": (sa.SmallInteger(), "stream BETWEEN 0 AND 15"),
    "seq": (sa.BigInteger(), "seq >= 1"),
    "ring_number": (sa.Integer(), "ring_number >= 1"),
    "mac": (sa.LargeBinary(), None),
}
# An INSERT OR REPLACE pushes out whatever has the same place, and fires no trigger for it.
GUARD = """CREATE TRIGGER audit_event_no_replace BEFORE INSERT ON audit_event
    WHEN EXISTS (SELECT 1 FROM audit_event WHERE id = NEW.id OR rowid = NEW.rowid{same_place})
    BEGIN SELECT RAISE(ABORT, 'audit events never change'); END"""
SAME_PLACE = " OR (stream = NEW.stream AND seq = NEW.seq)"


def _guard(same_place: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_event_no_replace")
        op.execute(GUARD.format(same_place=same_place))


def _store_details(kind: sa.types.TypeEngine[object], before: sa.types.TypeEngine[object]) -> None:
    if op.get_bind().dialect.name == "postgresql":
        name = kind.compile(dialect=postgresql.dialect())
        op.alter_column(
            TABLE, "details", type_=kind, existing_type=before, postgresql_using=f"details::{name}"
        )


def upgrade() -> None:
    _store_details(sa.JSON(), postgresql.JSONB())
    for name, (kind, condition) in COLUMNS.items():
        check = f" CONSTRAINT ck_{TABLE}_{name} CHECK ({condition})" if condition else ""
        kind_name = kind.compile(dialect=op.get_bind().dialect)
        op.execute(f"ALTER TABLE {TABLE} ADD COLUMN {name} {kind_name}{check}")
    op.create_index("uq_audit_event_chain", TABLE, ["stream", "seq"], unique=True)
    _guard(SAME_PLACE)


def downgrade() -> None:
    _guard("")
    op.drop_index("uq_audit_event_chain", TABLE)
    for name in COLUMNS:
        op.execute(f"ALTER TABLE {TABLE} DROP COLUMN {name}")
    _store_details(postgresql.JSONB(), sa.JSON())
