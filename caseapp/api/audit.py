"""The audit log and what looks like an attack, for admins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from marshmallow import fields, validate

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.pagination import page_in_memory
from caseapp.core.permissions import Action
from caseapp.domain.audit.queries import AuditFilter, AuditRecord, list_audit_events
from caseapp.domain.audit.schemas import AuditEventResponseSchema, BurstResponseSchema
from caseapp.domain.audit.security_events import list_bursts
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from caseapp.core.pagination import Page
    from caseapp.domain.audit.security_events import Burst

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

blueprint = ApiBlueprint("audit", "Who did what to which record; events can’t be changed.")


class AuditQuerySchema(ListQuerySchema):
    """Filters of the audit log."""

    action = fields.String(
        validate=validate.OneOf([str(action) for action in Action]),
        metadata={
            "description": "An action about a hold, a flag or a circumstance returns the events of all three kinds, "
            "because they are stored sealed and the log can’t tell them apart."
        },
    )
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


@blueprint.route("/security-events")
@needs(Action.USER_MANAGE)
@blueprint.list_response_schema(BurstResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_security_events(query: ListRequest) -> Page[Burst]:
    """List the hours of the last 30 days with many failed attempts or refused requests, the newest first.

    `subject_id` is the member of staff whose account somebody tried to sign in to, or who was refused; null for a
    client or an unknown person.
    """
    return page_in_memory(list_bursts(), _newest_first, query.cursor, query.limit)


def _newest_first(burst: Burst) -> tuple[int, str, str, int]:
    moment = (burst.last_at - EPOCH) // MICROSECOND
    return -moment, burst.kind, str(burst.subject_id), burst.times
