"""Queries for clients' requests to correct a signed note: those of notes, and those that wait for an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.pagination import Page, make_page, page_soonest_first
from caseapp.core.permissions import Action, Role
from caseapp.core.reads import note_shown
from caseapp.core.vault import unseal_text
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import find_coach_id
from caseapp.domain.clients.visibility import looks_after_client
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.notes.amendment_records import (
    AmendmentRequest,
    NoteAmendments,
    WaitingAmendment,
)
from caseapp.domain.notes.amendment_rules import list_answer_blockers
from caseapp.domain.notes.models import AmendmentRequest as AmendmentRequestRow
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.queries import get_note
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.domain.notes.records import NoteRecord


def list_amendments(notes: Sequence[NoteRecord]) -> dict[UUID, list[AmendmentRequest]]:
    """List the requests to correct notes that the actor has read, by note and in their order, in one statement.

    A request that was recorded while the note was in another client's record is that client's, and left out.
    """
    if not notes:
        return {}
    of_notes = AmendmentRequestRow.note_id.in_([note.id for note in notes])
    return _list_requests(of_notes, Note.client_id == AmendmentRequestRow.client_id)


def list_left_amendments(
    client_id: UUID, note_ids: Sequence[UUID]
) -> dict[UUID, list[AmendmentRequest]]:
    """List what a client wanted corrected in notes that are in another record now, by note; access was checked."""
    table = AmendmentRequestRow
    of_client = sa.and_(table.note_id.in_(note_ids), table.client_id == client_id)
    return _list_requests(of_client, Note.client_id != client_id)


def _list_requests(*where: sa.ColumnElement[bool]) -> dict[UUID, list[AmendmentRequest]]:
    table, answerer = AmendmentRequestRow, aliased(User)
    rows = db.session.execute(
        sa.select(
            *table.__table__.c,
            User.name.label("recorded_by_name"),
            answerer.name.label("answered_by_name"),
            ClientKey.wrapped,
        )
        .join(User, User.id == table.recorded_by)
        .join(Note, Note.id == table.note_id)
        .join(ClientKey, ClientKey.client_id == table.client_id)
        .outerjoin(answerer, answerer.id == table.answered_by)
        .where(*where)
        .order_by(table.note_id, table.seq)
    )
    found: dict[UUID, list[AmendmentRequest]] = {}
    for row in rows:
        key = open_client_key(row.wrapped, row.client_id, "note", row.note_id)
        texts = {
            name: unseal_text(table.__tablename__, name, row.id, getattr(row, name), key) or ""
            for name in ("words", "answer")
        }
        found.setdefault(row.note_id, []).append(
            AmendmentRequest(
                id=row.id,
                seq=row.seq,
                requested_on=row.requested_on,
                due_at=row.due_at,
                recorded_at=row.recorded_at,
                recorded_by=row.recorded_by,
                recorded_by_name=row.recorded_by_name,
                state=row.state,
                answered_at=row.answered_at,
                answered_by=row.answered_by,
                answered_by_name=row.answered_by_name or "",
                addendum_id=row.addendum_id,
                **texts,
            )
        )
    return found


def get_amendments(actor: Actor, note_id: UUID) -> NoteAmendments:
    """Return what a client wants corrected in a note.

    Raises NotFound.
    """
    require(actor, Action.NOTE_READ)
    return get_amendments_of(get_note(actor, note_id))


def get_amendments_of(note: NoteRecord) -> NoteAmendments:
    """Do the same for a note that the actor has read."""
    requests = list_amendments([note]).get(note.id, [])
    return NoteAmendments(note.id, tuple(requests), requests[-1].seq if requests else 0)


def count_requests(note_id: UUID) -> int:
    """Count the requests about a note, in whichever record it was then."""
    of_note = AmendmentRequestRow.note_id == note_id
    return db.session.scalars(sa.select(sa.func.count()).where(of_note)).one()


def has_open_request(note_id: UUID) -> bool:
    """Tell whether a request about a note waits for an answer."""
    table = AmendmentRequestRow
    found = sa.select(table.id).where(table.note_id == note_id, table.state == "open")
    return db.session.scalar(found) is not None


def list_blockers_of_answer(
    actor: Actor, note: NoteRecord, requests: Sequence[AmendmentRequest]
) -> list[Reason]:
    """List why the actor can't answer the open request about a note that they have read."""
    is_supervisor = actor.role is Role.SUPERVISOR
    coach_id = find_coach_id(note.client_id)
    return list_answer_blockers(note, requests, actor.id, coach_id, is_supervisor=is_supervisor)


def list_waiting_amendments(actor: Actor, cursor: str | None, limit: int) -> Page[WaitingAmendment]:
    """List the requests about the actor's clients that wait for an answer, the soonest due first, without their words.

    A supervisor sees those about the clients of their coaches too.
    """
    require(actor, Action.NOTE_READ)
    table = AmendmentRequestRow
    query = (
        sa.select(
            table.id,
            table.note_id,
            table.client_id,
            Case.number,
            Client.name,
            User.name.label("author"),
            Note.actual_session_at,
            table.requested_on,
            table.due_at,
        )
        .select_from(table)
        .join(Note, sa.and_(Note.id == table.note_id, Note.client_id == table.client_id))
        .join(Case, Case.id == Note.case_id)
        .join(Client, Client.id == table.client_id)
        .join(User, User.id == Note.author_id)
        .where(
            table.state == sa.literal("open", literal_execute=True),
            looks_after_client(actor, table.client_id),
        )
    )
    rows = db.session.execute(
        page_soonest_first(query, table.due_at, table.id, cursor, limit)
    ).all()
    page = make_page(
        [WaitingAmendment(*row) for row in rows], limit, lambda item: (item.due_at, item.id)
    )
    note_shown(item.client_id for item in page.items)
    return page
