"""Queries for moving notes: what a move depends on, its lock, and what the former record keeps of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Stale
from caseapp.core.permissions import Action, Role
from caseapp.core.transaction import locked_clients
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.matches import is_undecided
from caseapp.domain.clients.queries import take_client_lock
from caseapp.domain.notes.models import Note, NoteMove
from caseapp.domain.notes.move_rules import MoveFacts, list_move_blockers
from caseapp.domain.notes.queries import (
    LockedCaseForNote,
    LockedNote,
    lock_case_for_note,
    lock_note,
)
from caseapp.domain.notes.records import MovedAway
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.domain.cases.queries import CaseContext
    from caseapp.domain.notes.records import NoteRecord


@dataclass(frozen=True)
class LockedNoteMove:
    """A note and the case to which it is to be moved, whose clients are locked, as read after both locks.

    Only `lock_note_move` makes one.
    """

    note: LockedNote
    case: LockedCaseForNote


def lock_note_move(actor: Actor, note_id: UUID, ref: UUID | str) -> LockedNoteMove:
    """Lock the clients of a note and of a case, in the order of their ids, then load both.

    `ref` is the id of the case or its number. Raises NotFound, also for a case that the actor doesn't see, Stale when
    the note was moved while this waited, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.NOTE_MOVE)
    locked_clients()
    of_note = sa.select(Note.client_id).where(Note.id == note_id)
    column = Case.number if isinstance(ref, str) else Case.id
    former = db.session.scalar(of_note)
    other = db.session.scalar(sa.select(Case.client_id).where(column == ref))
    if former is None or other is None:
        raise NotFound
    for client_id in sorted({former, other}):
        take_client_lock(client_id)
    if db.session.scalar(of_note) != former:
        raise Stale
    return LockedNoteMove(lock_note(actor, note_id), lock_case_for_note(actor, ref))


def find_move_facts(note: NoteRecord, client_id: UUID, case_status: str) -> MoveFacts:
    """Find what the move of a note to a case of this client depends on; the actor was found to see both."""
    screenings = get_safety_history(note.client_id).screenings
    return MoveFacts(
        client_id,
        case_status,
        any(each.note_id == note.id for each in screenings),
        is_undecided(note.client_id, client_id),
    )


def list_blockers_of_move(actor: Actor, note: NoteRecord, other: CaseContext) -> list[Reason]:
    """List why the actor can't move a note that they have read to a case that they see."""
    facts = find_move_facts(note, other.case.client_id, other.case.status)
    is_supervisor = actor.role is Role.SUPERVISOR
    return list_move_blockers(note, facts, actor.id, is_supervisor=is_supervisor)


def list_moved_away(case_id: UUID) -> list[MovedAway]:
    """List the notes that were moved from a case into other records, the oldest move first.

    The caller has already found the case for the actor. Where to and what they say isn't part of it.
    """
    rows = db.session.execute(
        sa.select(NoteMove.id, NoteMove.moved_at, User.name)
        .join(User, User.id == NoteMove.moved_by)
        .where(NoteMove.from_case_id == case_id)
        .order_by(NoteMove.moved_at, NoteMove.id)
    )
    return [MovedAway(*row) for row in rows]
