"""Changes: the only place that writes audit events, in the transaction of the change they record."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from caseapp.core import reads
from caseapp.core.actor import Actor, operator
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.logging import request_id
from caseapp.core.permissions import Action, Role
from caseapp.core.transaction import separate_transaction, write_at_end, write_separately
from caseapp.domain.audit.chain import append, is_recorded
from caseapp.domain.audit.models import STREAMS, AuditEventClient
from caseapp.domain.audit.sealing import SEALED_ACTIONS, seal_change
from caseapp.domain.audit.security_events import count_in
from caseapp.domain.audit.stored_log_verification import log_as_it_stands, read_unchained
from caseapp.domain.audit.verifier import UNCHAINED, hash_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from uuid import UUID

    from sqlalchemy.engine import Connection, Engine

    from caseapp.core.reads import List, Reads
    from caseapp.core.vault import DataKey

READ_WINDOW = timedelta(minutes=15)
NO_DETAILS: dict[str, Any] = {}
ALTERED = {"signature": "mismatch"}
"""What the log says of a record that isn't as it was signed."""
CHECKPOINTS = "checkpoints"
"""The `dedup_key` of the event which says that checkpoints are written."""
INSERT_CLIENT = sa.insert(AuditEventClient.__table__)  # type: ignore[arg-type]
# One statement for any number of clients.
INSERT_CLIENTS_POSTGRESQL = INSERT_CLIENT.from_select(
    ["client_id", "occurred_at", "event_id"],
    sa.select(
        sa.func.unnest(sa.bindparam("client_ids", type_=postgresql.ARRAY(sa.Uuid))),
        sa.bindparam("moment", type_=AuditEventClient.occurred_at.type),
        sa.bindparam("event", type_=sa.Uuid),
    ),
)
# What reading a record of each kind is called when the request is about something else.
READ_ACTIONS = {
    "alert": Action.ALERT_READ,
    "assignment": Action.ASSIGNMENT_READ,
    "case": Action.CASE_READ,
    "client": Action.CLIENT_READ,
    "consent": Action.CONSENT_READ,
    "contact": Action.CONTACT_READ,
    "disclosure": Action.DISCLOSURE_READ,
    "followup": Action.FOLLOWUP_READ,
    "hold": Action.HOLD_READ,
    "note": Action.NOTE_READ,
    "screening": Action.SCREENING_READ,
}
CLIENT_READS = frozenset(
    {
        *READ_ACTIONS.values(),
        Action.AUDIT_READ,
        Action.CASE_EXPORT,
        Action.CONFLICT_READ,
        Action.DRAFT_READ,
        Action.ERASURE_READ,
        Action.PORTAL_READ,
        Action.REPORT_EXPORT,
        Action.RECORD_EXPORT,
        Action.TODAY_READ,
    }
)

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
    """Record a change in the open transaction: all changes of one transaction are stored at its end, in their order.

    `details` takes codes and the names of changed fields, never their content. What is about a client's safety goes to
    `record_safety`: raises ValueError.
    """
    if action in SEALED_ACTIONS:
        raise ValueError(action)
    write_at_end(append, _values(actor, action, "done", kind, object_id, client_id, details))
    if client_id is not None:
        reads.note_changed(client_id)


def record_safety(
    actor: Actor,
    action: Action,
    kind: str,
    object_id: UUID,
    key: DataKey,
    *,
    details: dict[str, Any] | None = None,
) -> None:
    """Record a change of a client's safety as `record` does; only the client's key tells which of the SEALED_ACTIONS.

    The plain columns say that something was recorded, for whom, when and by whom.
    """
    values = _values(actor, action, "done", kind, object_id, key.client_id, details)
    write_at_end(append, seal_change(values, key))
    reads.note_changed(key.client_id)


def record_once(
    actor: Actor, action: Action, kind: str, dedup_key: str, details: dict[str, Any]
) -> None:
    """Record in the open transaction what an installation does once; nothing when there is an event with that key."""
    values = _values(actor, action, "done", kind, None, None, details)
    write_at_end(append, values | {"dedup_key": dedup_key})


def record_in_every_stream(
    actor: Actor, action: Action, kind: str, details: dict[str, Any]
) -> None:
    """Record a change at the end of every stream, in the open transaction."""
    for stream in range(STREAMS):
        values = _values(actor, action, "done", kind, None, None, details)
        write_at_end(append, values | {"stream": stream})


@contextmanager
def reads_recorded(actor: Actor) -> Iterator[None]:
    """Record what a command or job reads of clients' records, when it ends or fails."""
    with reads.collecting():
        try:
            yield
        finally:
            record_reads(actor)


