"""The practice's own handouts: drafts with every step, and what the practice hides."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('draft', 'waiting')")
# A step of a draft's history never changes; SQLite's REPLACE slips past UPDATE and DELETE triggers.
GUARDS = {
    "sqlite": [
        """CREATE TRIGGER draft_step_no_update BEFORE UPDATE ON draft_step
        BEGIN SELECT RAISE(ABORT, 'steps of a draft never change'); END""",
        """CREATE TRIGGER draft_step_no_delete BEFORE DELETE ON draft_step
        BEGIN SELECT RAISE(ABORT, 'steps of a draft never change'); END""",
        """CREATE TRIGGER draft_step_no_replace BEFORE INSERT ON draft_step
        WHEN EXISTS (SELECT 1 FROM draft_step WHERE id = NEW.id OR rowid = NEW.rowid
        OR (draft_id = NEW.draft_id AND number = NEW.number))
        BEGIN SELECT RAISE(ABORT, 'steps of a draft never change'); END""",
    ],
    "postgresql": [
        """CREATE TRIGGER draft_step_no_change BEFORE UPDATE OR DELETE ON draft_step
        FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
        """CREATE TRIGGER draft_step_no_truncate BEFORE TRUNCATE ON draft_step
        FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    ],
}


def upgrade() -> None:
    op.create_table(
        "handout_draft",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.String(length=60), nullable=False),
        sa.Column("language", sa.String(length=5), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("based_on", sa.String(length=60), nullable=True),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state IN ('draft', 'waiting', 'published', 'dropped')",
            name=op.f("ck_handout_draft_state"),
        ),
        sa.CheckConstraint("slug LIKE 'own-%'", name=op.f("ck_handout_draft_slug")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handout_draft")),
    )
    with op.batch_alter_table("handout_draft") as batch:
        batch.create_index(
            "uq_handout_draft_open",
            ["slug", "language"],
            unique=True,
            sqlite_where=OPEN,
            postgresql_where=OPEN,
        )
    op.create_table(
        "draft_step",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("draft_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["draft_id"], ["handout_draft.id"], name=op.f("fk_draft_step_draft_id_handout_draft")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draft_step")),
        sa.UniqueConstraint("draft_id", "number", name=op.f("uq_draft_step_draft_id_number")),
    )
    op.create_table(
        "hidden_handout",
        sa.Column("slug", sa.String(length=60), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_hidden_handout")),
    )
    for statement in GUARDS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    op.drop_table("hidden_handout")
    op.drop_table("draft_step")
    with op.batch_alter_table("handout_draft") as batch:
        batch.drop_index("uq_handout_draft_open")
    op.drop_table("handout_draft")
