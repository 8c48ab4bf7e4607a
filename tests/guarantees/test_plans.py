"""The caseload is asked for by index alone, whoever asks, however deep, on both databases."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.domain.cases.queries import CaseFilter, get_case_context, list_cases
from caseapp.domain.clients.queries import require_visible_client
from tests.bench import rows

pytestmark = pytest.mark.both(every_set=True)

# PostgreSQL rightly reads a small table whole, so this one is not small.
CASES = 12_000
OWN = 40
TABLES = ("coaching_case", "care_team", "client", "note")
# A supervisor's first page walks this index from its newest end and stops after one page.
WALK = "SCAN coaching_case USING INDEX ix_coaching_case_opened"


def statements(ask):
    """Run `ask` and give what it sent to the database."""
    sent = []

    def note(_connection, _cursor, statement, parameters, _context, _many):
        if statement.startswith(("SELECT", "WITH")):
            sent.append((statement, parameters))

    sa.event.listen(db.engine, "before_cursor_execute", note)
    try:
        ask()
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", note)
        db.session.rollback()
    return sent


def plan_of(statement, parameters):
    how = "EXPLAIN QUERY PLAN " if db.engine.dialect.name == "sqlite" else "EXPLAIN "
    with db.engine.connect() as connection:
        return [row[-1] for row in connection.exec_driver_sql(how + statement, parameters)]


def scans(plan):
    """Name the tables that a plan reads from one end to the other."""
    wanted = re.compile(rf"\b(SCAN|Seq Scan on) ({'|'.join(TABLES)})\b")
    return [line.strip() for line in plan if wanted.search(line) and line != WALK]


@pytest.mark.slow
def test_case_list_and_single_record_scan_no_table(app):
    filled = rows.fill(CASES, OWN)
    asked = [
        *(
            (who, CaseFilter(), pages)
            for who in (filled.coach, filled.supervisor)
            for pages in (0, 2)
        ),
        (filled.coach, CaseFilter(stage="repair"), 0),
        (filled.coach, CaseFilter(status="open"), 0),
        (filled.coach, CaseFilter(hold="any"), 0),
    ]
    for actor, wanted, pages in asked:
        cursor = None
        for _ in range(pages):
            cursor = list_cases(actor, wanted, cursor, 10).next
        (sent,) = statements(lambda: list_cases(actor, wanted, cursor, 10))  # noqa: B023 - run at once
        plan = plan_of(*sent)
        assert plan
        assert scans(plan) == [], f"{actor.role}, {wanted}, after {pages}:\n" + "\n".join(plan)
    case = list_cases(filled.supervisor, CaseFilter(), None, 1).items[0]
    for ask in (
        lambda who: get_case_context(who, case.id),
        lambda who: require_visible_client(who, case.client_id),
    ):
        for sent in statements(lambda: ask(filled.supervisor)):  # noqa: B023 - run at once
            plan = plan_of(*sent)
            gathered = [
                line for line in plan if "care_team USING" in line and "client_id" not in line
            ]
            assert scans(plan) == gathered == [], "\n".join(plan)


def test_coach_and_supervisor_queries_return_the_same_cases(app):
    """A coach's cases are gathered, a supervisor's are walked to: page by page both give them all, newest first."""
    filled = rows.fill(1000, OWN)
    for actor, number in ((filled.coach, OWN), (filled.supervisor, 1000)):
        found, cursor = [], None
        while True:
            page = list_cases(actor, CaseFilter(), cursor, 200)
            found += page.items
            cursor = page.next
            if cursor is None:
                break
        assert len({item.id for item in found}) == len(found) == number
        assert found == sorted(found, key=lambda item: (item.opened_at, item.id), reverse=True)
