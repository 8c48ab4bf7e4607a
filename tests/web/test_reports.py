import csv
import io

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.reports.models import Export
from caseapp.domain.reports.operations import create_export
from caseapp.domain.reports.schemas import ReportFilter
from tests.support import builders
from tests.support.staff_pages import StaffBrowser, Statements


def count_exports():
    return db.session.scalar(sa.select(sa.func.count()).select_from(Export))


def download(browser, path):
    form = browser.form("/reports", path)
    # Read the whole streamed body within the request, as a server would.
    answer = browser.browser.post(path, data=form.fields, buffered=True)
    assert answer.status_code == 200
    return answer


def test_admin_can_make_and_download_a_report(app, team, admin):
    made = builders.case(team["coach"], "Ines Okafor", {"age_band": "35_44"})
    assert "No reports yet." in admin.text("/reports")
    answer = admin.send("/reports", stage="steady", coach=str(team["coach"].id))
    assert answer.status_code == 303
    page = admin.text("/reports")
    assert "The report is ready." in page
    assert "Ade Bello" in page
    export_id = db.session.scalar(sa.select(Export.id))
    file = download(admin, f"/reports/{export_id}")
    assert file.mimetype == "text/csv"
    assert file.headers["Content-Disposition"].startswith('attachment; filename="report-')
    assert file.headers["Cache-Control"] == "no-store"
    [row] = csv.DictReader(io.StringIO(file.data.decode("utf-8-sig"), newline=""))
    assert (row["case_number"], row["age_band"]) == (made.number, "35_44")
    assert b"Ines" not in file.data
    log = list_audit_events(team["admin"], AuditFilter(action=Action.REPORT_EXPORT), None, 9).items
    assert [entry.details.get("rows") for entry in log] == [None, 1]
    assert {entry.object_id for entry in log} == {export_id}


def test_download_is_built_from_current_records(team, admin):
    with transaction():
        export_id = create_export(team["admin"], ReportFilter(), "csv")
    before = download(admin, f"/reports/{export_id}").data
    made = builders.case(team["coach"])
    after = download(admin, f"/reports/{export_id}").data
    assert made.number.encode() not in before
    assert made.number.encode() in after


@pytest.mark.pdf
def test_pdf_export_downloads_as_pdf(team, admin):
    with transaction():
        export_id = create_export(team["admin"], ReportFilter(), "pdf")
    file = download(admin, f"/reports/{export_id}")
    assert file.mimetype == "application/pdf"
    assert file.data.startswith(b"%PDF-1.7")


@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_reports_as_coach_or_supervisor_are_403(app, team, who):
    with transaction():
        export_id = create_export(team["admin"], ReportFilter(), "csv")
    browser = StaffBrowser(app, team[who])
    assert browser.get("/reports").status_code == 403
    path = f"/reports/{export_id}"
    assert browser.post(path, browser.token | browser.key_for(path)).status_code == 403
    fields = browser.token | browser.key_for("/reports") | {"format": "csv"}
    assert browser.post("/reports", fields).status_code == 403
    assert count_exports() == 1


def test_unknown_report_is_404(admin):
    path = f"/reports/{new_id()}"
    assert admin.post(path, admin.token | admin.key_for(path)).status_code == 404


def test_report_form_sent_twice_makes_one_report(admin):
    form = admin.form("/reports")
    for _ in range(2):
        assert admin.post("/reports", form.fields).status_code == 303
    assert count_exports() == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"format": "xls"}, "Choose one of the options."),
        ({"since": "2026-02-30"}, "Enter a date."),
        ({"since": "2026-02-02", "until": "2026-02-01"}, "The last day is before the first day."),
        ({"names": "yes"}, "Unknown field."),
    ],
)
def test_invalid_report_form_keeps_other_input(admin, wrong, message):
    answer = admin.send("/reports", stage="repair", **wrong)
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    assert message in page
    assert '<option value="repair" selected>' in page
    assert count_exports() == 0


def test_report_form_without_its_key_is_invalid(admin):
    answer = admin.send("/reports", form_key=None)
    assert answer.status_code == 422
    assert count_exports() == 0


def test_report_page_statements_do_not_grow_with_reports(team, admin):
    def count_statements():
        with Statements() as asked:
            admin.text("/reports")
        return len(asked.seen)

    with transaction():
        create_export(team["admin"], ReportFilter(), "csv")
    one = count_statements()
    with transaction():
        for _ in range(30):
            create_export(team["admin"], ReportFilter(), "csv")
    assert count_statements() == one
    assert 'rel="next"' in admin.text("/reports")
