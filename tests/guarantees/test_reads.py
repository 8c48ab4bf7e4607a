"""Whoever sees anything of a client's is in the log, by whichever address, before they read a word (SEC-43)."""

from __future__ import annotations

import ast
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.core import reads, runtime, transaction, vault
from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.permissions import ACTIONS_BY_ROLE, Action
from caseapp.core.sessions import Session
from caseapp.core.settings import ROOT
from caseapp.core.transaction import transaction as open_transaction
from caseapp.domain.audit import operations
from caseapp.domain.audit.models import AuditEvent, AuditEventClient
from caseapp.domain.audit.operations import hash_ids, reads_recorded, record_reads
from caseapp.domain.auth.portal_codes import LINK_MAIL
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.models import Client
from caseapp.domain.keys import queries as keys
from caseapp.domain.keys.queries import get_client_key
from tests.guarantees import sample_data as w
from tests.support import builders, staff
from tests.support.owner import owner_connection
from tests.support.staff_pages import forms_in

pytestmark = pytest.mark.both

# Longer than the quarter of an hour in which a second look at the same record is no new entry.
APART = timedelta(minutes=16)
READERS = ("coach", "supervisor", "admin", "client")


@contextmanager
def apart():
    """Be so much later, in sessions that were used in between; yield the moment."""
    moment = now() + APART
    with open_transaction() as session:
        session.execute(sa.update(Session).values(last_seen_at=moment - timedelta(minutes=2)))
    with at(moment):
        yield moment


@pytest.fixture
def world(world):
    coach = world.actors["coach"]
    builders.screen(coach, world.own["client_id"])
    # Somebody whom the supervisor sees as a possible conflict, and whom the coach doesn't.
    same_name = builders.case(world.actors["coach2"], "Ines Okafor")
    assert same_name
    with open_transaction() as session:
        for number, client in enumerate(session.scalars(sa.select(Client)), 1):
            client.name = f"Person{number:03} Of The Test"
    return world


@pytest.fixture
def opened(monkeypatch):
    """Collect whose keys are opened, at the only place that opens one."""
    found = set()

    def unwrap_client_key(client_id, wrapped):
        found.add(client_id)
        return vault.unwrap_client_key(client_id, wrapped)

    monkeypatch.setattr(keys, "unwrap_client_key", unwrap_client_key)
    return found


def named_in(request_id):
    """Return the clients whom the log names as read in a request."""
    db.session.rollback()
    events = sa.select(AuditEvent.id).where(AuditEvent.request_id == request_id)
    about = sa.select(AuditEvent.client_id).where(
        AuditEvent.request_id == request_id, AuditEvent.client_id.is_not(None)
    )
    listed = sa.select(AuditEventClient.client_id).where(AuditEventClient.event_id.in_(events))
    return {*db.session.scalars(about), *db.session.scalars(listed)}


def traces():
    """Return what betrays each client: their name, their id and the numbers and ids of their cases."""
    found = {
        row.id: {row.name, str(row.id), row.id.hex} for row in db.session.scalars(sa.select(Client))
    }
    for case in db.session.scalars(sa.select(Case)):
        found[case.client_id] |= {case.number, str(case.id)}
    db.session.rollback()
    return found


def readable(world):
    """Yield each address that answers GET, with everybody who may open it."""
    for route in w.routes(world.app):
        if route.method != "GET" or route.action is None:
            continue
        for who in READERS:
            portal = route.interface == "portal"
            role = world.actors[who].role if who in world.actors else None
            if portal == (role is None) and (portal or route.action in ACTIONS_BY_ROLE[role]):
                yield route, who


@pytest.mark.both(later=True)
@pytest.mark.pdf
@pytest.mark.slow
def test_every_answer_is_in_the_log_with_every_client_it_opened_or_shows(world, opened):
    silent, asked, with_clients, process_notes = [], 0, 0, []
    known, moment = traces(), now()
    # The client first: their session ends when it isn't used for long.
    for route, who in sorted(readable(world), key=lambda pair: pair[1] != "client"):
        moment += APART
        with at(moment):
            if route.interface == "staff":
                world.browsers[who] = world.app.test_client()
                staff.sign_in(world.browsers[who], world.actors[who])
            opened.clear()
            answer = w.send(world, route, who, world.values_for(who))
        asked += 1
        text = answer.get_data(as_text=True) if "pdf" not in answer.mimetype else ""
        shown = {
            client_id for client_id, words in known.items() if any(word in text for word in words)
        }
        if w.PROCESS_NOTE in text:
            process_notes.append((route.name, who))
        if who == "client":
            # Addresses of their own records aren't somebody else's.
            shown &= opened
        with_clients += bool(shown)
        missing = (opened | shown) - named_in(answer.headers["X-Request-Id"])
        if missing:
            silent.append((route.name, who, answer.status_code, len(missing)))
    assert asked > 100
    assert with_clients > 50
    assert silent == []
    # What the coach wrote for themselves is on their own page, and nowhere else for anybody.
    assert process_notes == [("GET /case/<string:number>/process-notes", "coach")]


