"""Session notes: drafts of their author's, signed ones that can no longer change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.notes.operations import save_draft, sign_note, start_note
from caseapp.domain.notes.queries import note_shown, notes_of
from caseapp.domain.notes.schemas import (
    DraftChange,
    DraftSchema,
    NewNote,
    NewNoteSchema,
    NoteRecord,
    NoteView,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import create_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "notes", "Session notes: drafts of your own, and signed notes of everybody on the care team."
)


@blueprint.route("/cases/<uuid:case_id>/notes")
@needs(Action.NOTE_READ)
@blueprint.list_response_schema(NoteView())
@blueprint.query_params(ListQuerySchema())
def note_list(case_id: UUID, query: ListRequest) -> Page[NoteRecord]:
    """List a case's notes, the newest session first."""
    actor = current_actor()
    page = notes_of(actor, case_id, query.cursor, query.limit)
    client_id = page.items[0].client_id if page.items else None
    record_read(actor, Action.NOTE_READ, "case", case_id, client_id)
    return page


@blueprint.route("/cases/<uuid:case_id>/notes", "POST")
@needs(Action.NOTE_WRITE)
@blueprint.response_schema(NoteView(), 201, location=lambda note: f"/notes/{note['id']}")
@blueprint.request_schema(NewNoteSchema())
def start(case_id: UUID, body: NewNote) -> NoteRecord:
    """Start a draft about a session."""
    actor = current_actor()
    with transaction():
        return create_api_once(
            lambda: start_note(actor, case_id, body), lambda note_id: note_shown(actor, note_id)
        )


@blueprint.route("/notes/<uuid:note_id>")
@needs(Action.NOTE_READ)
@blueprint.response_schema(NoteView())
def note(note_id: UUID) -> NoteRecord:
    """Show one note."""
    actor = current_actor()
    found = note_shown(actor, note_id)
    record_read(actor, Action.NOTE_READ, "note", note_id, found.client_id)
    return found


@blueprint.route("/notes/<uuid:note_id>", "PATCH", error_statuses=(409,))
@needs(Action.NOTE_WRITE)
@blueprint.response_schema(NoteView())
@blueprint.request_schema(DraftSchema())
@blueprint.requires_if_match
def change(note_id: UUID, body: DraftChange, version: int) -> NoteRecord:
    """Save what changed in your draft; what is not sent stays as it is."""
    actor = current_actor()
    with transaction():
        save_draft(actor, note_id, body, version)
        return note_shown(actor, note_id)


@blueprint.route("/notes/<uuid:note_id>/sign", "POST", error_statuses=(409, 422))
@needs(Action.NOTE_SIGN)
@blueprint.response_schema(NoteView())
@blueprint.requires_if_match
def sign(note_id: UUID, version: int) -> NoteRecord:
    """Sign and lock your draft; levels in it that nobody has recorded are recorded with it."""
    actor = current_actor()
    with transaction():
        sign_note(actor, note_id, version)
        return note_shown(actor, note_id)
