"""Reads: the audit log, filtered, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.pagination import Page, make_page, page_newest_first
from caseapp.core.permissions import Action
from caseapp.domain.audit.models import AuditEvent

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


@dataclass(frozen=True)
class AuditFilter:
    """A filter of the audit log; None means any."""

    action: str | None = None
    outcome: str | None = None
    actor_id: UUID | None = None
    client_id: UUID | None = None


@dataclass(frozen=True)
class AuditRecord:
    """An audit event as it was recorded."""

    id: UUID
    occurred_at: datetime
    actor_id: UUID
    actor_role: str
    via: str
    action: str
    outcome: str
    object_kind: str
    object_id: UUID | None
    client_id: UUID | None
    details: dict[str, Any]
    request_id: str


COLUMNS = (
    AuditEvent.id,
    AuditEvent.occurred_at,
    AuditEvent.actor_id,
    AuditEvent.actor_role,
    AuditEvent.via,
    AuditEvent.action,
    AuditEvent.outcome,
    AuditEvent.object_kind,
    AuditEvent.object_id,
    AuditEvent.client_id,
    AuditEvent.details,
    AuditEvent.request_id,
)


def list_audit_events(
    actor: Actor, filters: AuditFilter, cursor: str | None, limit: int
) -> Page[AuditRecord]:
    """List audit events, newest first."""
    require(actor, Action.AUDIT_READ)
    query = sa.select(*COLUMNS)
    for column, value in (
        (AuditEvent.action, filters.action),
        (AuditEvent.outcome, filters.outcome),
        (AuditEvent.actor_id, filters.actor_id),
        (AuditEvent.client_id, filters.client_id),
    ):
        if value is not None:
            query = query.where(column == value)
    rows = db.session.execute(
        page_newest_first(query, AuditEvent.occurred_at, AuditEvent.id, cursor, limit)
    ).all()
    return make_page(
        [AuditRecord(*row) for row in rows], limit, lambda event: (event.occurred_at, event.id)
    )