@pytest.mark.slow
def test_only_one_function_opens_a_clients_key():
    """Whatever opens a key by another way would escape the log."""
    users = set()
    for path in (ROOT / "caseapp").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "caseapp.core.vault"
            for alias in node.names
        }
        if names & {"unwrap", "unwrap_key", "client_key_binding"}:
            users.add(path.relative_to(ROOT / "caseapp").as_posix())
    assert users == {"domain/keys/operations.py", "domain/keys/queries.py"}


@pytest.fixture
def writes(monkeypatch):
    """Count the transactions that write, and fail for a write outside of one."""
    begun = []

    def begin(session):
        begun.append(session)
        return original(session)

    def write_alone(write):
        # PostgreSQL commits a single statement by itself.
        if db.engine.dialect.name == "postgresql":
            begun.append(write)
        transaction.write_separately(write)

    original = transaction._begin_writing  # noqa: SLF001
    monkeypatch.setattr(transaction, "_begin_writing", begin)
    monkeypatch.setattr(operations, "write_separately", write_alone)

    def listen(_connection, _cursor, statement, *_rest):
        assert begun or not statement.startswith(("INSERT", "UPDATE", "DELETE")), statement

    sa.event.listen(db.engine, "before_cursor_execute", listen)
    yield begun
    sa.event.remove(db.engine, "before_cursor_execute", listen)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("endpoint", "who"),
    [
        ("cases.case_page", "coach"),
        ("cases.details_page", "supervisor"),
        ("cases.case_list", "coach"),
        ("today.today", "supervisor"),
        ("notes.note_page", "coach"),
        ("audit.event_list", "admin"),
        ("api_cases.get_case", "coach"),
        ("api_notes.list_notes", "coach"),
        ("portal_handouts.handout_page", "client"),
    ],
)
def test_first_read_is_one_transaction_with_the_session_and_what_else_it_writes(
    world, writes, endpoint, who
):
    (route,) = (
        route
        for route in w.routes(world.app)
        if route.rule.endpoint == endpoint and route.method == "GET"
    )
    # The session was last seen so long ago that this is written too.
    with apart():
        writes.clear()
        answer = w.send(world, route, who, world.values_for(who))
        assert answer.status_code == 200, answer.get_data(as_text=True)
        assert len(writes) == 1
        writes.clear()
        w.send(world, route, who, world.values_for(who))
        assert len(writes) == (endpoint == "audit.event_list")


@pytest.mark.slow
def test_nothing_leaves_when_the_read_cannot_be_recorded(world):
    """SEC-44: who can't be recorded reads nothing."""
    browser, number = world.browsers["coach"], world.own["number"]
    with owner_connection() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_event RENAME TO audit_event_gone")
    for path in (f"/case/{number}", "/cases", "/today"):
        if db.engine.dialect.name == "sqlite":
            answer = browser.get(path)
            assert answer.status_code == 503
            assert number not in answer.get_data(as_text=True)
        else:
            with pytest.raises(sa.exc.ProgrammingError):
                browser.get(path)


def test_record_can_not_be_opened_after_the_log_was_written(world):
    with reads.collecting() as found:
        reads.note_opened(UUID(int=1), "note", UUID(int=2))
        found.take()
        reads.note_opened(UUID(int=1), "note", UUID(int=3))
        with pytest.raises(reads.ReadTooLate):
            reads.note_opened(UUID(int=2), "note", UUID(int=4))


def test_refused_change_shows_the_record_and_so_is_a_read(world):
    """The page with the reasons shows the case; the log says that it was read, not that it was closed."""
    path, browser = f"/case/{world.own['number']}/close", world.browsers["coach"]
    form = forms_in(browser.get(path).get_data(as_text=True), path, path)[0]
    told = {"outcome": "reunited", "reason": "decision", "final_screening": "done"}
    with apart():
        answer = browser.post(path, data=form.fields | told)
    assert answer.status_code == 409
    db.session.rollback()
    found = db.session.execute(
        sa.select(AuditEvent.action, AuditEvent.outcome, AuditEvent.client_id).where(
            AuditEvent.request_id == answer.headers["X-Request-Id"]
        )
    ).all()
    assert sorted(map(tuple, found), key=str) == sorted(
        [
            (Action.CASE_READ, "done", world.own["client_id"]),
            (Action.CASE_CLOSE, "refused", None),
        ],
        key=str,
    )


