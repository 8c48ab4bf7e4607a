"""Carrying out bulk assignments, case by case."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog

from caseapp.core import outbox
from caseapp.core.transaction import transaction
from caseapp.domain.bulk_assignments.operations import (
    BULK_ASSIGNMENT,
    count_failure,
    process_item,
)
from caseapp.domain.bulk_assignments.queries import list_waiting_items

# Small enough that a delivery ends long before its outbox row counts as abandoned; the rest gets its own row.
BATCH_SIZE = 100

log = structlog.get_logger()


class BulkAssignmentIncomplete(Exception):
    """Some cases of a bulk assignment failed and must be tried again."""


def process_bulk_assignment(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Process the next waiting cases, each in its own transaction; safe to repeat, interrupt or run concurrently.

    Raises BulkAssignmentIncomplete when some failed, so that the outbox tries again.
    """
    waiting = list_waiting_items(UUID(hex=payload["bulk_assignment"]), BATCH_SIZE)
    failed = 0
    for item_id in waiting:
        try:
            with transaction():
                process_item(item_id)
        except Exception as fault:  # noqa: BLE001 - one failing case must not stop the others
            log.warning("bulk_assignment.failed", item=str(item_id), fault=type(fault).__name__)
            with transaction():
                count_failure(item_id)
            failed += 1
    if failed:
        raise BulkAssignmentIncomplete
    if len(waiting) == BATCH_SIZE:
        with transaction():
            outbox.enqueue(BULK_ASSIGNMENT, payload)
