"""The disclosure log, whose entries never change. `downgrade` destroys it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0063"
down_revision = "0062"
branch_labels = None
depends_on = None

TABLE = "disclosure"
TIME = sa.DateTime(timezone=True)
MESSAGE = "entries of the disclosure log never change"
REFERENCES = {"client_id": "client", "recorded_by": "user_account"}
# SQLite's REPLACE slips past the first two.
GUARDS = {
    "sqlite": [
        f"""CREATE TRIGGER disclosure_no_update BEFORE UPDATE ON disclosure
        BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END""",
        f"""CREATE TRIGGER disclosure_no_delete BEFORE DELETE ON disclosure
        BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END""",
        """CREATE TRIGGER disclosure_no_replace BEFORE INSERT ON disclosure
        WHEN EXISTS (SELECT 1 FROM disclosure WHERE rowid = NEW.rowid OR id = NEW.id)
        BEGIN SELECT RAISE(ABORT, 'entries of the disclosure log never change'); END""",
    ],
    "postgresql": [
        """CREATE TRIGGER disclosure_no_change BEFORE UPDATE OR DELETE ON disclosure
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        """CREATE TRIGGER disclosure_no_truncate BEFORE TRUNCATE ON disclosure
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ],
}


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("disclosed_on", sa.Date(), nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        *(
            sa.ForeignKeyConstraint(
                [name], [f"{other}.id"], name=op.f(f"fk_{TABLE}_{name}_{other}")
            )
            for name, other in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
    )
    op.create_index("ix_disclosure_client", TABLE, ["client_id", "recorded_at", "id"])
    for guard in GUARDS[op.get_context().dialect.name]:
        op.execute(guard)


def downgrade() -> None:
    op.drop_table(TABLE)
