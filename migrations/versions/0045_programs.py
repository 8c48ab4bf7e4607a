"""Programs that get tokens for a quarter of an hour. `downgrade` removes all of them with their tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
SCOPES = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "program",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("scopes", SCOPES, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("used_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        *(
            sa.CheckConstraint(
                f"length({name}) <= {most}", name=op.f(f"ck_program_{name}_length")
            ).ddl_if(dialect="sqlite")
            for name, most in (("name", 80), ("secret_hash", 64))
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_program_user_id_user_account")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_program")),
    )
    op.create_index(op.f("ix_program_user_id"), "program", ["user_id"])
    with op.batch_alter_table("token") as batch:
        batch.add_column(sa.Column("program_id", sa.Uuid(), nullable=True))
        batch.create_foreign_key(
            op.f("fk_token_program_id_program"), "program", ["program_id"], ["id"]
        )
        batch.create_index(op.f("ix_token_program_id"), ["program_id"])


def downgrade() -> None:
    op.execute("DELETE FROM token WHERE program_id IS NOT NULL")
    with op.batch_alter_table("token") as batch:
        batch.drop_index(op.f("ix_token_program_id"))
        batch.drop_constraint(op.f("fk_token_program_id_program"), type_="foreignkey")
        batch.drop_column("program_id")
    op.drop_table("program")
