"""Lists and searches read their indexes alone, whoever asks, however deep, on both databases."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent, AuditEventClient
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.cases.queries import CaseFilter, get_case_context, list_cases
from caseapp.domain.clients import search
from caseapp.domain.clients.queries import get_client_record
from caseapp.domain.clients.search import list_clients
from caseapp.domain.screening.models import ViewerMark
from tests.bench import rows
from tests.support.depth import times
from tests.support.owner import analyze

pytestmark = pytest.mark.both(every_set=True)

# PostgreSQL rightly reads a small table whole, so this one is not small.
CASES = {"sqlite": 3_000, "postgresql": 12_000}
OWN = 40
MARKS = 2000
SEARCH_WORK = {"sqlite": 150, "postgresql": 5000}
"""The most that a search may read, as `count_work` counts it."""
TABLES = (
    "coaching_case",
    "care_team",
    "client",
    "client_name_word",
    "client_safety",
    "note",
    "safety_event",
    "viewer_mark",
)
# A supervisor's first page walks these indexes from their newest end and stops after one page.
WALKS = {
    "SCAN coaching_case USING INDEX ix_coaching_case_opened",
    "SCAN client USING COVERING INDEX ix_client_created",
    "SCAN client USING INDEX ix_client_created",
}


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
    return [line.strip() for line in plan if wanted.search(line) and line not in WALKS]


def count_work(sent):
    """Count what some statements read: pages on PostgreSQL, thousands of steps of its virtual machine on SQLite.

    Unlike the time that they take, it's the same on a busy machine.
    """
    with db.engine.connect() as connection:
        if db.engine.dialect.name == "postgresql":
            explain = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) "
            plans = [
                connection.exec_driver_sql(explain + statement, given).scalar()[0]["Plan"]
                for statement, given in sent
            ]
            return sum(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans)
        steps = []
        database = connection.connection.driver_connection
        database.set_progress_handler(lambda: steps.append(1), 1000)
        for statement, given in sent:
            connection.exec_driver_sql(statement, given).all()
        database.set_progress_handler(None, 0)
        return len(steps)


def mark_holds_of_others():
    """Store marks of other people's open holds, so that the table isn't too small for its index."""
    with transaction() as session:
        session.execute(
            sa.insert(ViewerMark),
            [
                {
                    "id": uuid4(),
                    "bucket": secrets.token_hex(16),
                    "week": 202601 + number % 52,
                    "sealed": secrets.token_bytes(64),
                }
                for number in range(MARKS)
            ],
        )
    analyze()


@pytest.mark.slow
@pytest.mark.soak
def test_lists_records_and_searches_read_their_indexes_and_little_else(app):
    """Also before PostgreSQL knows how common names are, or with a plan made for any name."""
    kind = db.engine.dialect.name
    # A practice with 100,000 cases takes minutes to fill, so that only `make soak` has one.
    filled = rows.fill(min(100_000, times(CASES[kind])), OWN)
    mark_holds_of_others()
    list_cases_and_open_one(filled)
    search_for_names(filled, "fresh")
    if kind == "postgresql":
        with db.engine.connect() as connection:
            connection.exec_driver_sql(
                "DELETE FROM pg_statistic WHERE starelid = CAST('client_name_word' AS regclass)"
            )
        search_for_names(filled, "none")


def list_cases_and_open_one(filled):
    """List cases as a coach and as a supervisor, with and without a filter, and open a case and its client."""
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
        for sent in statements(lambda: list_cases(actor, wanted, cursor, 10)):  # noqa: B023 - run at once
            plan = plan_of(*sent)
            assert plan
            assert scans(plan) == [], f"{actor.role}, {wanted}, {pages}:\n" + "\n".join(plan)
    case = list_cases(filled.supervisor, CaseFilter(), None, 1).items[0]
    for ask in (
        lambda who: get_case_context(who, case.id),
        lambda who: get_client_record(who, case.client_id),
    ):
        for sent in statements(lambda: ask(filled.supervisor)):  # noqa: B023 - run at once
            plan = plan_of(*sent)
            gathered = [
                line for line in plan if "care_team USING" in line and "client_id" not in line
            ]
            assert scans(plan) == gathered == [], "\n".join(plan)


@pytest.mark.slow
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


def name_of(actor):
    """Return a whole name, which one client has, in the middle of a caseload."""
    page = list_cases(actor, CaseFilter(), None, OWN // 2)
    return page.items[-1].client


def search_for_names(filled, statistics):
    """Search as a coach and as a supervisor, with `statistics` about the names, or before there are any."""
    rare = name_of(filled.coach).split()[1]
    for actor in (filled.coach, filled.supervisor):
        for q in (
            rare,
            "Ana",
            "a",
            "Garcia",
            f"Ana {rare}",
            "Nobody",
            "07700 900123",
            "C-2020-000009",
        ):
            for ask in (
                lambda: list_cases(actor, CaseFilter(q=q), None, 25),  # noqa: B023 - run at once
                lambda: list_clients(actor, q, None, 25),  # noqa: B023
            ):
                sent = statements(ask)
                *counts, found = map(plan_of, *zip(*sent, strict=True))
                plans = "\n".join([f"{actor.role}, {q}", *found])
                # Without statistics reading a small table whole looks cheap, and what is read tells that it is.
                assert statistics == "none" or scans(found) == [], plans
                # Whom the actor may see is counted up to a limit, so that it may be read in any order.
                assert not [line for plan in counts for line in scans(plan) if "word" in line]
                done = count_work(sent)
                assert done <= SEARCH_WORK[db.engine.dialect.name], f"{done}: {plans}"
        assert (
            rare.lower() in list_cases(actor, CaseFilter(q=rare), None, 25).items[0].client.lower()
        )


@pytest.mark.slow
def test_common_names_are_found_in_the_newest_cases_and_rare_ones_by_name(app, monkeypatch):
    """Both ways to search find the same, page by page."""
    filled = rows.fill(600, OWN)

    def find(actor, q, few):
        monkeypatch.setattr(search, "FEW_CLIENTS", few)
        found, cursor = [], None
        while True:
            page = list_cases(actor, CaseFilter(q=q), cursor, 7)
            found += [item.number for item in page.items]
            cursor = page.next
            if cursor is None:
                break
        listed = list_clients(actor, q, None, 600).items
        assert len(listed) == len(found)
        return found

    for actor, most in ((filled.coach, OWN), (filled.supervisor, 600)):
        for q in ("ana", "a", "ana smi", "zzz", "smith2"):
            walked = find(actor, q, 0)
            assert walked == find(actor, q, 1000)
            assert len(walked) <= most // 9
            assert bool(walked) == (q != "zzz") or actor is filled.coach


def log_of(clients, lists, each):
    """Insert lists into the log, each with so many of the clients, and as many reads of one client."""
    reader, start = new_id(), now() - timedelta(days=300)
    events, ties = [], []
    for number in range(2 * lists):
        moment, first = start + timedelta(minutes=number), number // 2
        event = {
            "id": new_id(),
            "occurred_at": moment,
            "actor_id": reader,
            "actor_role": "coach",
            "via": "web",
            "action": "case.read",
            "outcome": "done",
            "object_kind": "list" if number % 2 else "case",
            "object_id": None,
            "client_id": None if number % 2 else clients[first % len(clients)],
            "details": {},
            "request_id": "",
        }
        events.append(event)
        if number % 2:
            ties += [
                {
                    "client_id": clients[(first + place) % len(clients)],
                    "occurred_at": moment,
                    "event_id": event["id"],
                }
                for place in range(each)
            ]
    with transaction() as session:
        session.execute(sa.insert(AuditEvent), events)
        session.execute(sa.insert(AuditEventClient), ties)
    analyze()


@pytest.mark.slow
def test_who_saw_a_client_is_an_index_look_up(team):
    clients = [new_id() for _ in range(1000)]
    log_of(clients, 4000, 5)
    everything = AuditFilter(client_id=clients[7])
    for wanted in (
        everything,
        replace(everything, action="case.read"),
        replace(everything, outcome="done"),
    ):
        cursor, found = None, []
        while True:
            (sent,) = statements(lambda: list_audit_events(team["admin"], wanted, cursor, 25))  # noqa: B023
            plan = plan_of(*sent)
            assert not [
                line for line in plan if re.search(r"(SCAN|Seq Scan on) audit_event", line)
            ], "\n".join(plan)
            page = list_audit_events(team["admin"], wanted, cursor, 25)
            found += page.items
            cursor = page.next
            if cursor is None:
                break
        assert len({event.id for event in found}) == len(found) == 20 + 4
        assert found == sorted(found, key=lambda event: (event.occurred_at, event.id), reverse=True)