def record_reads(actor: Actor | None, action: Action | None = None) -> None:
    """Record what was read so far, in one transaction with what else is to be written; nothing when all is recorded.

    There is one event for each actor, record and quarter of an hour, or for each list with the same clients: its
    clients are tied to it, and it holds their number and a hash of their ids (SHA-256). A client whose change is
    recorded has no event of being read for it. A record that isn't as it was signed has a reading of its own that says
    so, and counts as a security event. `action` is that of the request; without `actor` somebody entered the
    portal by a link or card, whom the event names as that client, not signed in yet.

    Each process remembers what is recorded in this quarter; what another one has recorded is not stored again.
    """
    found = reads.current()
    if found is None or found.written is not None:
        return
    taken = found.take()
    seen = _recorded_in(int(now().timestamp() // READ_WINDOW.total_seconds()))
    events = [event for event in _list_reads(actor, action, taken) if event.dedup_key not in seen]
    keys = {event.dedup_key for event in events if event.dedup_key}
    altered = [event for event in events if event.is_altered]
    if len(events) == 1 and not events[0].client_ids and not taken.writes and not altered:
        write_separately(lambda connection: append(connection, [events[0].values]))
    elif events or taken.writes:
        with separate_transaction() as connection:
            for write in taken.writes:
                write(connection)
            for event in altered:
                count_in(connection, "altered", event.values["client_id"])
            stored = append(connection, [event.values for event in events])
            for event in events:
                if event.client_ids and event.values["id"] in stored:
                    _write_clients(connection, event)
    seen |= keys


@dataclass(frozen=True)
class _Read:
    """An event of reading, and the clients of a list."""

    values: dict[str, Any]
    client_ids: tuple[UUID, ...] = ()

    @property
    def dedup_key(self) -> str | None:
        """Return the key of which there is one event in a quarter of an hour."""
        key: str | None = self.values["dedup_key"]
        return key

    @property
    def is_altered(self) -> bool:
        """Tell whether the record isn't as it was signed."""
        return bool(self.values["details"] == ALTERED)


def _list_reads(actor: Actor | None, action: Action | None, taken: Reads) -> list[_Read]:
    """List the events of what was read: of one client's record, or of a list of several."""
    opened = {
        client_id: record
        for client_id, record in taken.opened.items()
        if client_id not in taken.changed
    }
    lists = dict(taken.lists)
    events = []
    if len(opened) == 1:
        ((client_id, (kind, object_id)),) = opened.items()
        reader = actor or Actor(client_id, Role.SIGNING_IN, "", "portal")
        events.append(
            _read(reader, _read_action(reader, action, kind), kind, object_id, client_id=client_id)
        )
        # A page about one client may show that client in a list too.
        for key, shown in taken.lists.items():
            if key in {None, action} and not shown.always and shown.client_ids <= {client_id}:
                del lists[key]
    elif opened:
        shown = lists.pop(None, reads.List())
        lists[None] = replace(shown, client_ids=shown.client_ids | opened.keys())
    for own, shown in lists.items():
        if actor is None:
            raise RuntimeError("Somebody unknown was shown a list of clients.")
        reading = _read_action(actor, own or action, "case")
        events.append(_read(actor, reading, shown.kind, shown.object_id, shown=shown))
    for object_id, (kind, client_id) in taken.altered.items():
        if actor is None:
            raise RuntimeError("Somebody unknown read a signed record.")
        reading = READ_ACTIONS[kind]
        events.append(_read(actor, reading, kind, object_id, client_id=client_id, details=ALTERED))
    return events


def _read_action(actor: Actor, action: Action | None, kind: str) -> Action:
    if actor.role in {Role.CLIENT, Role.SIGNING_IN}:
        return Action.PORTAL_READ
    return action if action in CLIENT_READS else READ_ACTIONS[kind]


def _read(
    actor: Actor,
    action: Action,
    kind: str,
    object_id: UUID | None,
    *,
    client_id: UUID | None = None,
    shown: List | None = None,
    details: dict[str, Any] = NO_DETAILS,
) -> _Read:
    client_ids: tuple[UUID, ...] = ()
    if shown is not None:
        client_ids = tuple(sorted(shown.client_ids))
        details = {**shown.details, "clients": len(client_ids), "sha256": hash_ids(client_ids)}
    values = _values(actor, action, "done", kind, object_id, client_id, details)
    if shown is None or not shown.always:
        quarter = int(now().timestamp() // READ_WINDOW.total_seconds())
        content = json.dumps(details, sort_keys=True) if details else ""
        values["dedup_key"] = hashlib.sha256(
            f"{actor.id}{action}{object_id}{quarter}{content}".encode()
        ).hexdigest()[:32]
    return _Read(values, client_ids)


def hash_ids(client_ids: Iterable[UUID]) -> str:
    """Hash the ids of a list's clients, in order of the ids (SHA-256)."""
    return hashlib.sha256(b"".join(found.bytes for found in sorted(client_ids))).hexdigest()


def _write_clients(connection: Connection, event: _Read) -> None:
    moment, event_id = event.values["occurred_at"], event.values["id"]
    if connection.dialect.name == "postgresql":
        connection.execute(
            INSERT_CLIENTS_POSTGRESQL,
            {"client_ids": [*event.client_ids], "moment": moment, "event": event_id},
        )
    else:
        connection.execute(
            INSERT_CLIENT,
            [
                {"client_id": client_id, "occurred_at": moment, "event_id": event_id}
                for client_id in event.client_ids
            ],
        )


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
    refused = _values(actor, action, "refused", kind, object_id, None, details)
    write_separately(lambda connection: append(connection, [refused]))


def chain_earlier_events() -> None:
    """Write the event that holds number and hash of the events from releases without the chain, unless it stands.

    From then on they can't be changed without a trace either, and none can be added, also where there were none.
    """
    values = _values(operator(), Action.CHAIN_BEGIN, "done", "audit_event", None, None, None)
    with log_as_it_stands() as connection:
        if is_recorded(connection, UNCHAINED):
            return
        total, digest = hash_lines(read_unchained(connection))
    values |= {"dedup_key": UNCHAINED, "details": {"events": total, "sha256": digest}}
    write_separately(lambda connection: append(connection, [values]))


def record_checkpoints(connection: Connection) -> None:
    """Record in an open transaction, unless it is recorded, that checkpoints are written.

    From then on it is a fault when there are none.
    """
    if not are_checkpoints_recorded(connection):
        kept = {"dedup_key": CHECKPOINTS}
        begin = Action.CHECKPOINT_BEGIN
        append(
            connection,
            [_values(operator(), begin, "done", "audit_event", None, None, None) | kept],
        )


def are_checkpoints_recorded(connection: Connection) -> bool:
    """Tell whether the log says that checkpoints are written."""
    return is_recorded(connection, CHECKPOINTS)


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
        "dedup_key": None,
    }
