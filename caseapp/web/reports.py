"""Pages for case reports: make a report, list the exports, download one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, render_template, request, stream_with_context, url_for

from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.cases.stages import stages
from caseapp.domain.reports.codes import FORMATS
from caseapp.domain.reports.csv_table import coach_code
from caseapp.domain.reports.operations import create_export
from caseapp.domain.reports.queries import build_export_file, list_exports
from caseapp.domain.reports.schemas import STATUSES, ExportSchema, NewExport
from caseapp.domain.users.queries import list_users
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.guard import current_actor

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("reports", __name__)

reports = FormPage(blueprint, "/reports", Action.REPORT_EXPORT, lambda: None)


@reports.show
def report_list(_view: None, forms: Forms) -> str:
    """Show the form for a report and the list of exports."""
    staff = list_users()
    coaches = {
        str(person.id): f"{person.name} ({coach_code(person.id)})"
        for person in staff
        if person.role != "admin"
    }
    return render_template(
        "reports/list.html",
        forms=forms,
        page=list_exports(current_actor(), request.args.get("cursor"), PAGE_SIZE),
        formats=FORMATS,
        statuses=STATUSES,
        stage_titles={stage.id: stage.title for stage in stages()},
        coaches=coaches,
        staff_names={str(person.id): person.name for person in staff},
    )


@reports.form(Action.REPORT_EXPORT, Body(ExportSchema, NewExport), lock=no_lock)
def create_report(_locked: None, new: NewExport, sent: Sent) -> Done:
    """Create an export."""
    create_export(sent.actor, new.filters, new.format)
    return Done(url_for("reports.report_list"), "export_ready")


@reports.post(
    Action.REPORT_EXPORT,
    BUTTON,
    rule="/reports/<uuid:export_id>",
    refused="Not downloaded",
    sends_file=True,
)
def download(_body: dict[str, Any], sent: Sent) -> ResponseReturnValue:
    """Download an export, built from the current records; every download is recorded."""
    chunks, media_type, file_name = build_export_file(sent.actor, sent.args["export_id"])
    response = Response(stream_with_context(chunks), mimetype=media_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return response
