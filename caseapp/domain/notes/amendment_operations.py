"""Operations on clients' requests to correct a signed note: record one, accept it, decline it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Stale
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal, seal_bytes
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.queries import find_coach_id
from caseapp.domain.notes.amendment_queries import count_requests, list_amendments
from caseapp.domain.notes.amendment_rules import check_answer, check_request, find_due, find_open
from caseapp.domain.notes.models import AmendmentRequest as AmendmentRequestRow
from caseapp.domain.notes.operations import add_addendum
from caseapp.domain.notes.queries import get_note
from caseapp.domain.notes.schemas import NewAddendum
from caseapp.domain.practice.queries import get_practice, local_day, today

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.notes.amendment_records import AmendmentRequest
    from caseapp.domain.notes.amendment_schemas import NewAmendmentRequest
    from caseapp.domain.notes.queries import LockedNote
    from caseapp.domain.notes.records import NoteRecord


REQUESTED = "A correction of this note was requested."
"""The reason of a correction with which a request is accepted. It moves with the note to another record,
so it doesn't say who asked, when and for what: the request says so, and stays with the client who made it."""


def record_request(actor: Actor, note: LockedNote, new: NewAmendmentRequest) -> UUID:
    """Record what a client wants corrected in a signed note, which stays as it is; return the request's id.

    Raises RuleBroken, also while another request about the note is open, and Invalid.
    """
    require(actor, Action.AMENDMENT_WRITE)
    found = get_note(actor, note.row.id)
    requests = list_amendments([found]).get(found.id, [])
    session_on = local_day(min(found.session_at, found.actual_session_at))
    check_request(note, found, requests, new, session_on, today())
    row = AmendmentRequestRow(
        id=new_id(),
        note_id=found.id,
        client_id=note.client.id,
        seq=count_requests(found.id) + 1,
        requested_on=new.requested_on,
        due_at=find_due(new.requested_on, get_practice().zone),
        recorded_at=now(),
        recorded_by=actor.id,
    )
    row.words = seal_bytes(row, "words", new.words.encode(), note.key)
    db.session.add(row)
    db.session.flush()
    _record(actor, note, row.seq, "open")
    return row.id


def accept_request(actor: Actor, note: LockedNote, text: str, expected_version: int) -> NoteRecord:
    """Accept the open request about a note by signing a correction, and return the note with it.

    Raises RuleBroken, Invalid, and Stale when another request came since `expected_version`.
    """
    require(actor, Action.NOTE_AMEND)
    opened = _find_open(actor, note, expected_version)
    corrected = add_addendum(actor, note, NewAddendum("correction", text, REQUESTED))
    _answer(actor, note, opened, "accepted", addendum_id=corrected.addenda[-1].id)
    return corrected


def decline_request(actor: Actor, note: LockedNote, reason: str, expected_version: int) -> None:
    """Decline the open request about a note with a reason; from then on both are shown with the note.

    Raises RuleBroken, and Stale when another request came since `expected_version`.
    """
    require(actor, Action.AMENDMENT_WRITE)
    _answer(actor, note, _find_open(actor, note, expected_version), "declined", reason=reason)


def _find_open(actor: Actor, note: LockedNote, expected_version: int) -> AmendmentRequest:
    found = get_note(actor, note.row.id)
    requests = list_amendments([found]).get(found.id, [])
    check_answer(actor, note, found, requests, find_coach_id(note.client.id))
    opened = find_open(requests)
    if opened is None or opened.seq != expected_version:
        raise Stale
    return opened


def _answer(
    actor: Actor,
    note: LockedNote,
    opened: AmendmentRequest,
    state: str,
    *,
    reason: str | None = None,
    addendum_id: UUID | None = None,
) -> None:
    row = db.session.scalars(
        sa.select(AmendmentRequestRow).where(AmendmentRequestRow.id == opened.id)
    ).one()
    row.state, row.answered_at, row.answered_by = state, now(), actor.id
    row.addendum_id = addendum_id
    row.answer = seal(row, "answer", reason, note.key)
    db.session.flush()
    _record(actor, note, row.seq, state)


def _record(actor: Actor, note: LockedNote, seq: int, state: str) -> None:
    details = {"request": seq, "state": state}
    record(
        actor,
        Action.AMENDMENT_WRITE,
        "note",
        note.row.id,
        client_id=note.client.id,
        details=details,
    )
