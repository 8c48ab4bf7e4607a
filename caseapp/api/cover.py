"""API for cover: arrange it, list it, and end it early."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.pagination import page_in_memory
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.staffing import cover_operations as operations
from caseapp.domain.staffing import cover_queries as queries
from caseapp.domain.staffing.cover_schemas import (
    CoveredClientResponseSchema,
    CoveredClientView,
    CoverResponseSchema,
    CoverSchema,
    CoverSummary,
    LineSchema,
    NewCover,
    NewLine,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "covers",
    "While a coach is away, a colleague sees their clients, follow-ups and alerts until a last day.",
)


@blueprint.route("/covers")
@needs(Action.CLIENT_READ)
@blueprint.list_response_schema(CoverResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_covers(query: ListRequest) -> Page[CoverSummary]:
    """List cover for you and by you, and that of the people you supervise, the earliest start first."""
    return page_in_memory(
        queries.list_covers(current_actor()),
        lambda one: (one.starts_at.isoformat(timespec="microseconds"), one.id.hex),
        query.cursor,
        query.limit,
    )


@blueprint.route("/coaches/<uuid:coach_id>/covers", "POST")
@needs(Action.COVER)
@blueprint.response_schema(CoverResponseSchema(), 201)
@blueprint.request_schema(CoverSchema())
def arrange_cover(coach_id: UUID, body: NewCover) -> CoverSummary:
    """Let a colleague cover for you, or for a coach whom you supervise."""
    actor = current_actor()

    def arrange() -> UUID:
        return operations.arrange_cover(actor, queries.lock_caseload(actor, coach_id), body)

    with transaction():
        cover_id = run_api_once(arrange)
    return queries.get_cover(actor, cover_id).cover


@blueprint.route("/covers/<uuid:cover_id>/end", "POST", error_statuses=(409,))
@needs(Action.COVER)
@blueprint.response_schema(CoverResponseSchema())
def end_cover(cover_id: UUID) -> CoverSummary:
    """End cover now: the colleague no longer sees the clients."""
    actor = current_actor()
    with transaction():
        operations.end_cover(actor, queries.lock_cover(actor, cover_id))
    return queries.get_cover(actor, cover_id).cover


CLIENT = "/covers/<uuid:cover_id>/clients/<uuid:client_id>"


@blueprint.route("/covers/<uuid:cover_id>/clients")
@needs(Action.CLIENT_READ)
@blueprint.list_response_schema(CoveredClientResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_covered_clients(cover_id: UUID, query: ListRequest) -> Page[CoveredClientView]:
    """List the clients of a cover, sorted by name, each with what the covering colleague should know.

    Only clients whom you can see now are listed.
    """
    return page_in_memory(
        queries.get_cover(current_actor(), cover_id).clients,
        lambda one: (one.client, one.client_id.hex),
        query.cursor,
        query.limit,
    )


@blueprint.route(CLIENT)
@needs(Action.CLIENT_READ)
@blueprint.response_schema(CoveredClientResponseSchema())
def get_covered_client(cover_id: UUID, client_id: UUID) -> CoveredClientView:
    """Get what a covering colleague should know about one client of a cover, if you can see the client now."""
    return queries.get_covered_client(current_actor(), cover_id, client_id)


@blueprint.route(CLIENT, "PATCH")
@needs(Action.COVER)
@blueprint.response_schema(CoveredClientResponseSchema())
@blueprint.request_schema(LineSchema())
@blueprint.requires_if_match
def write_line(cover_id: UUID, client_id: UUID, body: NewLine, version: int) -> CoveredClientView:
    """Write what the covering colleague should know about a client; an empty line removes it."""
    actor = current_actor()
    with transaction():
        covered = queries.lock_covered_client(actor, cover_id, client_id)
        operations.write_line(actor, covered, body.line, version)
    return queries.get_covered_client(actor, cover_id, client_id)
