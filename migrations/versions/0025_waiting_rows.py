"""Indexes of what waits for somebody: alerts, follow-ups, drafts of notes, and the cases with the newest change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_alert_waiting", "alert", ("opened_at", "id"), "acknowledged_at IS NULL"),
    ("ix_follow_up_open", "follow_up", ("due_at", "id"), "completed_at IS NULL"),
    ("ix_note_draft", "note", ("created_at", "id"), "status = 'draft'"),
    ("ix_note_signed", "note", ("session_at", "id"), "status = 'signed'"),
    ("ix_coaching_case_stage", "coaching_case", ("stage", "client_id"), "status = 'open'"),
    ("ix_coaching_case_updated", "coaching_case", ("updated_at", "id"), "status = 'open'"),
)


def upgrade() -> None:
    for name, table, columns, where in INDEXES:
        condition = sa.text(where)
        op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def downgrade() -> None:
    for name, table, _, _ in reversed(INDEXES):
        op.drop_index(name, table)
