"""Emergency access to records, and the role of whoever reads one. `downgrade` removes both."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
TABLE = "emergency_access"
UNREVIEWED = sa.text("reviewed_at IS NULL")
REFERENCES = {"client_id": "client", "user_id": "user_account", "reviewed_by": "user_account"}
ROLES = {
    "before": "'coach', 'alert', 'release', 'cover'",
    "after": "'coach', 'alert', 'release', 'reader', 'cover'",
}


def _allow_roles(when: str) -> None:
    with op.batch_alter_table("care_team") as batch:
        batch.drop_constraint(op.f("ck_care_team_role"), type_="check")
        batch.create_check_constraint(op.f("ck_care_team_role"), f"role IN ({ROLES[when]})")


def upgrade() -> None:
    _allow_roles("after")
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("words", sa.LargeBinary(), nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("reviewed_at", TIME, nullable=True),
        sa.Column("reviewed_by", sa.Uuid(), nullable=True),
        sa.Column("outcome", sa.LargeBinary(), nullable=True),
        *(
            sa.ForeignKeyConstraint(
                [name], [f"{other}.id"], name=op.f(f"fk_{TABLE}_{name}_{other}")
            )
            for name, other in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{TABLE}")),
    )
    op.create_index(f"ix_{TABLE}_client", TABLE, ["client_id"])
    op.create_index(f"ix_{TABLE}_user", TABLE, ["user_id", "opened_at", "id"])
    op.create_index(
        f"ix_{TABLE}_unreviewed",
        TABLE,
        ["opened_at", "id"],
        sqlite_where=UNREVIEWED,
        postgresql_where=UNREVIEWED,
    )


def downgrade() -> None:
    op.drop_table(TABLE)
    op.execute("DELETE FROM care_team WHERE role = 'reader'")
    _allow_roles("before")
