"""API for the disclosure log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.disclosures import operations, queries
from caseapp.domain.disclosures.schemas import (
    DisclosureRecord,
    DisclosureResponseSchema,
    NewDisclosure,
    NewDisclosureSchema,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "disclosures",
    "The disclosure log: which parts of a client’s record were given to whom, and why. An entry never "
    "changes.",
)


@blueprint.route("/clients/<uuid:client_id>/disclosures")
@needs(Action.DISCLOSURE_READ)
@blueprint.list_response_schema(DisclosureResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_disclosures(client_id: UUID, query: ListRequest) -> Page[DisclosureRecord]:
    """List a client’s disclosure log, the last one recorded first."""
    return queries.list_disclosures(current_actor(), client_id, query.cursor, query.limit)


@blueprint.route("/clients/<uuid:client_id>/disclosures", "POST")
@needs(Action.DISCLOSURE_WRITE)
@blueprint.response_schema(DisclosureResponseSchema(), 201)
@blueprint.request_schema(NewDisclosureSchema())
def record_disclosure(client_id: UUID, body: NewDisclosure) -> DisclosureRecord:
    """Record which parts of a client’s record were given to whom, and why."""
    actor = current_actor()
    with transaction():
        entry_id = run_api_once(
            lambda: operations.record_disclosure(actor, lock_client(actor, client_id), body)
        )
    return queries.get_disclosure(actor, entry_id)
