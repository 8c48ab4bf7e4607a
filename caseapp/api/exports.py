"""Case reports: coded fields of the whole practice, without names or free text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, stream_with_context

from caseapp.api.blueprint import ApiBlueprint, ListQuerySchema, ListRequest
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.reports.operations import create_export
from caseapp.domain.reports.queries import build_export_file, get_export, list_exports
from caseapp.domain.reports.schemas import ExportRecord, ExportSchema, ExportResponseSchema, NewExport
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

blueprint = ApiBlueprint(
    "exports", "Case reports: coded fields of the whole practice, without names or free text."
)


@blueprint.route("/exports")
@needs(Action.REPORT_EXPORT)
@blueprint.list_response_schema(ExportResponseSchema())
@blueprint.query_params(ListQuerySchema())
def export_list(query: ListRequest) -> Page[ExportRecord]:
    """List the exports that were made, newest first."""
    return list_exports(current_actor(), query.cursor, query.limit)


@blueprint.route("/exports", "POST")
@needs(Action.REPORT_EXPORT)
@blueprint.response_schema(ExportResponseSchema(), 201, location=lambda export: f"/exports/{export['id']}")
@blueprint.request_schema(ExportSchema())
def make(body: NewExport) -> ExportRecord:
    """Ask for a report; the log keeps its filters and its number of rows."""
    actor = current_actor()
    with transaction():
        export_id = run_api_once(lambda: create_export(actor, body.wanted, body.format))
    return get_export(actor, export_id)


@blueprint.route("/exports/<uuid:export_id>")
@needs(Action.REPORT_EXPORT)
@blueprint.response_schema(ExportResponseSchema())
def export(export_id: UUID) -> ExportRecord:
    """Show one export."""
    return get_export(current_actor(), export_id)


@blueprint.route("/exports/<uuid:export_id>/file")
@needs(Action.REPORT_EXPORT)
@blueprint.file_response("text/csv", "application/pdf")
def export_bytes(export_id: UUID) -> Response:
    """Download an export, made anew from today's records; every download is recorded."""
    actor = current_actor()
    pieces, kind, name = build_export_file(actor, export_id)
    record_read(actor, Action.REPORT_EXPORT, "export", export_id, None)
    answer = Response(stream_with_context(pieces), mimetype=kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
