"""A required follow-up belongs to an episode: the screening whose urgent answer or new concern asked for it.

Follow-ups of before have none; those of a hold still belong to the hold.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("follow_up", sa.Column("episode_id", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("follow_up", "episode_id")
