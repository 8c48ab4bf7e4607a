"""Passkeys of staff. `downgrade` removes all of them, and the sessions that began with one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


METHODS = {
    "before": "'password', 'provider'",
    "after": "'password', 'passkey', 'provider'",
}


def _allow_methods(when: str) -> None:
    with op.batch_alter_table("session") as batch:
        batch.drop_constraint(op.f("ck_session_method"), type_="check")
        batch.create_check_constraint(op.f("ck_session_method"), f"method IN ({METHODS[when]})")


def upgrade() -> None:
    _allow_methods("after")
    op.create_table(
        "passkey",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("lookup", sa.String(64), nullable=False),
        sa.Column("ring_number", sa.Integer(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("challenge_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("used_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        *(
            sa.CheckConstraint(
                f"length({name}) <= {most}", name=op.f(f"ck_passkey_{name}_length")
            ).ddl_if(dialect="sqlite")
            for name, most in (("name", 60), ("lookup", 64))
        ),
        sa.CheckConstraint("ring_number >= 1", name=op.f("ck_passkey_ring_number")),
        sa.CheckConstraint("sign_count >= 0", name=op.f("ck_passkey_sign_count")),
        sa.ForeignKeyConstraint(
            ["person_id"], ["user_account.id"], name=op.f("fk_passkey_person_id_user_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_passkey")),
        sa.UniqueConstraint("lookup", name=op.f("uq_passkey_lookup")),
    )
    op.create_index(op.f("ix_passkey_person_id"), "passkey", ["person_id"])


def downgrade() -> None:
    op.drop_table("passkey")
    op.execute("DELETE FROM session WHERE method = 'passkey'")
    _allow_methods("before")
