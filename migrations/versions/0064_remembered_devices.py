"""The devices on which clients come back into the portal with their PIN alone.

`downgrade` removes them: clients come in by a link or their card again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0064"
down_revision = "0063"
branch_labels = None
depends_on = None

TABLE = "remembered_device"
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", sa.Uuid(), nullable=False),
        sa.Column("device_hash", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(7), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("used_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.CheckConstraint(
            "length(device_hash) <= 64", name=op.f("ck_remembered_device_device_hash_length")
        ).ddl_if(dialect="sqlite"),
        sa.CheckConstraint(
            "kind IN ('android', 'ipad', 'iphone', 'linux', 'mac', 'windows')",
            name=op.f("ck_remembered_device_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.id"], name=op.f("fk_remembered_device_client_id_client")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remembered_device")),
        sa.UniqueConstraint("device_hash", name=op.f("uq_remembered_device_device_hash")),
    )
    op.create_index("ix_remembered_device_client", TABLE, ["client_id"])


def downgrade() -> None:
    op.drop_table(TABLE)
