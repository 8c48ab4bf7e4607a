"""Staff who must not see a client. `downgrade` removes who they are: they see the client again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
ACTIVE = sa.text("ended_at IS NULL")
REFERENCES = {
    "client_id": "client",
    "user_id": "user_account",
    "created_by": "user_account",
    "ended_by": "user_account",
}


def upgrade() -> None:
    op.create_table(
        "access_denial",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("ended_by", sa.Uuid(), nullable=True),
        sa.Column("end_reason", sa.LargeBinary(), nullable=True),
        *(
            sa.ForeignKeyConstraint(
                [name], [f"{table}.id"], name=op.f(f"fk_access_denial_{name}_{table}")
            )
            for name, table in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_denial")),
    )
    op.create_index(
        "uq_access_denial_user",
        "access_denial",
        ["user_id", "client_id"],
        unique=True,
        sqlite_where=ACTIVE,
        postgresql_where=ACTIVE,
    )
    op.create_index("ix_access_denial_client", "access_denial", ["client_id"])
    op.create_index("ix_access_denial_created", "access_denial", ["created_at", "id"])


def downgrade() -> None:
    op.drop_table("access_denial")
