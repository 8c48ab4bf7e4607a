"""API for the contact log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.contacts import operations, queries
from caseapp.domain.contacts.queries import lock_contact
from caseapp.domain.contacts.schemas import (
    ContactErrorSchema,
    ContactRecord,
    ContactResponseSchema,
    NewContact,
    NewContactSchema,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "contacts",
    "The contact log: contact, attempted contact, no-shows and cancelled sessions. An entry never changes.",
)


@blueprint.route("/clients/<uuid:client_id>/contacts")
@needs(Action.CONTACT_READ)
@blueprint.list_response_schema(ContactResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_contacts(client_id: UUID, query: ListRequest) -> Page[ContactRecord]:
    """List a client’s contact log, the latest contact first."""
    actor = current_actor()
    return queries.list_contacts(actor, client_id, query.cursor, query.limit)


@blueprint.route("/clients/<uuid:client_id>/contacts", "POST")
@needs(Action.CONTACT_WRITE)
@blueprint.response_schema(
    ContactResponseSchema(), 201, location=lambda entry: f"/contacts/{entry['id']}"
)
@blueprint.request_schema(NewContactSchema())
def create_contact(client_id: UUID, body: NewContact) -> ContactRecord:
    """Add an entry; without `happened_at`, the time is now. `follow_up` adds a follow-up for you, due in a day."""
    actor = current_actor()
    with transaction():
        entry_id = run_api_once(
            lambda: operations.record_contact(actor, lock_client(actor, client_id), body)
        )
    return queries.get_contact(actor, entry_id)


@blueprint.route("/contacts/<uuid:contact_id>")
@needs(Action.CONTACT_READ)
@blueprint.response_schema(ContactResponseSchema())
def get_contact(contact_id: UUID) -> ContactRecord:
    """Get one entry of the contact log."""
    actor = current_actor()
    return queries.get_contact(actor, contact_id)


@blueprint.route("/contacts/<uuid:contact_id>/error", "POST", error_statuses=(409,))
@needs(Action.CONTACT_WRITE)
@blueprint.response_schema(ContactResponseSchema())
@blueprint.request_schema(ContactErrorSchema())
def mark_error(contact_id: UUID, body: str) -> ContactRecord:
    """Mark an entry as recorded in error, with a reason; it stays readable but no longer counts."""
    actor = current_actor()
    with transaction():
        operations.mark_contact_in_error(actor, lock_contact(actor, contact_id), body)
    return queries.get_contact(actor, contact_id)
