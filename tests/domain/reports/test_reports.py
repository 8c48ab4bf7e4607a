import csv
import io
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, Invalid, NotFound
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.cases.models import Case
from caseapp.domain.cases.operations import close_case, move_case
from caseapp.domain.cases.queries import get_case, lock_case
from caseapp.domain.cases.schemas import CaseClosing, StageMove
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.contacts.operations import mark_contact_in_error, record_contact
from caseapp.domain.contacts.queries import count_missed, lock_contact
from caseapp.domain.contacts.schemas import NewContact
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.practice.queries import today
from caseapp.domain.reports import pdf_tables, queries
from caseapp.domain.reports.csv_table import COLUMNS, coach_code
from caseapp.domain.reports.operations import create_export
from caseapp.domain.reports.queries import (
    build_export_file,
    count_cases,
    list_exports,
    list_report_rows,
)
from caseapp.domain.reports.schemas import ExportSchema, ReportFilter
from caseapp.domain.staffing.denial_operations import deny_access
from caseapp.domain.staffing.denials import lock_access
from caseapp.domain.staffing.schemas import NewDenial
from caseapp.http.request_parsing import load
from tests.support import builders
from tests.support.staff_pages import Statements

pytestmark = [pytest.mark.both, pytest.mark.usefixtures("on_release_day")]

CANARY = "Zanzibar"
FACTS = {
    "age_band": "35_44",
    "stated_reasons": ["peace", "not_heard"],
    "children": 2,
    "gender": CANARY,
    "affair_disclosed": "spouse",
    "scenario": "does_not",
    "order": "protects_client",
    "order_until": "2031-07-09",
    "next_legal_date": "2032-08-11",
}


@pytest.fixture
def cast(team):
    return team


def export_rows(actor, filters=None):
    """Create a CSV export; return its rows as dicts, and its bytes."""
    with transaction():
        export_id = create_export(actor, filters or ReportFilter(), "csv")
    pieces, kind, _ = build_export_file(actor, export_id)
    body = b"".join(pieces)
    assert kind == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"), newline=""))), body


def closing(outcome="reunited"):
    return CaseClosing(outcome, "decision", "done", "", follow_up_consent=False, follow_up_on=None)


def close(actor, made, **changed):
    with transaction():
        version = get_case(actor, made.case_id).version
        close_case(actor, lock_case(actor, made.case_id), closing(**changed), version)


def test_report_row_has_only_coded_facts(cast):
    made = builders.case(
        cast["coach"], f"Ines {CANARY}", FACTS, partner_name=f"Paul {CANARY}", goal="apart_well"
    )
    builders.screen(
        cast["coach"], made.client_id, sleep="concern", self_harm="watch", comment=CANARY
    )
    [row], body = export_rows(cast["admin"])
    assert list(row) == list(COLUMNS)
    assert row["case_number"] == made.number
    assert row["coach"] == coach_code(cast["coach"].id)
    assert (row["age_band"], row["stated_reasons"], row["children"]) == (
        "35_44",
        "peace not_heard",
        "2",
    )
    assert row["sleep_levels"] == f"{today()}:concern"
    assert (row["care_holds"], row["safety_holds"]) == ("1", "0")
    assert row["stage_history"] == f"{today()}:steady"
    text = body.decode()
    for hidden in (
        CANARY,
        "Ines",
        "Marta",
        "2031",
        "2032",
        "does_not",
        "protects_client",
        "self_harm",
    ):
        assert hidden not in text


def test_csv_file_follows_the_rfc(cast):
    builders.case(cast["coach"])
    _, body = export_rows(cast["admin"])
    assert body.startswith(b"\xef\xbb\xbfcase_number,")
    assert body.endswith(b"\r\n")
    assert body.count(b"\n") == body.count(b"\r\n") == 2


@pytest.mark.slow
def test_case_open_on_any_day_of_the_period_is_counted(cast):
    coach, day = cast["coach"], today()
    with at(now() - timedelta(days=40)):
        old = builders.case(coach)
        builders.screen(coach, old.client_id)
    with at(now() - timedelta(days=30)):
        close(coach, old)
    new = builders.case(coach)

    def numbers(**filters):
        rows, _ = export_rows(cast["admin"], ReportFilter(**filters))
        assert count_cases(cast["admin"], ReportFilter(**filters)) == len(rows)
        return [row["case_number"] for row in rows]

    assert numbers() == [new.number, old.number]
    assert numbers(since=day - timedelta(days=20)) == [new.number]
    assert numbers(since=day - timedelta(days=30)) == [new.number, old.number]
    assert numbers(until=day - timedelta(days=1)) == [old.number]
    assert numbers(until=day - timedelta(days=41)) == []
    assert numbers(status="closed") == [old.number]
    assert numbers(stage="steady") == [new.number]
    assert numbers(coach=cast["coach2"].id) == []
    assert numbers(coach=coach.id, since=day, until=day) == [new.number]


