"""An entry about consent can say that another one was recorded in error. `downgrade` stops while there is one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0070"
down_revision = "0069"
branch_labels = None
depends_on = None

BEFORE = "'given', 'withdrawn'"
AFTER = f"{BEFORE}, 'in_error'"
UNIQUE = "rowid = NEW.rowid OR id = NEW.id"
GUARDS = (
    """CREATE TRIGGER consent_no_update BEFORE UPDATE ON consent
    BEGIN SELECT RAISE(ABORT, 'entries about consent never change'); END""",
    """CREATE TRIGGER consent_no_delete BEFORE DELETE ON consent
    BEGIN SELECT RAISE(ABORT, 'entries about consent never change'); END""",
    """CREATE TRIGGER consent_no_replace BEFORE INSERT ON consent
    WHEN EXISTS (SELECT 1 FROM consent WHERE {unique})
    BEGIN SELECT RAISE(ABORT, 'entries about consent never change'); END""",
)


def upgrade() -> None:
    _drop_guards()
    with op.batch_alter_table("consent") as batch:
        batch.add_column(sa.Column("corrects_id", sa.Uuid(), nullable=True))
        batch.create_foreign_key(
            op.f("fk_consent_corrects_id_consent"), "consent", ["corrects_id"], ["id"]
        )
        batch.create_unique_constraint(op.f("uq_consent_corrects_id"), ["corrects_id"])
        batch.drop_constraint(op.f("ck_consent_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_consent_kind"), f"kind IN ({AFTER})")
    # SQLite's REPLACE slips past the first two.
    _make_guards(f"{UNIQUE} OR corrects_id = NEW.corrects_id")


def downgrade() -> None:
    _drop_guards()
    with op.batch_alter_table("consent") as batch:
        batch.drop_constraint(op.f("ck_consent_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_consent_kind"), f"kind IN ({BEFORE})")
        batch.drop_constraint(op.f("uq_consent_corrects_id"), type_="unique")
        batch.drop_constraint(op.f("fk_consent_corrects_id_consent"), type_="foreignkey")
        batch.drop_column("corrects_id")
    _make_guards(UNIQUE)


def _drop_guards() -> None:
    """Drop SQLite's triggers, which would refuse to build the table anew."""
    if op.get_context().dialect.name == "sqlite":
        for name in ("update", "delete", "replace"):
            op.execute(f"DROP TRIGGER consent_no_{name}")


def _make_guards(unique: str) -> None:
    if op.get_context().dialect.name == "sqlite":
        for guard in GUARDS:
            op.execute(guard.format(unique=unique))
