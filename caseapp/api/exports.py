"""API for exports of the case report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, stream_with_context

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.reports import operations, queries
from caseapp.domain.reports.schemas import (
    ExportRecord,
    ExportResponseSchema,
    ExportSchema,
    NewExport,
)
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "exports", "Case reports: coded fields for the whole practice, without names or free text."
)


@blueprint.route("/exports")
@needs(Action.REPORT_EXPORT)
@blueprint.list_response_schema(ExportResponseSchema())
@blueprint.query_params(ListQuerySchema())
def list_exports(query: ListRequest) -> Page[ExportRecord]:
    """List exports, newest first."""
    return queries.list_exports(current_actor(), query.cursor, query.limit)


@blueprint.route("/exports", "POST")
@needs(Action.REPORT_EXPORT)
@blueprint.response_schema(
    ExportResponseSchema(), 201, location=lambda export: f"/exports/{export['id']}"
)
@blueprint.request_schema(ExportSchema())
def create_export(body: NewExport) -> ExportRecord:
    """Create a report; the audit log keeps its filters and number of rows."""
    actor = current_actor()
    with transaction():
        export_id = run_api_once(lambda: operations.create_export(actor, body.filters, body.format))
    return queries.get_export(actor, export_id)


@blueprint.route("/exports/<uuid:export_id>")
@needs(Action.REPORT_EXPORT)
@blueprint.response_schema(ExportResponseSchema())
def get_export(export_id: UUID) -> ExportRecord:
    """Get one export."""
    return queries.get_export(current_actor(), export_id)


@blueprint.route("/exports/<uuid:export_id>/file")
@needs(Action.REPORT_EXPORT)
@blueprint.file_response("text/csv", "application/pdf")
def download_export(export_id: UUID) -> Response:
    """Download an export, built from the current records; every download is recorded."""
    actor = current_actor()
    chunks, media_type, file_name = queries.build_export_file(actor, export_id)
    response = Response(stream_with_context(chunks), mimetype=media_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return response
