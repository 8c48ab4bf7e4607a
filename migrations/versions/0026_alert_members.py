"""Whoever an alert has reached is a member of the care team, in the role `alert`, until 7 days after it has ended.

Each person acknowledges an alert for themselves. `downgrade` forgets who acknowledged without ending it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
READABLE_FOR = timedelta(days=7)
ALERT = sa.table(
    "alert",
    sa.column("id", sa.Uuid()),
    sa.column("client_id", sa.Uuid()),
    sa.column("opened_at", MOMENT),
    sa.column("acknowledged_at", MOMENT),
)
RECIPIENT = sa.table(
    "alert_recipient", sa.column("alert_id", sa.Uuid()), sa.column("user_id", sa.Uuid())
)
TEAM = sa.table(
    "care_team",
    sa.column("user_id", sa.Uuid()),
    sa.column("client_id", sa.Uuid()),
    sa.column("role", sa.String()),
    sa.column("joined_at", MOMENT),
    sa.column("ends_at", MOMENT),
)


def upgrade() -> None:
    op.add_column("alert_recipient", sa.Column("acknowledged_at", MOMENT, nullable=True))
    members: dict[tuple[Any, Any], dict[str, Any]] = {}
    for row in op.get_bind().execute(_select_received()):
        ends_at: datetime | None = row.acknowledged_at and row.acknowledged_at + READABLE_FOR
        found = members.setdefault(
            (row.user_id, row.client_id),
            {
                "user_id": row.user_id,
                "client_id": row.client_id,
                "role": "alert",
                "joined_at": row.opened_at,
                "ends_at": ends_at,
            },
        )
        if found["ends_at"] is not None:
            found["ends_at"] = ends_at and max(ends_at, found["ends_at"])
    if members:
        op.get_bind().execute(sa.insert(TEAM), [*members.values()])


def _select_received() -> sa.Select[Any]:
    """Select who has received alerts about whom, oldest first, without the coaches of the client."""
    coaches = sa.exists().where(
        TEAM.c.user_id == RECIPIENT.c.user_id,
        TEAM.c.client_id == ALERT.c.client_id,
        TEAM.c.role == "coach",
    )
    return (
        sa.select(
            RECIPIENT.c.user_id, ALERT.c.client_id, ALERT.c.opened_at, ALERT.c.acknowledged_at
        )
        .join(ALERT, ALERT.c.id == RECIPIENT.c.alert_id)
        .where(~coaches)
        .order_by(ALERT.c.opened_at)
    )


def downgrade() -> None:
    op.execute("DELETE FROM care_team WHERE role = 'alert'")
    op.drop_column("alert_recipient", "acknowledged_at")
