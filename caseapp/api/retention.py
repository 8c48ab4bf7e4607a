"""API for retention: the records that needn't be kept any longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marshmallow import fields, validate

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.domain.retention import queries
from caseapp.domain.retention.schemas import SHOWN, DueRecordResponseSchema
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from caseapp.core.pagination import Page
    from caseapp.domain.retention.schemas import DueRecord

blueprint = ApiBlueprint(
    "retention",
    "Records that no longer have to be kept. Nothing is destroyed automatically: somebody has to request an erasure.",
)


class DueQuerySchema(ListQuerySchema):
    """Which of the records that are due to list."""

    show = fields.String(load_default="all", validate=validate.OneOf([*SHOWN]))


@blueprint.route("/retention")
@needs(Action.RETENTION_READ)
@blueprint.list_response_schema(DueRecordResponseSchema())
@blueprint.query_params(DueQuerySchema())
def list_due(query: ListRequest) -> Page[DueRecord]:
    """List the records that are due: those of your clients; an admin reads all.

    A page may have fewer records than asked for, even none, while there is a next one.
    """
    return queries.list_due(current_actor(), query.filters["show"], query.cursor, query.limit)
