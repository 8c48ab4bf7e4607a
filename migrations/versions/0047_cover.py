"""A colleague covers for a coach who is away, with an end. `downgrade` forgets all cover."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
ROLES = {"before": "'coach', 'alert', 'release'", "after": "'coach', 'alert', 'release', 'cover'"}


def _allow_roles(when: str) -> None:
    with op.batch_alter_table("care_team") as batch:
        batch.drop_constraint(op.f("ck_care_team_role"), type_="check")
        batch.create_check_constraint(op.f("ck_care_team_role"), f"role IN ({ROLES[when]})")


def upgrade() -> None:
    _allow_roles("after")
    op.create_table(
        "cover",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("coach_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        *(
            sa.ForeignKeyConstraint(
                [name], ["user_account.id"], name=op.f(f"fk_cover_{name}_user_account")
            )
            for name in ("coach_id", "user_id", "created_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cover")),
    )
    op.create_index(op.f("ix_cover_user"), "cover", ["user_id", "ends_at"])
    op.create_index(op.f("ix_cover_coach"), "cover", ["coach_id", "ends_at"])
    op.create_table(
        "covered_client",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cover_id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.LargeBinary(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("version >= 1", name=op.f("ck_covered_client_version")),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_covered_client_client_id_client")
        ),
        sa.ForeignKeyConstraint(
            ["cover_id"], ["cover.id"], name=op.f("fk_covered_client_cover_id_cover")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_covered_client")),
        sa.UniqueConstraint(
            "cover_id", "client_id", name=op.f("uq_covered_client_cover_id_client_id")
        ),
    )
    op.create_index(op.f("ix_covered_client_client"), "covered_client", ["client_id"])


def downgrade() -> None:
    op.drop_table("covered_client")
    op.drop_table("cover")
    op.execute("DELETE FROM care_team WHERE role = 'cover'")
    _allow_roles("before")
