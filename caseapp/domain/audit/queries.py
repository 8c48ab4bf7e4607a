"""Reads: the audit log, filtered, newest first."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.pagination import Page, in_any, make_page, page_newest_first
from caseapp.core.permissions import Action
from caseapp.core.reads import List, note_list
from caseapp.domain.audit.models import AuditEvent, AuditEventClient
from caseapp.domain.audit.sealing import SEALED_ACTIONS, open_change
from caseapp.domain.keys.models import ClientKey

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

# Events of earlier releases say in plain words which of them it was.
ABOUT_SAFETY = frozenset({*map(str, SEALED_ACTIONS), str(Action.SAFETY_WRITE)})


@dataclass(frozen=True)
class AuditFilter:
    """A filter of the audit log; None means any.

    What is sealed can't be told apart by the database: one of the SEALED_ACTIONS finds the events of all of them.
    """

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
    """List audit events, newest first; the events of a client include the lists that showed them.

    Reading the log is an event each time: it names the filters, the clients and the times of the events that were read.
    What was recorded about a client's safety is opened with the client's key.
    """
    require(actor, Action.AUDIT_READ)
    chosen = [
        column == value
        for column, value in (
            (AuditEvent.outcome, filters.outcome),
            (AuditEvent.actor_id, filters.actor_id),
        )
        if value is not None
    ]
    if filters.action in ABOUT_SAFETY:
        chosen.append(AuditEvent.action.in_(ABOUT_SAFETY))
    elif filters.action is not None:
        chosen.append(AuditEvent.action == filters.action)
    query = sa.select(*COLUMNS, ClientKey.wrapped).outerjoin(
        ClientKey, ClientKey.client_id == AuditEvent.client_id
    )
    if filters.client_id is None:
        query = query.where(*chosen)
    else:
        query = query.where(
            in_any(
                AuditEvent.id,
                *_select_events_of_client(filters.client_id, chosen, cursor, limit),
            )
        )
    rows = db.session.execute(
        page_newest_first(query, AuditEvent.occurred_at, AuditEvent.id, cursor, limit)
    ).all()
    wrapped = {row.client_id: row.wrapped for row in rows if row.wrapped}
    page = make_page(
        [AuditRecord(*row[:-1]) for row in rows], limit, lambda event: (event.occurred_at, event.id)
    )
    _note_read(filters, page.items)
    return replace(page, items=[open_change(event, wrapped) for event in page.items])


def list_details_since(moment: datetime, action: Action, object_id: UUID) -> list[dict[str, Any]]:
    """List the details of the events since a moment in which an action was taken with a record."""
    found = sa.select(AuditEvent.details).where(
        AuditEvent.occurred_at > moment,
        AuditEvent.action == action,
        AuditEvent.object_id == object_id,
    )
    return [*db.session.scalars(found)]


def _select_events_of_client(
    client_id: UUID, chosen: Sequence[sa.ColumnElement[bool]], cursor: str | None, limit: int
) -> tuple[sa.Select[UUID], sa.Select[UUID]]:
    """Select a page of the events about one client, and a page of the lists that showed them: each by its own index."""
    about = sa.select(AuditEvent.id).where(AuditEvent.client_id == client_id, *chosen)
    listed = sa.select(AuditEventClient.event_id).where(AuditEventClient.client_id == client_id)
    if chosen:
        listed = listed.join(AuditEvent, AuditEvent.id == AuditEventClient.event_id).where(*chosen)
    return (
        page_newest_first(about, AuditEvent.occurred_at, AuditEvent.id, cursor, limit),
        page_newest_first(
            listed, AuditEventClient.occurred_at, AuditEventClient.event_id, cursor, limit
        ),
    )


def _note_read(filters: AuditFilter, events: Sequence[AuditRecord]) -> None:
    details: dict[str, Any] = {
        "filters": {name: str(value) for name, value in asdict(filters).items() if value},
        "events": len(events),
    }
    if events:
        details["from"] = events[-1].occurred_at.isoformat()
        details["to"] = events[0].occurred_at.isoformat()
    clients = {event.client_id for event in events if event.client_id}
    note_list(Action.AUDIT_READ, List(clients, "audit_event", None, details, always=True))