def test_events_outside_the_case_are_not_counted(cast):
    coach = cast["coach"]
    with at(now() - timedelta(days=40)):
        first = builders.case(coach)
        builders.screen(coach, first.client_id, eating="watch")
        builders.screen(coach, first.client_id)
    with at(now() - timedelta(days=39)):
        close(coach, first)
    builders.screen(coach, first.client_id, sleep="concern")
    [row], _ = export_rows(cast["admin"])
    assert row["care_holds"] == "0"
    assert row["sleep_levels"].count("concern") == 0
    assert row["eating_levels"].split()[0].endswith(":watch")
    assert (row["outcome"], row["close_reason"], row["final_screening"]) == (
        "reunited",
        "decision",
        "done",
    )


def test_stage_history_has_every_move(cast):
    made = builders.case(cast["coach"])
    builders.screen(cast["coach"], made.client_id)
    with transaction():
        version = get_case(cast["coach"], made.case_id).version
        move_case(
            cast["coach"],
            lock_case(cast["coach"], made.case_id),
            StageMove("close", "", {}),
            version,
        )
    [row], _ = export_rows(cast["admin"])
    day = today()
    assert row["stage_history"] == f"{day}:steady {day}:close"


def test_case_of_an_erased_client_is_counted(cast):
    made = builders.case(cast["coach"], facts=FACTS)
    with transaction() as session:
        session.execute(sa.delete(ClientKey).where(ClientKey.client_id == made.client_id))
    [row], _ = export_rows(cast["admin"])
    assert row["case_number"] == made.number
    assert row["age_band"] == ""


def test_export_as_coach_or_supervisor_is_forbidden(cast):
    with transaction():
        export_id = create_export(cast["admin"], ReportFilter(), "csv")
    for who in ("coach", "coach2", "supervisor"):
        with pytest.raises(Forbidden), transaction():
            create_export(cast[who], ReportFilter(), "csv")
        with pytest.raises(Forbidden):
            build_export_file(cast[who], export_id)
        with pytest.raises(Forbidden):
            list_exports(cast[who], None, 5)


def test_unknown_export_is_not_found(cast):
    with pytest.raises(NotFound):
        build_export_file(cast["admin"], new_id())


def test_export_audit_event_has_filters_and_rows(cast):
    builders.case(cast["coach"])
    with transaction():
        export_id = create_export(
            cast["admin"], ReportFilter(stage="steady", since=date(2026, 1, 1)), "pdf"
        )
    found = db.session.scalars(
        sa.select(AuditEvent).where(AuditEvent.action == Action.REPORT_EXPORT)
    ).one()
    assert found.object_id == export_id
    assert found.details == {"format": "pdf", "rows": 1, "stage": "steady", "since": "2026-01-01"}
    [shown] = list_exports(cast["admin"], None, 5).items
    assert shown.filters == ReportFilter(stage="steady", since=date(2026, 1, 1))


@pytest.mark.slow
def test_report_rows_take_six_statements_for_each_batch(cast, monkeypatch):
    for _ in range(7):
        builders.case(cast["coach"], facts=FACTS)

    client_ids = set(db.session.scalars(sa.select(ClientKey.client_id)))

    def statements(batch_size):
        monkeypatch.setattr(queries, "BATCH_SIZE", batch_size)
        with Statements() as asked:
            rows = list_report_rows(cast["admin"], ReportFilter(), client_ids)
            numbers = [row.number for row in rows]
        return numbers, len(asked.seen)

    whole, few = statements(500)
    pieces, more = statements(3)
    assert pieces == whole
    assert len(set(whole)) == 7
    # One for the practice, which is then kept, and seven for each piece.
    assert few == 1 + 7
    assert more == 3 * 7


def test_sessions_and_minutes_are_counted_by_signed_notes_in_the_period(cast):
    coach = cast["coach"]
    made = builders.case(coach)
    for days in (1, 9):
        builders.note(coach, made.case_id, days_ago=days)
    builders.draft(coach, made.case_id)
    [row] = export_rows(cast["admin"])[0]
    assert (row["sessions"], row["session_minutes"]) == ("2", "100")
    assert row["sessions_filed_unsigned"] == "0"
    [row] = export_rows(cast["admin"], ReportFilter(since=today() - timedelta(days=5)))[0]
    assert (row["sessions"], row["session_minutes"]) == ("1", "50")
    for given, told in (((0, 9), ""), ((7, 9), "7"), ((2, 9), pdf_tables.WITHHELD)):
        assert pdf_tables.format_filed(*given, to_share=True) == told
    assert pdf_tables.format_sessions(12, 600, 9, to_share=True) == "12 sessions with 600 minutes"
    for sessions, cases in ((4, 9), (12, 4)):
        told = pdf_tables.format_sessions(sessions, 600, cases, to_share=True)
        assert told == pdf_tables.WITHHELD
    assert pdf_tables.format_sessions(1, 50, 1, to_share=False) == "1 session with 50 minutes"


