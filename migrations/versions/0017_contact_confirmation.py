"""When and by whom the safe ways of contact of a client were last confirmed in person.

Nobody's are confirmed yet: a client with a flag that makes sending unsafe is asked again. `downgrade` destroys the
confirmations; the log of events keeps them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Without a constraint, they need no rebuilt table on SQLite.
    op.add_column(
        "client", sa.Column("contact_confirmed_at", sa.DateTime(timezone=True), nullable=True)
    )
    op.add_column("client", sa.Column("contact_confirmed_by", sa.Uuid(), nullable=True))


def downgrade() -> None:
    op.drop_column("client", "contact_confirmed_by")
    op.drop_column("client", "contact_confirmed_at")
