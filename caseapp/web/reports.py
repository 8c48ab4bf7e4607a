"""Pages for case reports: make a report, list the exports, download one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import (
    Blueprint,
    Response,
    redirect,
    render_template,
    request,
    stream_with_context,
    url_for,
)

from caseapp.core.errors import Invalid
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.stages import stages
from caseapp.domain.reports.codes import FORMATS
from caseapp.domain.reports.csv_table import coach_code
from caseapp.domain.reports.operations import create_export
from caseapp.domain.reports.queries import build_export_file, list_exports
from caseapp.domain.reports.schemas import STATUSES, ExportSchema
from caseapp.domain.users.queries import list_users
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import Form, read_form, submitted_form
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("reports", __name__)


@blueprint.get("/reports")
@needs(Action.REPORT_EXPORT)
def report_list() -> ResponseReturnValue:
    """Show the form for a report and the list of exports."""
    return _page(Form())


def _page(form: Form) -> str:
    staff = list_users()
    coaches = {
        str(person.id): f"{person.name} ({coach_code(person.id)})"
        for person in staff
        if person.role != "admin"
    }
    return render_template(
        "reports/list.html",
        form=form,
        page=list_exports(current_actor(), request.args.get("cursor"), PAGE_SIZE),
        formats=FORMATS,
        statuses=STATUSES,
        stage_titles={stage.id: stage.title for stage in stages()},
        coaches=coaches,
        staff_names={str(person.id): person.name for person in staff},
    )


@blueprint.post("/reports")
@needs(Action.REPORT_EXPORT)
def create_report() -> ResponseReturnValue:
    """Create an export."""
    try:
        new = read_form(ExportSchema())
    except Invalid as error:
        return _page(submitted_form(error)), 422
    with transaction():
        run_form_once(lambda: create_export(current_actor(), new.filters, new.format))
    flash("export_ready")
    return redirect(url_for("reports.report_list"), code=303)


@blueprint.get("/reports/<uuid:export_id>")
@needs(Action.REPORT_EXPORT)
def download(export_id: UUID) -> ResponseReturnValue:
    """Download an export, built from the current records; every download is recorded."""
    chunks, media_type, file_name = build_export_file(current_actor(), export_id)
    record_read(current_actor(), Action.REPORT_EXPORT, "export", export_id, None)
    response = Response(stream_with_context(chunks), mimetype=media_type)
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return response