def test_no_shows_and_cancelled_sessions_are_counted_in_their_case_and_period(cast, monkeypatch):
    coach = cast["coach"]
    made = builders.case(coach)

    def add(kind, days):
        with transaction():
            method = "call" if kind == "contact" else None
            new = NewContact(kind, now() - timedelta(days=days), method)
            return record_contact(coach, lock_client(coach, made.client_id), new)

    with transaction() as session:
        opened = {"opened_at": now() - timedelta(days=15)}
        session.execute(sa.update(Case).where(Case.id == made.case_id).values(opened))
    for kind, days in (("no_show", 20), ("no_show", 9), ("no_show", 1), ("contact", 1)):
        add(kind, days)
    wrong = add("cancelled", 2)
    add("cancelled", 2)
    with transaction():
        mark_contact_in_error(coach, lock_contact(coach, wrong), "Somebody else’s.")
    [row] = export_rows(cast["admin"])[0]
    assert (row["no_shows"], row["cancelled_sessions"]) == ("2", "1")
    since = ReportFilter(since=today() - timedelta(days=5))
    [row] = export_rows(cast["admin"], since)[0]
    assert (row["no_shows"], row["cancelled_sessions"]) == ("1", "1")
    assert count_missed(made.client_id, now() - timedelta(days=15), None) == {
        "no_show": 2,
        "cancelled": 1,
    }
    rendered = []
    monkeypatch.setattr(queries, "render", lambda page, **_: rendered.append(page) or b"%PDF")
    with transaction():
        export_id = create_export(cast["admin"], ReportFilter(), "pdf")
    list(build_export_file(cast["admin"], export_id)[0])
    assert "no-shows 2, cancelled 1" in rendered[0]
    told = pdf_tables.format_missed(4, 12, 9, to_share=True)
    assert told == "no-shows withheld, cancelled 12"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({}, "format"),
        ({"format": "xls"}, "format"),
        ({"format": "csv", "since": "yesterday"}, "since"),
        ({"format": "csv", "since": "2026-02-01", "until": "2026-01-31"}, "until"),
        ({"format": "csv", "until": "9999-12-31"}, "until"),
        ({"format": "csv", "stage": "any"}, "stage"),
        ({"format": "csv", "status": "held"}, "status"),
        ({"format": "csv", "coach": "Marta"}, "coach"),
        ({"format": "csv", "names": "yes"}, "names"),
    ],
)
def test_invalid_export_names_its_field(wrong, field):
    with pytest.raises(Invalid) as refused:
        load(ExportSchema(), wrong)
    assert list(refused.value.fields) == [field]


def test_first_and_last_possible_days_are_accepted(cast):
    builders.case(cast["coach"])
    filters = load(
        ExportSchema(), {"format": "csv", "since": "0001-01-01", "until": "9999-12-30"}
    ).filters
    assert count_cases(operator(), filters) == 1


def test_clients_whom_an_admin_must_not_see_are_left_out(cast, monkeypatch):
    coach, admin = cast["coach"], cast["admin"]
    hidden, shown = builders.case(coach, "Ines Okafor"), builders.case(coach, "Maya Brandt")
    assert [row["case_number"] for row in export_rows(admin)[0]] == [shown.number, hidden.number]
    with transaction():
        denial = NewDenial(hidden.number, admin.id, "relative")
        deny_access(cast["supervisor"], lock_access(cast["supervisor"], hidden.number), denial)
    assert [row["case_number"] for row in export_rows(admin)[0]] == [shown.number]
    assert count_cases(admin, ReportFilter()) == 1
    assert len(export_rows(operator())[0]) == 2
    totals = []

    def total(count, **_more):
        totals.append(count)
        return str(count)

    monkeypatch.setattr(pdf_tables, "format_total", total)
    monkeypatch.setattr(queries, "render", lambda *_page, **_style: b"")
    for actor in (admin, operator()):
        with transaction():
            export_id = create_export(actor, ReportFilter(), "pdf")
        build_export_file(actor, export_id)
    assert totals == [1, 2]


def test_operator_can_export(cast):
    assert export_rows(operator())[0] == []
