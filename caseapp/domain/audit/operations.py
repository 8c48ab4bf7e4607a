"""Done: entries are written here and nowhere else, in the transaction of the act itself."""

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
from caseapp.core.transaction import side_transaction
from caseapp.domain.audit.models import AuditEntry

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.engine import Engine

    from caseapp.core.actor import Actor
    from caseapp.core.permissions import Action

QUARTER = timedelta(minutes=15)
THIS_QUARTER = sa.select(AuditEntry.id).where(AuditEntry.once == sa.bindparam("once"))
WRITE = sa.insert(AuditEntry.__table__)  # type: ignore[arg-type]
WRITE_ONCE = {
    name: dialect.insert(AuditEntry.__table__).on_conflict_do_nothing(index_elements=["once"])
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
    """Record an act in the open transaction.

    `details` takes coded values and the names of changed fields, never what was written in them.
    """
    run(WRITE, **_entry(actor, action, "done", kind, object_id, client_id, details))


def record_read(
    actor: Actor, action: Action, kind: str, object_id: UUID | None, client_id: UUID | None
) -> None:
    """Record that a record was read: once per person, record and quarter of an hour.

    Each process remembers what it saw recorded in this quarter. SQLite has one writer, so it looks before it writes,
    in a transaction of its own; PostgreSQL reads outside any transaction and finds out while writing.
    """
    quarter = int(now().timestamp() // QUARTER.total_seconds())
    once = hashlib.sha256(f"{actor.id}{action}{object_id}{quarter}".encode()).hexdigest()[:32]
    seen = _seen_in(quarter)
    if once in seen:
        return
    values = _entry(actor, action, "done", kind, object_id, client_id, None) | {"once": once}
    dialect = db.engine.dialect.name
    if dialect == "postgresql":
        run(WRITE_ONCE[dialect], **values)
    elif run(THIS_QUARTER, once=once).first() is None:
        with side_transaction() as connection:
            connection.execute(WRITE_ONCE[dialect], values)
    seen.add(once)


def _seen_in(quarter: int) -> set[str]:
    """Give what is known to be recorded in this quarter of an hour; earlier quarters are forgotten."""
    known = _recorded.setdefault(db.engine, {})
    for past in known.keys() - {quarter}:
        # Another thread may have forgotten it first.
        known.pop(past, None)
    return known.setdefault(quarter, set())


def record_refusal(
    actor: Actor, action: str, kind: str, object_id: UUID | None, details: dict[str, Any]
) -> None:
    """Record a refused attempt after its transaction was rolled back."""
    with side_transaction() as connection:
        connection.execute(WRITE, _entry(actor, action, "refused", kind, object_id, None, details))


def _entry(
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
        "at": moment,
        "actor_id": actor.id,
        "actor_role": actor.role.value,
        "via": actor.via,
        "action": str(action),
        "outcome": outcome,
        "object_kind": kind,
        "object_id": object_id,
        "client_id": client_id,
        "details": details or {},
        "request": request_id.get(),
    }
