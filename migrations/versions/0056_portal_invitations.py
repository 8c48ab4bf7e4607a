"""Who made which codes for a client, when and why; of earlier ones only the newest is known, in `portal_access`.

`downgrade` removes the history.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None

TABLE = "portal_invitation"
TIME = sa.DateTime(timezone=True)
REFERENCES = {"client_id": "client", "created_by": "user_account", "card_by": "user_account"}


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=True),
        sa.Column("way", sa.String(4), nullable=False),
        sa.Column("needs_card", sa.Boolean(), nullable=False),
        sa.Column("card_at", TIME, nullable=True),
        sa.Column("card_by", sa.Uuid(), nullable=True),
        sa.CheckConstraint("way IN ('link', 'card')", name=op.f("ck_portal_invitation_way")),
        *(
            sa.ForeignKeyConstraint(
                [name], [f"{table}.id"], name=op.f(f"fk_portal_invitation_{name}_{table}")
            )
            for name, table in REFERENCES.items()
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_portal_invitation")),
    )
    op.create_index("ix_portal_invitation_client", TABLE, ["client_id", "created_at"])
    op.create_index("ix_portal_invitation_created", TABLE, ["created_at", "id"])


def downgrade() -> None:
    op.drop_table(TABLE)
