"""Case reports: coded fields of the whole practice, without names or free text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Response, stream_with_context

from caseapp.api.blueprint import Door, ListQuery, Wanted
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.reports.operations import make_export
from caseapp.domain.reports.queries import export_file, export_shown, list_exports
from caseapp.domain.reports.schemas import ExportRecord, ExportSchema, ExportView, NewExport
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import api_once

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page

door = Door(
    "exports", "Case reports: coded fields of the whole practice, without names or free text."
)


@door.at("/exports")
@needs(Action.REPORT_EXPORT)
@door.lists(ExportView())
@door.asks(ListQuery())
def export_list(query: Wanted) -> Page[ExportRecord]:
    """List the exports that were made, newest first."""
    return list_exports(the_actor(), query.cursor, query.limit)


@door.at("/exports", "POST")
@needs(Action.REPORT_EXPORT)
@door.gives(ExportView(), 201, at=lambda export: f"/exports/{export['id']}")
@door.takes(ExportSchema())
def make(body: NewExport) -> ExportRecord:
    """Ask for a report; the log keeps its filters and its number of rows."""
    actor = the_actor()
    with transaction():
        export_id = api_once(lambda: make_export(actor, body.wanted, body.format))
    return export_shown(actor, export_id)


@door.at("/exports/<uuid:export_id>")
@needs(Action.REPORT_EXPORT)
@door.gives(ExportView())
def export(export_id: UUID) -> ExportRecord:
    """Show one export."""
    return export_shown(the_actor(), export_id)


@door.at("/exports/<uuid:export_id>/file")
@needs(Action.REPORT_EXPORT)
@door.gives_file("text/csv", "application/pdf")
def export_bytes(export_id: UUID) -> Response:
    """Download an export, made anew from today's records; every download is recorded."""
    actor = the_actor()
    pieces, kind, name = export_file(actor, export_id)
    record_read(actor, Action.REPORT_EXPORT, "export", export_id, None)
    answer = Response(stream_with_context(pieces), mimetype=kind)
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
