"""Changes: the only place that writes audit events, in the transaction of the change they record."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from caseapp.core.clock import now
from caseapp.core.database import db, run
from caseapp.core.ids import new_id
from caseapp.core.logging import request_id
from caseapp.core.transaction import separate_transaction
from caseapp.domain.audit.models import AuditEvent

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.engine import Engine

    from caseapp.core.actor import Actor
    from caseapp.core.permissions import Action

READ_WINDOW = timedelta(minutes=15)
FIND_DUPLICATE = sa.select(AuditEvent.id).where(AuditEvent.dedup_key == sa.bindparam("dedup_key"))
INSERT = sa.insert(AuditEvent.__table__)  # type: ignore[arg-type]
INSERT_UNLESS_PRESENT = {
    name: dialect.insert(AuditEvent.__table__).on_conflict_do_nothing(index_elements=["dedup_key"])
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}

_recorded: WeakKeyDictionary[Engine, dict[int, set[str]]] = WeakKeyDictionary()


def record(
    actor: Actor,
    action: Action,
    kind: str,
    object_id: UUID | None = None,
    *,
    client_id: UUID | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Record a change in the open transaction.

    `details` takes codes and the names of changed fields, never their content.
    """
    run(INSERT, **_values(actor, action, "done", kind, object_id, client_id, details))


def record_read(
    actor: Actor, action: Action, kind: str, object_id: UUID | None, client_id: UUID | None
) -> None:
    """Record that a record was read: one event for each actor, record and quarter of an hour.

    Each process remembers what is recorded in this quarter. SQLite has one writer, so the event is looked up before a
    separate transaction writes it; on PostgreSQL the insert itself skips a duplicate.
    """
    quarter = int(now().timestamp() // READ_WINDOW.total_seconds())
    dedup_key = hashlib.sha256(f"{actor.id}{action}{object_id}{quarter}".encode()).hexdigest()[:32]
    seen = _recorded_in(quarter)
    if dedup_key in seen:
        return
    values = _values(actor, action, "done", kind, object_id, client_id, None) | {
        "dedup_key": dedup_key
    }
    dialect = db.engine.dialect.name
    if dialect == "postgresql":
        run(INSERT_UNLESS_PRESENT[dialect], **values)
    elif run(FIND_DUPLICATE, dedup_key=dedup_key).first() is None:
        with separate_transaction() as connection:
            connection.execute(INSERT_UNLESS_PRESENT[dialect], values)
    seen.add(dedup_key)


def _recorded_in(quarter: int) -> set[str]:
    """Return the keys known to be recorded in this quarter of an hour; earlier quarters are dropped."""
    known = _recorded.setdefault(db.engine, {})
    for past in known.keys() - {quarter}:
        # Another thread may have dropped it first.
        known.pop(past, None)
    return known.setdefault(quarter, set())


def record_refusal(
    actor: Actor, action: str, kind: str, object_id: UUID | None, details: dict[str, Any]
) -> None:
    """Record a refused request after its transaction was rolled back."""
    with separate_transaction() as connection:
        connection.execute(
            INSERT, _values(actor, action, "refused", kind, object_id, None, details)
        )


def _values(
    actor: Actor,
    action: str,
    outcome: str,
    kind: str,
    object_id: UUID | None,
    client_id: UUID | None,
    details: dict[str, Any] | None,
) -> dict[str, Any]:
    moment: datetime = now()
    return {
        "id": new_id(),
        "occurred_at": moment,
        "actor_id": actor.id,
        "actor_role": actor.role.value,
        "via": actor.via,
        "action": str(action),
        "outcome": outcome,
        "object_kind": kind,
        "object_id": object_id,
        "client_id": client_id,
        "details": details or {},
        "request_id": request_id.get(),
    }
