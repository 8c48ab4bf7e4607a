"""API for one's own snippets: short texts for notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.pagination import page_in_memory
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.notes.snippet_operations import delete_snippet, save_snippet
from caseapp.domain.notes.snippet_queries import get_snippet_row, list_snippets, open_snippet
from caseapp.domain.notes.snippet_schemas import (
    SnippetRecord,
    SnippetResponseSchema,
    SnippetText,
    SnippetTextSchema,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "snippets",
    "Your own short texts for notes. They aren’t part of any record, so don’t name clients in them.",
)


@blueprint.route("/snippets")
@needs(Action.NOTE_READ)
@blueprint.list_response_schema(SnippetResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_own(query: ListRequest) -> Page[SnippetRecord]:
    """List your snippets by their titles."""
    return page_in_memory(
        list_snippets(current_actor()),
        lambda one: (one.title.casefold(), one.id.hex),
        query.cursor,
        query.limit,
    )


@blueprint.route("/snippets", "POST", error_statuses=(409,))
@needs(Action.NOTE_WRITE)
@blueprint.response_schema(SnippetResponseSchema(), 201)
@blueprint.request_schema(SnippetTextSchema())
def create_snippet(body: SnippetText) -> SnippetRecord:
    """Add a snippet; you can have at most 50."""
    actor = current_actor()
    with transaction():
        snippet_id = run_api_once(lambda: save_snippet(actor, body, 0))
        return open_snippet(get_snippet_row(actor, snippet_id))


@blueprint.route("/snippets/<uuid:snippet_id>/delete", "POST")
@needs(Action.NOTE_WRITE)
@blueprint.response_schema(SnippetResponseSchema())
def remove_snippet(snippet_id: UUID) -> SnippetRecord:
    """Delete one of your snippets; the response contains it one last time."""
    actor = current_actor()
    with transaction():
        found = open_snippet(get_snippet_row(actor, snippet_id))
        delete_snippet(actor, snippet_id)
    return found
