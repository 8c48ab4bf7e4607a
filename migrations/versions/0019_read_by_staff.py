"""When a member of staff first opened what a client shared, and when wrong attempts closed a portal.

What was shared in the last 14 days counts as unread, and what is older as read when it was shared: nobody knows, and a
list of years would hide the new. `downgrade` destroys these times.
"""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa
from alembic import op

from caseapp.core.clock import now

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

MAX_PIN_ATTEMPTS = 5
COUNTS_AS_UNREAD = timedelta(days=14)
TIME = sa.DateTime(timezone=True)
RESPONSE = sa.table(
    "worksheet_response", sa.column("shared_at", TIME), sa.column("shared_read_at", TIME)
)
UPLOAD = sa.table("worksheet_upload", sa.column("sent_at", TIME), sa.column("read_at", TIME))
ACCESS = sa.table(
    "portal_access", sa.column("failed_pin_attempts", sa.Integer()), sa.column("locked_at", TIME)
)
INDEXES = (
    ("worksheet_response", "unread", "shared_at", "shared_at IS NOT NULL AND shared_read_at IS NULL"),
    ("worksheet_upload", "unread", "sent_at", "sent_at IS NOT NULL AND read_at IS NULL"),
    ("portal_access", "locked", "locked_at", "locked_at IS NOT NULL"),
)  # fmt: skip


def upgrade() -> None:
    moment = now()
    # Without a constraint, they need no rebuilt table on SQLite.
    op.add_column("worksheet_response", sa.Column("shared_read_at", TIME, nullable=True))
    op.add_column("worksheet_upload", sa.Column("read_at", TIME, nullable=True))
    op.add_column("portal_access", sa.Column("locked_at", TIME, nullable=True))
    for table, shared, read in (
        (RESPONSE, "shared_at", "shared_read_at"),
        (UPLOAD, "sent_at", "read_at"),
    ):
        older = table.c[shared] < moment - COUNTS_AS_UNREAD
        op.execute(sa.update(table).where(older).values({read: table.c[shared]}))
    closed = ACCESS.c.failed_pin_attempts >= MAX_PIN_ATTEMPTS
    op.execute(sa.update(ACCESS).where(closed).values(locked_at=moment))
    for table_name, what, column, where in INDEXES:
        condition = sa.text(where)
        op.create_index(
            f"ix_{table_name}_{what}",
            table_name,
            [column],
            sqlite_where=condition,
            postgresql_where=condition,
        )


def downgrade() -> None:
    for table_name, what, _, _ in INDEXES:
        op.drop_index(f"ix_{table_name}_{what}", table_name)
    op.drop_column("portal_access", "locked_at")
    op.drop_column("worksheet_upload", "read_at")
    op.drop_column("worksheet_response", "shared_read_at")
