import pytest

from caseapp.core.permissions import Action
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from tests.support import builders, staff

pytestmark = pytest.mark.both


def test_report_cases_prints_the_export_and_records_it(app, run_command):
    team = staff.team()
    made = builders.case(team["coach"], "Ines Okafor")
    builders.case(team["coach2"])
    done = run_command("report", "cases", "--coach", "coach@practice.test", "--stage", "steady")
    assert done.exit_code == 0, done.output
    lines = done.stdout_bytes.decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"{made.number},")
    written, entry = list_audit_events(
        team["admin"], AuditFilter(action=Action.REPORT_EXPORT), None, 9
    ).items
    assert (written.via, written.object_id) == ("cli", entry.object_id)
    assert written.details["clients"] == 1
    assert (entry.via, entry.details["rows"], entry.details["stage"]) == ("cli", 1, "steady")


@pytest.mark.pdf
def test_report_cases_writes_a_pdf_file(run_command, tmp_path):
    file = tmp_path / "report.pdf"
    done = run_command("report", "cases", "--format", "pdf", "-o", str(file))
    assert done.exit_code == 0, done.output
    assert file.read_bytes().startswith(b"%PDF-1.7")


def test_period_that_ends_before_it_begins_is_refused(run_command):
    done = run_command("report", "cases", "--since", "2026-02-02", "--until", "2026-02-01")
    assert done.exit_code == 1
    assert done.stderr.startswith("until: ")
    assert done.stderr.count("\n") == 1
