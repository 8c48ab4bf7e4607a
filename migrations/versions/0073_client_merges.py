"""Records of clients that were merged into another one's, which never change.

Entries of the contact log, about consent and of the disclosure log now take one change: they follow a client who was
merged into another one. `downgrade` refuses while there is a merge: without it nothing would tell that two records were
made one.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0073"
down_revision = "0072"
branch_labels = None
depends_on = None

TABLE, MESSAGE = "client_merge", "merges never change"
TIME = sa.DateTime(timezone=True)
REFERENCES = {"client_id": "client", "into_id": "client", "merged_by": "user_account"}
GUARDS = {
    "sqlite": [
        f"""CREATE TRIGGER {TABLE}_no_update BEFORE UPDATE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END""",
        f"""CREATE TRIGGER {TABLE}_no_delete BEFORE DELETE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END""",
        # SQLite's REPLACE slips past the first two.
        """CREATE TRIGGER client_merge_no_replace BEFORE INSERT ON client_merge
        WHEN EXISTS (SELECT 1 FROM client_merge WHERE rowid = NEW.rowid OR id = NEW.id
        OR client_id = NEW.client_id)
        BEGIN SELECT RAISE(ABORT, 'merges never change'); END""",
    ],
    "postgresql": [
        f"""CREATE TRIGGER {TABLE}_no_change BEFORE UPDATE OR DELETE ON {TABLE}
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        f"""CREATE TRIGGER {TABLE}_no_truncate BEFORE TRUNCATE ON {TABLE}
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ],
}
FOLLOWING = {
    "contact": "entries of the contact log never change",
    "consent": "entries about consent never change",
    "disclosure": "entries of the disclosure log never change",
}
# What an entry keeps when it follows its client.
KEPT = {
    "contact": ("kind", "happened_at", "recorded_at", "recorded_by", "corrects_id"),
    "consent": ("kind", "text_id", "happened_on", "recorded_at", "recorded_by", "corrects_id"),
    "disclosure": ("disclosed_on", "recorded_at", "recorded_by"),
}
FOLLOWS = """EXISTS (SELECT 1 FROM client_merge
        WHERE client_id = OLD.client_id AND into_id = NEW.client_id)"""
FUNCTION = f"""CREATE FUNCTION refuse_unless_merged() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN
            IF TG_OP = 'UPDATE' THEN
                IF to_jsonb(NEW) - ARRAY['client_id', 'content'] =
                    to_jsonb(OLD) - ARRAY['client_id', 'content'] AND {FOLLOWS} THEN
                    RETURN NEW;
                END IF;
            END IF;
            RAISE EXCEPTION '% rows never change', TG_TABLE_NAME;
        END $$"""


def upgrade() -> None:
    op.add_column(
        "client",
        sa.Column("is_merged", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("into_id", sa.Uuid(), nullable=False),
        sa.Column("merged_at", TIME, nullable=False),
        sa.Column("merged_by", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        *(
            sa.ForeignKeyConstraint(
                [name], [f"{other}.id"], name=op.f(f"fk_{TABLE}_{name}_{other}")
            )
            for name, other in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
        sa.UniqueConstraint("client_id", name=op.f(f"uq_{TABLE}_client_id")),
    )
    op.create_index(f"ix_{TABLE}_into_id", TABLE, ["into_id"])
    for guard in GUARDS[op.get_context().dialect.name]:
        op.execute(guard)
    if not _is_sqlite():
        op.execute(FUNCTION)
    for table in FOLLOWING:
        _guard(table, follows=True)


def downgrade() -> None:
    if op.get_bind().scalar(sa.select(sa.func.count()).select_from(sa.table(TABLE))):
        raise RuntimeError("Clients were merged. Without the merges their records would be torn.")
    # First: a table that a trigger of another one reads can't be built anew.
    for table in FOLLOWING:
        _guard(table, follows=False)
    if not _is_sqlite():
        op.execute("DROP FUNCTION refuse_unless_merged()")
    op.drop_table(TABLE)
    # Not by a rebuilt table on SQLite: earlier downgrades drop columns that have a CHECK of their own.
    op.execute("ALTER TABLE client DROP COLUMN is_merged")


def _is_sqlite() -> bool:
    return op.get_context().dialect.name == "sqlite"


def _guard(table: str, *, follows: bool) -> None:
    """Replace the trigger that refuses changes: with `follows` it lets an entry follow its client."""
    if not _is_sqlite():
        function = "refuse_unless_merged" if follows else "refuse_change"
        op.execute(f"DROP TRIGGER {table}_no_change ON {table}")
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION {function}()"
        )
        return
    kept = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in ("rowid", "id", *KEPT[table]))
    unless = f" WHEN NOT ({kept} AND {FOLLOWS})" if follows else ""
    op.execute(f"DROP TRIGGER {table}_no_update")
    op.get_bind().exec_driver_sql(
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table}{unless}"
        f" BEGIN SELECT RAISE(ABORT, '{FOLLOWING[table]}'); END"
    )
