"""Making the hashes again by which clients are found and compared, after the rules for them have changed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import structlog

from caseapp.core import outbox
from caseapp.core.transaction import transaction
from caseapp.domain.clients.matches import list_outdated_clients
from caseapp.domain.clients.operations import COMPARISON, refresh_hashes

# Small enough that a delivery ends long before its outbox row counts as abandoned; the rest gets its own row.
BATCH_SIZE = 100

log = structlog.get_logger()


def refresh_outdated_hashes(_row_id: UUID, payload: dict[str, Any]) -> None:
    """Refresh the next outdated clients, each in its own transaction; safe to repeat, interrupt or run concurrently.

    A client whose record doesn't open is left as it is; `caseapp keys check` names it.
    """
    after = UUID(hex=payload["after"]) if "after" in payload else None
    outdated = list_outdated_clients(after, BATCH_SIZE)
    for client_id in outdated:
        try:
            with transaction():
                refresh_hashes(client_id)
        except Exception as fault:  # noqa: BLE001 - one failing client must not stop the others
            log.warning("comparison.failed", client=str(client_id), fault=type(fault).__name__)
    if len(outdated) == BATCH_SIZE:
        with transaction():
            outbox.enqueue(COMPARISON, {"after": outdated[-1].hex})
