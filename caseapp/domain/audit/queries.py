"""Asked: the log itself, filtered, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.pagination import Page, after, page_of
from caseapp.core.permissions import Action, Role
from caseapp.domain.audit.models import AuditEntry

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


@dataclass(frozen=True)
class LogFilter:
    """Narrow the log; None means any."""

    action: str | None = None
    outcome: str | None = None
    actor_id: UUID | None = None
    client_id: UUID | None = None


@dataclass(frozen=True)
class Entry:
    """Show one act as it was recorded."""

    id: UUID
    at: datetime
    actor_id: UUID
    actor_role: str
    via: str
    action: str
    outcome: str
    object_kind: str
    object_id: UUID | None
    client_id: UUID | None
    details: dict[str, Any]
    request: str


COLUMNS = (
    AuditEntry.id,
    AuditEntry.at,
    AuditEntry.actor_id,
    AuditEntry.actor_role,
    AuditEntry.via,
    AuditEntry.action,
    AuditEntry.outcome,
    AuditEntry.object_kind,
    AuditEntry.object_id,
    AuditEntry.client_id,
    AuditEntry.details,
    AuditEntry.request,
)


def first_touch(client_id: Any, object_id: Any) -> sa.Label[datetime | None]:  # noqa: ANN401 - columns
    """Select when a client first did anything with a record of theirs, and reading it is the least of that."""
    return (
        sa.select(sa.func.min(AuditEntry.at))
        .where(
            AuditEntry.actor_role == sa.literal_column(f"'{Role.CLIENT.value}'"),
            AuditEntry.actor_id == client_id,
            AuditEntry.object_id == object_id,
            AuditEntry.outcome == "done",
        )
        .label("first_touch")
    )


def entries(actor: Actor, wanted: LogFilter, cursor: str | None, limit: int) -> Page[Entry]:
    """List the log, newest first."""
    require(actor, Action.AUDIT_READ)
    query = sa.select(*COLUMNS)
    for column, value in (
        (AuditEntry.action, wanted.action),
        (AuditEntry.outcome, wanted.outcome),
        (AuditEntry.actor_id, wanted.actor_id),
        (AuditEntry.client_id, wanted.client_id),
    ):
        if value is not None:
            query = query.where(column == value)
    rows = db.session.execute(after(query, AuditEntry.at, AuditEntry.id, cursor, limit)).all()
    return page_of([Entry(*row) for row in rows], limit, lambda entry: (entry.at, entry.id))
