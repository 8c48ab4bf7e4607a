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
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import take_client_lock, unseal_client
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.legal_holds.queries import is_on_legal_hold
from caseapp.domain.notes.amendment_queries import has_open_request, list_left_amendments
from caseapp.domain.notes.models import Note, NoteMove
from caseapp.domain.notes.move_rules import MoveFacts, list_move_blockers, list_unasked
from caseapp.domain.notes.queries import (
    LockedCaseForNote,
    LockedNote,
    lock_case_for_note,
    lock_note,
)
from caseapp.domain.notes.records import MovedAway
from caseapp.domain.screening.history import list_safety_histories
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
    histories = list_safety_histories({client_id, *_list_owners(note)})
    of_note = [
        each
        for history in histories.values()
        for each in history.all_screenings
        if each.note_id == note.id
    ]
    return MoveFacts(
        client_id,
        case_status,
        any(each.in_error is None for each in of_note),
        list_unasked(of_note, histories[client_id].screenings),
        is_undecided(note.client_id, client_id),
        has_open_request(note.id),
        is_on_legal_hold(note.client_id),
    )


def _list_owners(note: NoteRecord) -> set[UUID]:
    """List the clients in whose records a note is or was."""
    return {note.client_id, *(each.from_client_id for each in note.moves)}


@dataclass(frozen=True)
class FormerClients:
    """The names of the clients in whose records a note was, and of their partners, and the numbers of their cases.

    `other` are the names of the client to whom it moves.
    """

    names: list[str]
    numbers: list[str]
    other: list[str]


def find_former_clients(note: NoteRecord, client_id: UUID) -> FormerClients:
    """Find what the reason for the move of a note to this client may not name; an erased client has no names."""
    former = _list_owners(note) - {client_id}
    rows = db.session.execute(
        sa.select(Client, ClientKey.wrapped)
        .join(ClientKey, ClientKey.client_id == Client.id)
        .where(Client.id.in_({client_id, *former}))
    ).all()
    names: list[str] = []
    other: list[str] = []
    for row in rows:
        key = open_client_key(row.wrapped, row.Client.id, "note", note.id)
        found = unseal_client(row.Client, key)
        own = [found.name, found.preferred_name]
        if found.id == client_id:
            other = own
        else:
            names += [*own, found.partner_name or ""]
    numbers = db.session.scalars(sa.select(Case.number).where(Case.client_id.in_(former)))
    return FormerClients(names, [*numbers], other)


def list_blockers_of_move(actor: Actor, note: NoteRecord, other: CaseContext) -> list[Reason]:
    """List why the actor can't move a note that they have read to a case that they see."""
    facts = find_move_facts(note, other.case.client_id, other.case.status)
    is_supervisor = actor.role is Role.SUPERVISOR
    return list_move_blockers(note, facts, actor.id, is_supervisor=is_supervisor)


def list_moved_away(case_id: UUID) -> list[MovedAway]:
    """List the notes that were moved from a case into other records, the oldest move first.

    Those that stayed in the case, whose client was merged into another one, are no such notes. The caller has already
    found the case for the actor. Where to and what they say isn't part of it; what the client wanted corrected in one
    is listed with its last move.
    """
    rows = db.session.execute(
        sa.select(NoteMove.id, NoteMove.moved_at, User.name, NoteMove.note_id, Case.client_id)
        .join(User, User.id == NoteMove.moved_by)
        .join(Case, Case.id == NoteMove.from_case_id)
        .where(NoteMove.from_case_id == case_id, NoteMove.case_id != case_id)
        .order_by(NoteMove.moved_at, NoteMove.id)
    ).all()
    if not rows:
        return []
    last = {row.note_id: row.id for row in rows}
    requests = list_left_amendments(rows[0].client_id, [*last])
    return [
        MovedAway(
            row.id,
            row.moved_at,
            row.name,
            requests.get(row.note_id, ()) if last[row.note_id] == row.id else (),
        )
        for row in rows
    ]