def test_list_is_one_event_that_holds_a_hash_of_its_clients(world):
    start = now()
    for again in range(2):
        with at(start), apart():
            answer = world.browsers["coach"].get("/cases")
        event = find_event(answer)
        assert (event is None) == bool(again)
        if event is None:
            continue
        clients = tied_to(event)
        assert len(clients) > 1
        assert (event.action, event.object_kind, event.client_id) == (
            Action.CASE_READ,
            "list",
            None,
        )
        assert event.details == {"clients": len(clients), "sha256": hash_ids(clients)}
    # The list changed, so it is a new one.
    builders.case(world.actors["coach"])
    with at(start), apart():
        assert find_event(world.browsers["coach"].get("/cases")) is not None


@pytest.mark.slow
def test_every_download_of_a_report_is_an_event_with_the_clients_of_its_rows(world):
    path = f"/reports/{world.own['export_id']}"
    with apart():
        browser, answers = world.browsers["admin"], []
        for confirmed in ({"confirm_password": staff.PASSWORD}, {}, {}, {}):
            form = forms_in(browser.get("/reports").get_data(as_text=True), "/reports", path)[0]
            answers.append(browser.post(path, data=form.fields | confirmed))
        found = [find_event(answer) for answer in answers[1:]]
    everybody = set(db.session.scalars(sa.select(Case.client_id)))
    assert [tied_to(event) for event in found] == [everybody] * 3
    assert {event.object_id for event in found} == {world.own["export_id"]}


def test_log_of_a_client_finds_the_lists_that_showed_them(world):
    with apart():
        listed = find_event(world.browsers["coach"].get("/cases"))
        named = find_event(world.browsers["supervisor"].get(f"/case/{world.own['number']}"))
        path = f"/api/v1/audit?client={world.own['client_id']}&limit=200"
        token = {"Authorization": f"Bearer {world.tokens['admin']}"}
        answer = world.browsers["admin"].get(path, headers=token).get_json()
    assert {str(listed.id), str(named.id)} <= {item["id"] for item in answer["items"]}
    foreign = f"/api/v1/audit?client={world.foreign['client_id']}&action=case.read&limit=200"
    answer = world.browsers["admin"].get(foreign, headers=token).get_json()
    assert str(listed.id) not in {item["id"] for item in answer["items"]}


def find_event(answer):
    """Find the event of reading that a request left."""
    assert answer.status_code == 200
    db.session.rollback()
    request_id = answer.headers["X-Request-Id"]
    return db.session.scalar(sa.select(AuditEvent).where(AuditEvent.request_id == request_id))


def tied_to(event):
    found = sa.select(AuditEventClient.client_id).where(AuditEventClient.event_id == event.id)
    return set(db.session.scalars(found))


def test_background_work_records_whose_address_it_reads(world):
    """Whoever asked for the link isn't known; the worker opens the record to see whether email is safe."""
    client_id = world.own["client_id"]
    handler = runtime.current().outbox_handlers[LINK_MAIL]
    with at(now() + APART):
        handler(UUID(int=1), {"client": client_id.hex})
    db.session.rollback()
    event = db.session.scalar(
        sa.select(AuditEvent).where(
            AuditEvent.via == "job", AuditEvent.action == Action.CLIENT_READ
        )
    )
    assert (event.client_id, event.object_kind, event.outcome) == (client_id, "client", "done")


def test_failed_command_records_what_it_had_read(world):
    def read():
        with reads_recorded(operator()):
            get_client_key(world.own["client_id"])
            raise ConnectionError

    with at(now() + APART), pytest.raises(ConnectionError):
        read()
    event = db.session.scalar(
        sa.select(AuditEvent).where(
            AuditEvent.via == "cli", AuditEvent.action == Action.CLIENT_READ
        )
    )
    assert event.client_id == world.own["client_id"]


def test_list_without_a_reader_is_refused(world):
    with reads.collecting():
        reads.note_shown([world.own["client_id"]])
        with pytest.raises(RuntimeError, match="unknown"):
            record_reads(None)
