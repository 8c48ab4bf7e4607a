"""Nothing about a client is stored without that client's lock; the tests of the domain watch for it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.transaction import locked_clients
from caseapp.domain.bulk_assignments.models import BulkAssignmentItem
from caseapp.domain.clients.models import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.orm import Session

# What waits for its job: the job locks each client and judges again.
WITHOUT_A_LOCK = (BulkAssignmentItem,)


class UnlockedChange(AssertionError):
    """Something about a client is about to be stored by a transaction that doesn't hold the client's lock."""


def refuse_unlocked_changes(session: Session, *_given: object) -> None:
    """Refuse such a change on PostgreSQL; on SQLite a transaction that writes has locked everything."""
    if session.get_bind().dialect.name != "postgresql":
        return
    locked = locked_clients()
    for row in (*session.new, *session.dirty, *session.deleted):
        client_id = row.id if isinstance(row, Client) else getattr(row, "client_id", None)
        if client_id is None or isinstance(row, WITHOUT_A_LOCK) or client_id in locked:
            continue
        raise UnlockedChange(f"{type(row).__name__} is stored without its client's lock.")


@contextmanager
def locks_watched() -> Iterator[None]:
    """Look at every change before it is written."""
    sa.event.listen(db.session, "before_flush", refuse_unlocked_changes)
    try:
        yield
    finally:
        sa.event.remove(db.session, "before_flush", refuse_unlocked_changes)
