"""A second factor: codes of an app and recovery codes, the level of a session, and the roles that must have one.

No role of a practice that exists already must have one until the practice says so. `downgrade` removes all of them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

ROLES = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
KINDS = {"before": "'password'", "after": "'password', 'totp', 'recovery'"}


def _allow_kinds(when: str) -> None:
    with op.batch_alter_table("credential") as batch:
        batch.drop_constraint(op.f("ck_credential_kind"), type_="check")
        batch.create_check_constraint(op.f("ck_credential_kind"), f"kind IN ({KINDS[when]})")


def upgrade() -> None:
    _allow_kinds("after")
    with op.batch_alter_table("credential") as batch:
        batch.add_column(sa.Column("last_step", sa.Integer(), nullable=True))
        batch.create_check_constraint(op.f("ck_credential_last_step"), "last_step >= 0")
    op.add_column("session", sa.Column("assurance_level", sa.Integer(), nullable=True))
    op.execute("UPDATE session SET assurance_level = 1")
    with op.batch_alter_table("session") as batch:
        batch.alter_column("assurance_level", existing_type=sa.Integer(), nullable=False)
        batch.create_check_constraint(
            op.f("ck_session_assurance_level"), "assurance_level BETWEEN 0 AND 2"
        )
    # Not rebuilt on SQLite, where an earlier migration's downgrade drops a column with its CHECK.
    op.add_column(
        "practice",
        sa.Column("second_factor_roles", ROLES, server_default=sa.text("'[]'"), nullable=False),
    )


def downgrade() -> None:
    op.drop_column("practice", "second_factor_roles")
    op.execute("DELETE FROM session WHERE assurance_level = 0")
    with op.batch_alter_table("session") as batch:
        batch.drop_constraint(op.f("ck_session_assurance_level"), type_="check")
        batch.drop_column("assurance_level")
    op.execute("DELETE FROM credential WHERE kind <> 'password'")
    with op.batch_alter_table("credential") as batch:
        batch.drop_constraint(op.f("ck_credential_last_step"), type_="check")
        batch.drop_column("last_step")
    _allow_kinds("before")
