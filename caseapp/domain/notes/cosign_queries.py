"""Queries for notes that need a co-signature: which wait or were returned, and with which comments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.database import db
from caseapp.core.pagination import Page, make_page, page_soonest_first
from caseapp.core.permissions import Action
from caseapp.core.reads import note_shown
from caseapp.core.vault import unseal_bytes
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.visibility import has_role, looks_after_client, sees_client_of
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.notes.cosign_rules import review_version
from caseapp.domain.notes.models import Note, NoteReturn, NoteReview
from caseapp.domain.notes.queries import get_note
from caseapp.domain.notes.records import NoteReviewRecord, ReturnRecord, ReviewItem
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from caseapp.domain.notes.records import NoteRecord


def list_reviews(actor: Actor, cursor: str | None, limit: int) -> Page[ReviewItem]:
    """List notes that need a co-signature, the longest waiting first, without their content.

    They are those that were returned to the actor, also as the coach after somebody who no longer sees the client, and
    for a supervisor all of other people about their clients.
    """
    require(actor, Action.NOTE_READ)
    is_own, is_returned = Note.author_id == actor.id, NoteReview.state == "returned"
    if actor.may(Action.NOTE_COSIGN):
        wanted = sa.or_(is_returned, ~is_own)
    else:
        # Whoever coaches the client now may answer too.
        is_left = sa.and_(
            has_role(actor, COACH, NoteReview.client_id),
            ~sees_client_of(User, NoteReview.client_id),
        )
        wanted = sa.and_(is_returned, sa.or_(is_own, is_left))
    query = (
        sa.select(
            Note.id,
            NoteReview.client_id,
            Case.number,
            Client.name,
            Note.author_id,
            User.name.label("author"),
            Note.actual_session_at,
            NoteReview.state,
            NoteReview.waits_since,
        )
        .select_from(NoteReview)
        .join(Note, Note.id == NoteReview.note_id)
        .join(Case, Case.id == Note.case_id)
        .join(Client, Client.id == NoteReview.client_id)
        .join(User, User.id == Note.author_id)
        .where(wanted, looks_after_client(actor, NoteReview.client_id))
    )
    rows = db.session.execute(
        page_soonest_first(query, NoteReview.waits_since, NoteReview.note_id, cursor, limit)
    ).all()
    page = make_page([ReviewItem(*row) for row in rows], limit, lambda item: (item.since, item.id))
    note_shown(item.client_id for item in page.items)
    return page


def get_review(actor: Actor, note_id: UUID) -> NoteReviewRecord:
    """Return what became of a signed note that needs or needed a co-signature, with the comments of its returns.

    Raises NotFound.
    """
    return get_review_of(get_note(actor, note_id))


def get_review_of(note: NoteRecord) -> NoteReviewRecord:
    """Do the same for a note that the actor has read; nothing is loaded for one that never needed a co-signature.

    Of a note that was moved the comments are copies, sealed under the key of the client whose note it is now.
    """
    if note.review is None and note.cosignature is None and not note.in_error:
        return NoteReviewRecord(note.id, None, (), review_version(note, 0))
    rows = _load_returns([note.id])
    version = review_version(note, len(rows))
    return NoteReviewRecord(note.id, note.review, tuple(_open_returns(rows, note)), version)


def list_returns(notes: Sequence[NoteRecord]) -> dict[UUID, list[ReturnRecord]]:
    """List the returns of notes that the actor has read, by note and in their order, in one statement."""
    rows = _load_returns([note.id for note in notes]) if notes else []
    return {note.id: _open_returns(rows, note) for note in notes}


def _load_returns(note_ids: Sequence[UUID]) -> Sequence[Any]:
    supervisor = aliased(User)
    return db.session.execute(
        sa.select(
            NoteReturn.id,
            NoteReturn.note_id,
            NoteReturn.client_id,
            NoteReturn.created_at,
            NoteReturn.created_by,
            NoteReturn.comment,
            supervisor.name,
            ClientKey.wrapped,
        )
        .join(supervisor, supervisor.id == NoteReturn.created_by)
        .join(ClientKey, ClientKey.client_id == NoteReturn.client_id)
        .where(NoteReturn.note_id.in_(note_ids))
        .order_by(NoteReturn.note_id, NoteReturn.seq)
    ).all()


def _open_returns(rows: Sequence[Any], note: NoteRecord) -> list[ReturnRecord]:
    """Unseal the returns of a note, without those that stayed in the record from which it was moved."""
    returns = []
    for row in rows:
        if (row.note_id, row.client_id) != (note.id, note.client_id):
            continue
        key = open_client_key(row.wrapped, note.client_id, "note", note.id)
        comment = unseal_bytes(NoteReturn.__tablename__, "comment", row.id, row.comment, key)
        returns.append(ReturnRecord(row.created_at, row.created_by, row.name, comment.decode()))
    return returns


def count_returns(note_id: UUID) -> int:
    """Count how often a note was returned, in whichever record it was then."""
    query = sa.select(sa.func.count()).where(NoteReturn.note_id == note_id)
    return db.session.scalars(query).one()
