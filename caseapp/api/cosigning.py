"""API for notes that need a co-signature: list them, co-sign one, return one to its author."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.notes import cosign_operations, cosign_queries
from caseapp.domain.notes.cosign_schemas import (
    NoteReviewResponseSchema,
    ReturnSchema,
    ReviewItemResponseSchema,
)
from caseapp.domain.notes.queries import lock_note
from caseapp.domain.notes.schemas import NoteResponseSchema
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page
    from caseapp.domain.notes.records import NoteRecord, NoteReviewRecord, ReviewItem

blueprint = ApiBlueprint("cosigning", "Signed notes that need the co-signature of a supervisor.")


@blueprint.route("/note-reviews")
@needs(Action.NOTE_READ)
@blueprint.list_response_schema(ReviewItemResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_reviews(query: ListRequest) -> Page[ReviewItem]:
    """List your notes that were returned; supervisors also get the notes of others that need a co-signature.

    Coaches also get notes about their clients that were returned to somebody who no longer works with the client. Those
    that have waited longest come first.
    """
    return cosign_queries.list_reviews(current_actor(), query.cursor, query.limit)


@blueprint.route("/notes/<uuid:signed_note_id>/review")
@needs(Action.NOTE_READ)
@blueprint.response_schema(NoteReviewResponseSchema())
def get_review(signed_note_id: UUID) -> NoteReviewRecord:
    """Get whether a signed note needs a co-signature, and the comments with which it was returned."""
    return cosign_queries.get_review(current_actor(), signed_note_id)


@blueprint.route("/notes/<uuid:signed_note_id>/cosign", "POST", error_statuses=(409,))
@needs(Action.NOTE_COSIGN)
@blueprint.response_schema(NoteResponseSchema())
@blueprint.requires_if_match
def cosign_note(signed_note_id: UUID, version: int) -> NoteRecord:
    """Co-sign somebody else’s signed note together with its addenda; If-Match takes the version of its review."""
    actor = current_actor()
    with transaction():
        note = lock_note(actor, signed_note_id)
        return cosign_operations.cosign_note(actor, note, version)


@blueprint.route("/notes/<uuid:signed_note_id>/return", "POST", error_statuses=(409,))
@needs(Action.NOTE_RETURN)
@blueprint.response_schema(NoteResponseSchema())
@blueprint.request_schema(ReturnSchema())
@blueprint.requires_if_match
def return_note(signed_note_id: UUID, body: str, version: int) -> NoteRecord:
    """Return a signed note to its author, who answers with an addendum; the note stays as it is.

    If-Match takes the version of its review.
    """
    actor = current_actor()
    with transaction():
        note = lock_note(actor, signed_note_id)
        return cosign_operations.return_note(actor, note, body, version)
