"""The contact log, whose entries never change.

`downgrade` destroys it; the follow-ups that entries asked for stay.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

KINDS = "'contact', 'attempt', 'no_show', 'cancelled', 'in_error'"
MESSAGE = "entries of the contact log never change"
# SQLite's REPLACE slips past the first two.
GUARDS = {
    "sqlite": [
        f"""CREATE TRIGGER contact_no_update BEFORE UPDATE ON contact
        BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END""",
        f"""CREATE TRIGGER contact_no_delete BEFORE DELETE ON contact
        BEGIN SELECT RAISE(ABORT, '{MESSAGE}'); END""",
        """CREATE TRIGGER contact_no_replace BEFORE INSERT ON contact
        WHEN EXISTS (SELECT 1 FROM contact WHERE rowid = NEW.rowid OR id = NEW.id
        OR corrects_id = NEW.corrects_id)
        BEGIN SELECT RAISE(ABORT, 'entries of the contact log never change'); END""",
    ],
    "postgresql": [
        """CREATE TRIGGER contact_no_change BEFORE UPDATE OR DELETE ON contact
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        """CREATE TRIGGER contact_no_truncate BEFORE TRUNCATE ON contact
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ],
}


def upgrade() -> None:
    no_show = sa.text("kind = 'no_show'")
    op.create_table(
        "contact",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=9), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recorded_by", sa.Uuid(), nullable=False),
        sa.Column("corrects_id", sa.Uuid(), nullable=True),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint(f"kind IN ({KINDS})", name=op.f("ck_contact_kind")),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_contact_client_id_client")
        ),
        sa.ForeignKeyConstraint(
            ["recorded_by"], ["user_account.id"], name=op.f("fk_contact_recorded_by_user_account")
        ),
        sa.ForeignKeyConstraint(
            ["corrects_id"], ["contact.id"], name=op.f("fk_contact_corrects_id_contact")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact")),
        sa.UniqueConstraint("corrects_id", name=op.f("uq_contact_corrects_id")),
    )
    op.create_index("ix_contact_client_happened_at", "contact", ["client_id", "happened_at", "id"])
    op.create_index(
        "ix_contact_no_show",
        "contact",
        ["happened_at", "id"],
        sqlite_where=no_show,
        postgresql_where=no_show,
    )
    for guard in GUARDS[op.get_context().dialect.name]:
        op.execute(guard)


def downgrade() -> None:
    op.drop_table("contact")
