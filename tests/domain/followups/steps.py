"""What tests of follow-ups look at."""

from __future__ import annotations

from datetime import UTC, datetime

from caseapp.domain.followups.queries import (
    list_client_followups,
)

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)


def open_tasks(team, client_id):
    found = list_client_followups(team["supervisor"], client_id, open_only=True)
    return {task.kind: task for task in found}
