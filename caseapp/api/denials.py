"""API for staff who must not see a client."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.staffing import denial_operations
from caseapp.domain.staffing.denials import list_denials, lock_access, lock_denial
from caseapp.domain.staffing.schemas import (
    AccessDenialRecord,
    AccessDenialResponseSchema,
    DenialEndSchema,
    NewDenial,
    NewDenialSchema,
    Recorded,
    RecordedResponseSchema,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "denials",
    "Staff who must not see a client, even if their role would let them. They aren’t told.",
)


@blueprint.route("/denied-access")
@needs(Action.DENIAL_MANAGE)
@blueprint.list_response_schema(AccessDenialResponseSchema())
@blueprint.query_params(ListQuerySchema())
def read_denials(query: ListRequest) -> Page[AccessDenialRecord]:
    """List who must not see which client, newest first: entries about the clients you see and entries you recorded.

    An admin sees all entries. Nobody sees entries about themselves.
    """
    return list_denials(current_actor(), query.cursor, query.limit)


@blueprint.route("/denied-access", "POST")
@needs(Action.DENIAL_MANAGE)
@blueprint.response_schema(RecordedResponseSchema(), HTTPStatus.CREATED)
@blueprint.request_schema(NewDenialSchema())
def deny(body: NewDenial) -> Recorded:
    """Record that a member of staff must not see a client, by case number; you don’t need access to the client."""
    actor = current_actor()
    with transaction():
        denial_id = run_api_once(
            lambda: denial_operations.deny_access(actor, lock_access(actor, body.number), body)
        )
    return Recorded(denial_id)


@blueprint.route("/denied-access/<uuid:denial_id>/end", "POST")
@needs(Action.DENIAL_MANAGE)
@blueprint.response_schema(RecordedResponseSchema())
@blueprint.request_schema(DenialEndSchema())
def end(denial_id: UUID, body: str) -> Recorded:
    """Let a member of staff see a client again, if their role or team lets them."""
    actor = current_actor()
    with transaction():
        denial_operations.end_denial(actor, lock_denial(actor, denial_id), body)
    return Recorded(denial_id)
