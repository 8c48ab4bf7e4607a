"""API for session notes: list, start, read, change a draft, sign, add to a signed one, move to another record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.pagination import page_in_memory
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.cases.queries import get_case
from caseapp.domain.notes import operations, queries
from caseapp.domain.notes.copied_operations import confirm_copied, copy_rest
from caseapp.domain.notes.move_operations import move_note as move
from caseapp.domain.notes.move_queries import list_moved_away, lock_note_move
from caseapp.domain.notes.plan_operations import bring_plan_forward
from caseapp.domain.notes.queries import lock_case_for_note, lock_note
from caseapp.domain.notes.revision_operations import restore_text
from caseapp.domain.notes.revision_queries import get_own_draft, list_revisions
from caseapp.domain.notes.revision_schemas import RevisionResponseSchema
from caseapp.domain.notes.schemas import (
    AddendumSchema,
    DraftChange,
    DraftSchema,
    MovedAwayResponseSchema,
    NewAddendum,
    NewNote,
    NewNoteMoveTo,
    NewNoteSchema,
    NoteMoveToSchema,
    NoteResponseSchema,
)
from caseapp.domain.notes.search_schemas import (
    FoundNotes,
    FoundNotesResponseSchema,
    NoteSearch,
    NoteSearchRequestSchema,
)
from caseapp.domain.notes.searching import search_notes
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import create_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page
    from caseapp.domain.notes.records import MovedAway, NoteRecord
    from caseapp.domain.notes.revision_schemas import RevisionRecord

blueprint = ApiBlueprint(
    "notes", "Session notes: your own drafts, and signed notes by everyone on the care team."
)


@blueprint.route("/cases/<uuid:case_id>/notes")
@needs(Action.NOTE_READ)
@blueprint.list_response_schema(NoteResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_notes(case_id: UUID, query: ListRequest) -> Page[NoteRecord]:
    """List a case’s notes, newest session first."""
    actor = current_actor()
    return queries.list_case_notes(actor, case_id, query.cursor, query.limit)


@blueprint.route("/cases/<uuid:case_id>/notes", "POST", error_statuses=(409,))
@needs(Action.NOTE_WRITE)
@blueprint.response_schema(NoteResponseSchema(), 201, location=lambda note: f"/notes/{note['id']}")
@blueprint.request_schema(NewNoteSchema())
def create_note(case_id: UUID, body: NewNote) -> NoteRecord:
    """Start a note about a session, as your draft.

    If you already have a draft for the same case, the request is refused (`draft_stands`) unless `another` is true. You
    can find the draft in the list of the case’s notes.
    """
    actor = current_actor()
    with transaction():
        return create_api_once(
            lambda: operations.create_note(actor, lock_case_for_note(actor, case_id), body),
            lambda note_id: queries.get_note(actor, note_id),
        )


@blueprint.route("/notes/<uuid:note_id>")
@needs(Action.NOTE_READ)
@blueprint.response_schema(NoteResponseSchema())
def get_note(note_id: UUID) -> NoteRecord:
    """Get one note."""
    actor = current_actor()
    return queries.get_note(actor, note_id)


@blueprint.route("/notes/<uuid:note_id>", "PATCH", error_statuses=(409,))
@needs(Action.NOTE_WRITE)
@blueprint.response_schema(NoteResponseSchema())
@blueprint.request_schema(DraftSchema())
@blueprint.requires_if_match
def update_note(note_id: UUID, body: DraftChange, version: int) -> NoteRecord:
    """Change your draft; fields that are not sent stay unchanged.

    A level that opens a safety hold is recorded at once, with all the answers so far.
    """
    actor = current_actor()
    with transaction():
        operations.save_draft(actor, lock_note(actor, note_id), body, version)
        return queries.get_note(actor, note_id)


@blueprint.route("/notes/<uuid:note_id>/plan", "POST", error_statuses=(409, 422))
@needs(Action.NOTE_WRITE)
@blueprint.response_schema(NoteResponseSchema())
@blueprint.requires_if_match
def bring_plan(note_id: UUID, version: int) -> NoteRecord:
    """Copy the plan of the last signed note before this session, with its date, below the plan of your draft.

    The text of addenda to that note is copied too. A plan that has already been brought forward isn’t changed.
    """
    actor = current_actor()
    with transaction():
        bring_plan_forward(actor, lock_note(actor, note_id), version)
        return queries.get_note(actor, note_id)


@blueprint.route("/notes/<uuid:note_id>/copied-answers", "POST", error_statuses=(409,))
@needs(Action.NOTE_WRITE)
@blueprint.response_schema(NoteResponseSchema())
@blueprint.requires_if_match
def copy_answers(note_id: UUID, version: int) -> NoteRecord:
    """Copy the last answers to the blank questions of your draft, except safety questions and answers that are too old.

    Copied answers don’t count, and the draft can’t be signed, until you confirm or answer them.
    """
    actor = current_actor()
    with transaction():
        copy_rest(actor, lock_note(actor, note_id), version)
        return queries.get_note(actor, note_id)


@blueprint.route("/notes/<uuid:note_id>/copied-answers/confirm", "POST", error_statuses=(409,))
@needs(Action.NOTE_WRITE)
@blueprint.response_schema(NoteResponseSchema())
@blueprint.requires_if_match
def confirm_answers(note_id: UUID, version: int) -> NoteRecord:
    """Confirm the copied answers of your draft. They then count like any other answer.

    Refused (`copies_outdated`) when one of them is no longer the last answer before the session.
    """
    actor = current_actor()
    with transaction():
        confirm_copied(actor, lock_note(actor, note_id), version)
        return queries.get_note(actor, note_id)


@blueprint.route("/notes/<uuid:note_id>/revisions")
@needs(Action.NOTE_READ)
@blueprint.list_response_schema(RevisionResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_earlier_texts(note_id: UUID, query: ListRequest) -> Page[RevisionRecord]:
    """List the earlier texts of your draft, newest first. Signing or discarding the draft deletes them."""
    actor = current_actor()
    found = list_revisions(actor, get_own_draft(actor, note_id))
    return page_in_memory(
        found,
        lambda one: (-int(one.saved_at.timestamp() * 1_000_000), one.id.hex),
        query.cursor,
        query.limit,
    )


@blueprint.route(
    "/notes/<uuid:note_id>/revisions/<uuid:revision_id>/restore", "POST", error_statuses=(409,)
)
@needs(Action.NOTE_WRITE)
@blueprint.response_schema(NoteResponseSchema())
@blueprint.requires_if_match
def restore(note_id: UUID, revision_id: UUID, version: int) -> NoteRecord:
    """Restore an earlier text of your draft, with its format; the text that it replaces is kept."""
    actor = current_actor()
    with transaction():
        restore_text(actor, lock_note(actor, note_id), revision_id, version)
        return queries.get_note(actor, note_id)


@blueprint.route("/notes/<uuid:note_id>/sign", "POST", error_statuses=(409, 422))
@needs(Action.NOTE_SIGN)
@blueprint.response_schema(NoteResponseSchema())
@blueprint.requires_if_match
def sign_note(note_id: UUID, version: int) -> NoteRecord:
    """Sign and lock your draft; unrecorded levels in it are recorded with it."""
    actor = current_actor()
    with transaction():
        operations.sign_note(actor, lock_note(actor, note_id), version)
        return queries.get_note(actor, note_id)


@blueprint.route("/notes/<uuid:signed_note_id>/addenda", "POST", error_statuses=(409,))
@needs(Action.NOTE_AMEND)
@blueprint.response_schema(NoteResponseSchema(), 201, location=lambda note: f"/notes/{note['id']}")
@blueprint.request_schema(AddendumSchema())
def add_addendum(signed_note_id: UUID, body: NewAddendum) -> NoteRecord:
    """Sign an addendum to a signed note. The note itself doesn’t change.

    A correction says why and what is right; it may change the time and the minutes of the session. An addition
    that comes more than 72 hours after the session is a late entry. A note that was entered in error doesn’t count as
    a session.
    """
    actor = current_actor()
    with transaction():
        return create_api_once(
            lambda: operations.add_addendum(actor, lock_note(actor, signed_note_id), body),
            lambda note_id: queries.get_note(actor, note_id),
        )


@blueprint.route("/cases/<uuid:case_id>/moved-notes")
@needs(Action.NOTE_READ)
@blueprint.list_response_schema(MovedAwayResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_moved_notes(case_id: UUID, query: ListRequest) -> Page[MovedAway]:
    """List the notes that were filed in a case in error and moved, oldest first, but not where to or what they say."""
    moved = list_moved_away(get_case(current_actor(), case_id).id)
    return page_in_memory(
        moved,
        lambda one: (one.moved_at.isoformat(timespec="microseconds"), one.id.hex),
        query.cursor,
        query.limit,
    )


@blueprint.route("/notes/<uuid:note_id>/move", "POST", error_statuses=(409,))
@needs(Action.NOTE_MOVE)
@blueprint.response_schema(NoteResponseSchema())
@blueprint.request_schema(NoteMoveToSchema())
@blueprint.requires_if_match
def move_note(note_id: UUID, body: NewNoteMoveTo, version: int) -> NoteRecord:
    """Move a note that was filed in the wrong client’s record, with its addenda, to a case of another client.

    Don’t name the former client or their case in the reason: everyone who reads the note can read it.
    """
    actor = current_actor()
    with transaction():
        return move(actor, lock_note_move(actor, note_id, body.case_id), body.move, version)


@blueprint.route("/notes/search", "POST", error_statuses=(404,))
@needs(Action.NOTE_READ)
@blueprint.response_schema(FoundNotesResponseSchema())
@blueprint.request_schema(NoteSearchRequestSchema())
def search(body: NoteSearch) -> FoundNotes:
    """Find notes that contain certain words, newest session first: signed ones and your own drafts.

    The search words are sent in the body, so they don’t appear in any address or log. One request searches at most
    1,000 notes; use `next` to continue.
    """
    return search_notes(current_actor(), body)
