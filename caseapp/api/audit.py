"""The audit log, for admins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marshmallow import fields, validate

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.domain.audit.queries import AuditFilter, AuditRecord, list_audit_events
from caseapp.domain.audit.schemas import AuditEventResponseSchema
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from caseapp.core.pagination import Page

blueprint = ApiBlueprint("audit", "Who did what to which record; events can't be changed.")


class AuditQuerySchema(ListQuerySchema):
    """Filters of the audit log."""

    action = fields.String(validate=validate.OneOf([str(action) for action in Action]))
    outcome = fields.String(validate=validate.OneOf(["done", "refused"]))
    actor = fields.UUID(attribute="actor_id")
    client = fields.UUID(attribute="client_id")


@blueprint.route("/audit")
@needs(Action.AUDIT_READ)
@blueprint.list_response_schema(AuditEventResponseSchema())
@blueprint.query_params(AuditQuerySchema())
def list_events(query: ListRequest) -> Page[AuditRecord]:
    """List audit events, newest first."""
    return list_audit_events(
        current_actor(), AuditFilter(**query.filters), query.cursor, query.limit
    )
