"""The clients whom a list showed, tied to the list's audit event: they are never changed, as the event isn't.

`downgrade` destroys the record of who was shown in which list.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TABLE = "audit_event_client"
# SQLite's REPLACE slips past UPDATE and DELETE triggers unless an INSERT is refused as well.
GUARDS = {
    "sqlite": [
        f"""CREATE TRIGGER {TABLE}_no_update BEFORE UPDATE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, 'audit events never change'); END""",
        f"""CREATE TRIGGER {TABLE}_no_delete BEFORE DELETE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, 'audit events never change'); END""",
        """CREATE TRIGGER audit_event_client_no_replace BEFORE INSERT ON audit_event_client
        WHEN EXISTS (SELECT 1 FROM audit_event_client WHERE rowid = NEW.rowid OR (client_id = NEW.client_id
        AND occurred_at = NEW.occurred_at AND event_id = NEW.event_id))
        BEGIN SELECT RAISE(ABORT, 'audit events never change'); END""",
    ],
    "postgresql": [
        f"""CREATE TRIGGER {TABLE}_no_change BEFORE UPDATE OR DELETE ON {TABLE}
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        f"""CREATE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE}
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ],
}


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["audit_event.id"], name=op.f(f"fk_{TABLE}_event_id_audit_event")
        ),
        sa.PrimaryKeyConstraint("client_id", "occurred_at", "event_id", name=op.f(f"pk_{TABLE}")),
    )
    op.create_index(f"ix_{TABLE}_event", TABLE, ["event_id"])
    for guard in GUARDS[op.get_context().dialect.name]:
        op.execute(guard)


def downgrade() -> None:
    op.drop_table(TABLE)
