"""API for drafts of people who have left: list them, read one, file it unsigned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.notes import left_draft_operations, left_draft_queries
from caseapp.domain.notes.left_draft_schemas import FilingSchema, LeftDraftResponseSchema
from caseapp.domain.notes.schemas import NoteResponseSchema
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page
    from caseapp.domain.notes.records import CoachDraft, NoteRecord

blueprint = ApiBlueprint(
    "left_drafts",
    "Notes that somebody wrote and never signed, and whose account is disabled now; for supervisors.",
)


@blueprint.route("/left-drafts")
@needs(Action.DRAFT_READ)
@blueprint.list_response_schema(LeftDraftResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_left_drafts(query: ListRequest) -> Page[CoachDraft]:
    """List the drafts of people who have left, about clients for whom you are responsible, oldest first."""
    return left_draft_queries.list_left_drafts(current_actor(), query.cursor, query.limit)


@blueprint.route("/left-drafts/<uuid:left_draft_id>")
@needs(Action.DRAFT_READ)
@blueprint.response_schema(NoteResponseSchema())
def get_left_draft(left_draft_id: UUID) -> NoteRecord:
    """Get the draft of somebody who has left, who never signed it; the log records that you have read it."""
    return left_draft_queries.get_left_draft(current_actor(), left_draft_id)


@blueprint.route("/left-drafts/<uuid:left_draft_id>/file", "POST", error_statuses=(409,))
@needs(Action.DRAFT_FILE)
@blueprint.response_schema(NoteResponseSchema())
@blueprint.request_schema(FilingSchema())
@blueprint.requires_if_match
def file_left_draft(left_draft_id: UUID, body: str, version: int) -> NoteRecord:
    """File the draft of somebody who has left as a note that says that its author never signed it.

    It becomes a note of that author, and nothing in it can be changed any more. Answers to a screening in it that are
    not recorded yet are recorded, with the holds and follow-ups that they require.
    """
    actor = current_actor()
    with transaction():
        draft = left_draft_queries.lock_left_draft(actor, left_draft_id)
        return left_draft_operations.file_draft(actor, draft, body, version)
