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

pytestmark = pytest.mark.both


def exports():
    return db.session.scalar(sa.select(sa.func.count()).select_from(Export))


def download(desk, path):
    # The whole answer is read within the request, as a server would write it out.
    answer = desk.browser.get(path, buffered=True)
    assert answer.status_code == 200
    return answer


def test_an_admin_makes_a_report_and_fetches_it(app, team, admin):
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


def test_the_file_is_read_from_todays_records(team, admin):
    with transaction():
        export_id = create_export(team["admin"], ReportFilter(), "csv")
    before = download(admin, f"/reports/{export_id}").data
    made = builders.case(team["coach"])
    after = download(admin, f"/reports/{export_id}").data
    assert made.number.encode() not in before
    assert made.number.encode() in after


@pytest.mark.pdf
def test_a_pdf_comes_as_a_pdf(team, admin):
    with transaction():
        export_id = create_export(team["admin"], ReportFilter(), "pdf")
    file = download(admin, f"/reports/{export_id}")
    assert file.mimetype == "application/pdf"
    assert file.data.startswith(b"%PDF-1.7")


@pytest.mark.parametrize("who", ["coach", "supervisor"])
def test_nobody_else_exports(app, team, who):
    with transaction():
        export_id = create_export(team["admin"], ReportFilter(), "csv")
    desk = StaffBrowser(app, team[who])
    assert desk.get("/reports").status_code == 403
    assert desk.get(f"/reports/{export_id}").status_code == 403
    assert desk.post("/reports", desk.token | {"format": "csv", "idempotency_key": "k"}).status_code == 403
    assert exports() == 1


def test_an_unknown_report_is_not_there(admin):
    assert admin.get(f"/reports/{new_id()}").status_code == 404


def test_a_form_sent_twice_makes_one_report(admin):
    form = admin.form("/reports")
    for _ in range(2):
        assert admin.post("/reports", form.fields).status_code == 303
    assert exports() == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"format": "xls"}, "Must be one of"),
        ({"since": "2026-02-30"}, "Not a valid date"),
        ({"since": "2026-02-02", "until": "2026-02-01"}, "The last day is before the first day."),
        ({"names": "yes"}, "Unknown field."),
    ],
)
def test_a_wrong_answer_keeps_the_others(admin, wrong, said):
    answer = admin.send("/reports", stage="repair", **wrong)
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    assert said in page
    assert '<option value="repair" selected>' in page
    assert exports() == 0


def test_a_form_without_its_key_makes_nothing(admin):
    answer = admin.send("/reports", idempotency_key=None)
    assert answer.status_code == 422
    assert exports() == 0


def test_the_page_asks_the_same_of_the_database_for_one_report_and_for_thirty(team, admin):
    def seen():
        with Statements() as asked:
            admin.text("/reports")
        return len(asked.seen)

    with transaction():
        create_export(team["admin"], ReportFilter(), "csv")
    one = seen()
    with transaction():
        for _ in range(30):
            create_export(team["admin"], ReportFilter(), "csv")
    assert seen() == one
    assert 'rel="next"' in admin.text("/reports")
