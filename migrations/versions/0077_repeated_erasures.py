"""Certificates of erasures that were repeated after an earlier database had brought the record back.

`downgrade` refuses while one doesn't say who requested it or why: nothing can be put there.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0077"
down_revision = "0076"
branch_labels = None
depends_on = None

TABLE = "erasure"
TIME = sa.DateTime(timezone=True)
LENGTH = "ck_erasure_sha256_length"
REFERENCE = "fk_erasure_repeated_by_user_account"
INCOMPLETE = "SELECT count(*) FROM erasure WHERE ground IS NULL OR requested_by IS NULL"


def upgrade() -> None:
    with op.batch_alter_table(TABLE) as batch:
        batch.alter_column("ground", existing_type=sa.String(10), nullable=True)
        batch.alter_column("requested_by", existing_type=sa.Uuid(), nullable=True)
        batch.add_column(sa.Column("repeated_at", TIME, nullable=True))
        batch.add_column(sa.Column("repeated_by", sa.Uuid(), nullable=True))
        batch.add_column(sa.Column("sha256", sa.String(64), nullable=True))
        batch.create_foreign_key(op.f(REFERENCE), "user_account", ["repeated_by"], ["id"])
        # SQLite ignores the length of the type.
        if op.get_context().dialect.name == "sqlite":
            batch.create_check_constraint(op.f(LENGTH), "length(sha256) <= 64")


def downgrade() -> None:
    if op.get_bind().scalar(sa.text(INCOMPLETE)):
        raise RuntimeError(
            "An erasure was repeated, and who requested it isn't known. Restore a backup instead."
        )
    with op.batch_alter_table(TABLE) as batch:
        batch.drop_constraint(op.f(REFERENCE), type_="foreignkey")
        if op.get_context().dialect.name == "sqlite":
            batch.drop_constraint(op.f(LENGTH), type_="check")
        batch.drop_column("sha256")
        batch.drop_column("repeated_by")
        batch.drop_column("repeated_at")
        batch.alter_column("requested_by", existing_type=sa.Uuid(), nullable=False)
        batch.alter_column("ground", existing_type=sa.String(10), nullable=False)
