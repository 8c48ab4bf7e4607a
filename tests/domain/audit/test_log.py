from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.core import reads
from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden
from caseapp.core.permissions import Action
from caseapp.core.sessions import begin_session
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import assign_handout, withdraw
from caseapp.domain.assignments.queries import lock_assignment
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.audit.operations import record, record_reads, record_refusal
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.auth.identities import (
    Vouched,
    link_identity,
    unlink_identity,
    unlink_identity_of,
)
from caseapp.domain.auth.operations import (
    add_user,
    create_token,
    end_own_session,
    end_sessions_of,
    make_own_token,
    reset_password,
)
from caseapp.domain.auth.password_links import make_reset_code
from caseapp.domain.auth.passwords import change_password, check_change
from caseapp.domain.auth.portal_codes import invite_client
from caseapp.domain.auth.provider_sign_in import sign_in as sign_in_at_provider
from caseapp.domain.auth.queries import find_staff_session
from caseapp.domain.auth.schemas import NewToken, PasswordChange
from caseapp.domain.auth.second_factor import (
    make_recovery_codes,
    remove_app,
    remove_second_factor_of,
    set_up,
)
from caseapp.domain.cases.operations import (
    close_case,
    move_case,
    open_case,
    reopen_case,
    update_case,
)
from caseapp.domain.cases.queries import lock_case
from caseapp.domain.cases.schemas import CaseClosing, CaseDetails, StageMove
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.operations import confirm_contact, create_client, update_client
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.consent.operations import record_consent
from caseapp.domain.consent.schemas import NewConsent
from caseapp.domain.contacts.operations import record_contact
from caseapp.domain.contacts.schemas import NewContact
from caseapp.domain.disclosures.operations import record_disclosure
from caseapp.domain.disclosures.schemas import NewDisclosure
from caseapp.domain.erasure.operations import request_erasure
from caseapp.domain.erasure.queries import lock_record_of
from caseapp.domain.followups.operations import complete_followup, create_followup
from caseapp.domain.followups.queries import lock_followup
from caseapp.domain.followups.schemas import NewFollowUp
from caseapp.domain.legal_holds.operations import place_legal_hold
from caseapp.domain.legal_holds.queries import lock_legal_holds
from caseapp.domain.merges.operations import merge_clients
from caseapp.domain.merges.queries import lock_merge
from caseapp.domain.merges.schemas import NewMerge
from caseapp.domain.notes.amendment_operations import record_request
from caseapp.domain.notes.amendment_schemas import NewAmendmentRequest
from caseapp.domain.notes.cosign_operations import cosign_note, return_note
from caseapp.domain.notes.cosign_queries import get_review
from caseapp.domain.notes.left_draft_operations import file_draft
from caseapp.domain.notes.left_draft_queries import lock_left_draft
from caseapp.domain.notes.move_operations import move_note
from caseapp.domain.notes.move_queries import lock_note_move
from caseapp.domain.notes.operations import add_addendum, discard_draft, sign_note
from caseapp.domain.notes.queries import get_note, lock_note
from caseapp.domain.notes.schemas import NewAddendum, NewNoteMove
from caseapp.domain.practice.operations import add_help_line, confirm_help_lines
from caseapp.domain.practice.queries import today
from caseapp.domain.practice.schemas import NewHelpLine
from caseapp.domain.reports.operations import create_export
from caseapp.domain.reports.schemas import ReportFilter
from caseapp.domain.screening.hold_operations import release_hold
from caseapp.domain.screening.operations import clear_flag, record_screening, set_manual_flag
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.queries import list_flags, list_holds, lock_hold
from caseapp.domain.screening.schemas import NewScreening
from caseapp.domain.staffing.members import (
    change_role,
    invite_member,
    set_cosignature,
    update_member,
)
from caseapp.domain.staffing.operations import disable_member
from caseapp.domain.staffing.queries import lock_member
from caseapp.domain.staffing.schemas import MemberDetails, NewMember
from tests.guarantees.sample_data import digest
from tests.support import builders, staff
from tests.support.concurrency import run_concurrently
from tests.support.followups import complete_all, result_for
from tests.support.owner import owner_connection
from tests.support.staff_pages import StaffBrowser

pytestmark = pytest.mark.both

NOON = datetime(2026, 5, 14, 12, tzinfo=UTC)
CLIENT = UUID(int=1)
NONE = {item.key: 0 for item in ITEMS}
NO = False


def count(**where):
    db.session.rollback()
    query = sa.select(sa.func.count()).select_from(AuditEvent).filter_by(**where)
    return db.session.scalar(query)


# Reads


def read(actor, object_id=CLIENT, action=Action.CLIENT_READ):
    with reads.collecting():
        reads.note_opened(CLIENT, "client", object_id)
        record_reads(actor, action)


def test_read_is_recorded_once_per_quarter_hour(team):
    for minute, expected in ((0, 1), (7, 1), (14, 1), (15, 2), (29, 2), (30, 3)):
        with at(NOON + timedelta(minutes=minute)):
            read(team["coach"])
        assert count(action="client.read") == expected, minute


def test_reads_are_recorded_per_actor_record_and_action(team):
    with at(NOON):
        for _ in range(2):
            read(team["coach"])
            read(team["supervisor"])
            read(team["coach"], UUID(int=2))
            read(team["coach"], action=Action.CASE_READ)
    assert count() == 4 + 4


def test_simultaneous_reads_are_recorded_once(team, app):
    def one(_number):
        with at(NOON):
            read(team["coach"])

    assert run_concurrently(app, 8, one) == [None] * 8
    assert count(action="client.read") == 1


def test_recording_a_read_keeps_loaded_entities(team):
    made = builders.case(team["coach"])
    loaded = db.session.get(Client, made.client_id)
    name = loaded.name
    read(team["coach"], made.client_id)
    assert sa.inspect(loaded).unloaded == set()
    assert loaded.name == name


# Changes


def confirm(actor, client):
    confirm_contact(actor, client, client.record.version)


def changes(team):
    """Make ready one of each change; each is a name of the entry it must leave and a call."""
    coach, supervisor, admin = team["coach"], team["supervisor"], team["admin"]
    start = now() - timedelta(days=20)
    with at(start):
        made = builders.case(coach)
        held = builders.case(coach)
        closed = builders.case(coach)
        moving, ending = builders.case(coach), builders.case(coach)
        builders.screen(coach, held.client_id, self_harm="concern")
        bare, apart = builders.client(coach), builders.client(coach)
        twins = [builders.client(coach, "Zita Rang", agreed=True) for _ in range(2)]
    with at(start + timedelta(days=10)):
        complete_all(coach, held.client_id)
    for case in (made, held, moving):
        builders.screen(coach, case.client_id, days_ago=9)
        builders.screen(coach, case.client_id)
    staff.set_up_app(supervisor)
    with transaction():
        session_id = find_staff_session(begin_session("staff", supervisor.id)).actor.session_id
    wish = PasswordChange(staff.PASSWORD, "another good pass phrase")
    new_password = check_change(coach, wish)
    vouched = Vouched("https://id.example.org", "1", None, has_factor=False)
    with transaction():
        closing = CaseClosing("other", "decision", "not_possible", "Gone.", NO, None)
        close_case(coach, lock_case(coach, closed.case_id), closing, 1)
        task_id = create_followup(
            coach, lock_client(coach, made.client_id), NewFollowUp("Ring", NOON)
        )
        handout = assign_handout(
            coach, lock_case(coach, made.case_id), "help-right-now", message="", channel="in_person"
        )
        set_manual_flag(coach, lock_client(coach, made.client_id), "eating_disorder_flag")
    draft = builders.draft(coach, made.case_id)
    thrown = builders.draft(coach, made.case_id)
    signed = builders.note(coach, made.case_id)
    left = builders.left_draft(coach, staff.add("leaver", role="coach"), made.case_id)
    with builders.supervised(coach):
        waiting = builders.note(coach, made.case_id)
    hold = list_holds(supervisor, held.client_id)[0]
    flag = list_flags(supervisor, made.client_id)[0]
    evidence = {
        "two_supports_named": "Two friends.",
        "pause_described": "Counts to ten.",
        "practical_emergencies_listed": "All four.",
    }
    details = CaseDetails({"children": 2}, "together", None)
    db.session.rollback()
    return [
        (
            "client.create",
            lambda: create_client(coach, builders.details("Eva Blum"), coach_id=coach.id),
        ),
        (
            "client.edit",
            lambda: update_client(coach, lock_client(coach, bare), builders.details("Ada New"), 1),
        ),
        (
            "contact.confirm",
            lambda: confirm(coach, lock_client(coach, bare)),
        ),
        (
            "case.open",
            lambda: open_case(coach, lock_client(coach, bare), details, coach_id=coach.id),
        ),
        (
            "case.move",
            lambda: move_case(
                coach, lock_case(coach, moving.case_id), StageMove("understand", "", evidence), 1
            ),
        ),
        ("case.edit", lambda: update_case(coach, lock_case(coach, made.case_id), details, 1)),
        (
            "case.reopen",
            lambda: reopen_case(coach, lock_case(coach, closed.case_id), "She rang.", 2),
        ),
        ("case.close", lambda: close_case(coach, lock_case(coach, ending.case_id), closing, 1)),
        (
            "screening.record",
            lambda: record_screening(coach, lock_client(coach, bare), NewScreening(NONE)),
        ),
        (
            "safety.write",
            lambda: record_screening(
                coach, lock_client(coach, bare), NewScreening({**NONE, "sleep": 2})
            ),
        ),
        (
            "safety.write",
            lambda: release_hold(
                supervisor, lock_hold(supervisor, hold.id), "All is done.", hold.version
            ),
        ),
        (
            "contact.write",
            lambda: record_contact(coach, lock_client(coach, bare), NewContact("no_show")),
        ),
        (
            "consent.write",
            lambda: record_consent(
                coach, lock_client(coach, bare), NewConsent(NOON.date(), "written")
            ),
        ),
        (
            "disclosure.write",
            lambda: record_disclosure(
                coach,
                lock_client(coach, bare),
                NewDisclosure(NOON.date(), "The client", "Two notes.", "She asked."),
            ),
        ),
        (
            "erasure.request",
            lambda: request_erasure(coach, lock_record_of(coach, apart), "client"),
        ),
        (
            "legal_hold.manage",
            lambda: place_legal_hold(
                supervisor,
                lock_legal_holds(supervisor, closed.number),
                "court",
                today() + timedelta(days=9),
            ),
        ),
        ("safety.write", lambda: set_manual_flag(coach, lock_client(coach, bare), "contact_block")),
        (
            "safety.write",
            lambda: clear_flag(
                supervisor, lock_client(supervisor, flag.client_id), flag.id, "Talked it through."
            ),
        ),
        (
            "followup.write",
            lambda: create_followup(coach, lock_client(coach, bare), NewFollowUp("Ring", NOON)),
        ),
        (
            "followup.write",
            lambda: complete_followup(
                coach, lock_followup(coach, task_id), result_for("custom"), 1
            ),
        ),
        ("assignment.withdraw", lambda: withdraw(coach, lock_assignment(coach, handout), 1)),
        (
            "assignment.create",
            lambda: assign_handout(
                coach,
                lock_case(coach, made.case_id),
                "better-nights",
                message="",
                channel="in_person",
            ),
        ),
        ("note.sign", lambda: sign_note(coach, lock_note(coach, draft), 1)),
        (
            "note.amend",
            lambda: add_addendum(
                coach, lock_note(coach, signed), NewAddendum("addition", "She rang.")
            ),
        ),
        (
            "note.move",
            lambda: move_note(
                coach,
                lock_note_move(coach, signed, moving.number),
                NewNoteMove("Written for somebody else, Ring me."),
                get_note(coach, signed).version,
            ),
        ),
        (
            "client.merge",
            lambda: merge_clients(
                supervisor,
                lock_merge(supervisor, *twins),
                NewMerge("She told me herself.", despite_decision=True),
                1,
            ),
        ),
        (
            "cosignature.set",
            lambda: set_cosignature(supervisor, lock_member(coach.id), needed=True),
        ),
        (
            "note.return",
            lambda: return_note(
                supervisor, lock_note(supervisor, waiting), "Say what she thinks herself.", 2
            ),
        ),
        (
            "note.cosign",
            lambda: cosign_note(
                supervisor,
                lock_note(supervisor, waiting),
                get_review(supervisor, waiting).version,
            ),
        ),
        (
            "draft.file",
            lambda: file_draft(supervisor, lock_left_draft(supervisor, left), "All there is.", 1),
        ),
        (
            "amendment.write",
            lambda: record_request(
                coach,
                lock_note(coach, signed),
                NewAmendmentRequest(today(), "I never said that, Ring me."),
            ),
        ),
        ("note.write", lambda: discard_draft(coach, lock_note(coach, thrown), 1)),
        ("portal.invite", lambda: invite_client(coach, lock_client(coach, made.client_id))),
        ("practice.edit", lambda: confirm_help_lines(admin)),
        (
            "practice.edit",
            lambda: add_help_line(admin, NewHelpLine("dv", "Refuge", "01632 960123", "")),
        ),
        ("report.export", lambda: create_export(admin, ReportFilter(), "csv")),
        (
            "user.manage",
            lambda: add_user(admin, "new@practice.test", "New", "coach", staff.PASSWORD),
        ),
        (
            "user.manage",
            lambda: reset_password(admin, "coach2@practice.test", "another good pass phrase"),
        ),
        (
            "user.manage",
            lambda: update_member(
                admin, team["coach2"].id, MemberDetails("Jo", "jo@practice.test"), 1
            ),
        ),
        ("user.manage", lambda: make_reset_code(admin, team["supervisor"].id, "forgotten")),
        (
            "user.manage",
            lambda: change_role(admin, lock_member(team["coach2"].id), "supervisor", None, None),
        ),
        ("user.manage", lambda: disable_member(admin, lock_member(team["coach2"].id), None)),
        (
            "user.manage",
            lambda: invite_member(
                admin, NewMember("Invited", "invited@practice.test", "admin", None, "code")
            ),
        ),
        ("token.manage", lambda: create_token(admin, "coach@practice.test", "laptop")),
        (
            "token.make",
            lambda: make_own_token(
                replace(supervisor, session_id=session_id),
                NewToken("laptop", ["clients:read"], 30),
            ),
        ),
        ("user.manage", lambda: end_sessions_of(admin, "coach@practice.test")),
        ("account.edit", lambda: end_own_session(supervisor, session_id)),
        ("account.edit", lambda: change_password(new_password)),
        ("factor.manage", lambda: set_up(supervisor, staff.APP_SECRET, staff.code())),
        ("factor.manage", lambda: make_recovery_codes(supervisor)),
        ("user.manage", lambda: remove_second_factor_of(admin, supervisor.id, "lost")),
        ("factor.manage", lambda: remove_app(supervisor)),
        ("identity.link", lambda: link_identity(supervisor, vouched)),
        ("sign_in", lambda: sign_in_at_provider(vouched)),
        ("identity.link", lambda: unlink_identity(supervisor)),
        ("identity.link", lambda: link_identity(supervisor, vouched)),
        ("user.manage", lambda: unlink_identity_of(admin, "supervisor@practice.test")),
    ]


@pytest.mark.slow
def test_every_change_is_recorded_without_its_text(team):
    missing = []
    for action, call in changes(team):
        before = count(action=action, outcome="done")
        with transaction():
            call()
        if count(action=action, outcome="done") <= before:
            missing.append(action)
    assert missing == []
    rows = db.session.execute(sa.select(AuditEvent.details)).scalars().all()
    for word in (
        "Ring",
        "Rang",
        "Okafor",
        "Blum",
        "friends",
        "Talked",
        "Refuge",
        "phrase",
        "herself",
    ):
        assert word not in str(rows)


def change_without_log(calls):
    """Make changes while the log can't be written; each has to leave everything as it was."""
    with owner_connection() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_event RENAME TO audit_event_gone")
    before = digest()
    for _action, call in calls:
        with pytest.raises(sa.exc.DBAPIError, match="audit_event"), transaction():
            call()
    assert digest() == before
    with owner_connection() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_event_gone RENAME TO audit_event")


@pytest.mark.slow
def test_change_fails_when_it_cannot_be_recorded(team):
    """SEC-44: the entry stands in the act's own transaction, so a log that fails takes the act with it."""
    calls = changes(team)
    linking = [action for action, _call in calls].index("identity.link")
    change_without_log(calls[: linking + 1])
    # Whoever signs in at the provider has to be linked.
    with transaction():
        calls[linking][1]()
    change_without_log(calls[linking + 1 :])


# Refusals


def test_refusal_is_recorded_after_the_rollback(team, app):
    made = builders.case(team["coach"])
    desk = StaffBrowser(app, team["coach2"])
    before = digest()
    assert desk.get(f"/case/{made.number}").status_code == 404
    assert desk.get("/settings").status_code == 403
    entry = db.session.scalars(
        sa.select(AuditEvent).where(AuditEvent.outcome == "refused").order_by(AuditEvent.id)
    ).all()
    assert [(row.action, row.details) for row in entry] == [
        ("case.read", {"reasons": ["not_found"]}),
        ("practice.edit", {"reasons": ["forbidden"]}),
    ]
    assert {row.actor_id for row in entry} == {team["coach2"].id}
    assert digest()["client"] == before["client"]


def test_broken_rule_is_recorded_without_its_reasons(team, app):
    """They could tell that there is a hold or a flag, and which."""
    made = builders.case(team["coach"])
    desk = StaffBrowser(app, team["coach"])
    answer = desk.send(
        f"/case/{made.number}/close",
        outcome=["reunited"],
        reason=["decision"],
        final_screening=["done"],
    )
    assert answer.status_code == 409
    entry = db.session.scalar(sa.select(AuditEvent).where(AuditEvent.outcome == "refused"))
    assert (entry.action, entry.details) == ("case.close", {"reasons": ["rule_broken"]})


def test_events_carry_the_request_id(team, app):
    made = builders.case(team["coach"])
    answer = StaffBrowser(app, team["coach"]).get(f"/case/{made.number}")
    db.session.rollback()
    found = db.session.scalars(sa.select(AuditEvent.request_id)).all()
    assert answer.headers["X-Request-Id"] in found


# The log itself


def test_only_admins_list_audit_events(team):
    for who in ("coach", "coach2", "supervisor"):
        with pytest.raises(Forbidden):
            list_audit_events(team[who], AuditFilter(), None, 10)
    assert list_audit_events(team["admin"], AuditFilter(), None, 10).items


def test_list_audit_events_filters_and_sorts_newest_first(team):
    with at(NOON), transaction():
        record(team["coach"], Action.CASE_EDIT, "case", UUID(int=3), client_id=CLIENT)
    with at(NOON + timedelta(seconds=1)):
        record_refusal(team["coach2"], "case.read", "cases case_page", UUID(int=3), {"reasons": []})

    def actions(**wanted):
        page = list_audit_events(team["admin"], AuditFilter(**wanted), None, 50)
        return [entry.action for entry in page.items]

    assert actions(outcome="refused") == ["case.read"]
    assert actions(action="case.edit") == ["case.edit"]
    assert actions(client_id=CLIENT) == ["case.edit"]
    assert actions(actor_id=team["coach2"].id) == ["case.read"]
    assert actions(actor_id=operator().id) == ["user.manage"] * 4
    assert len(actions()) == 6


def test_list_audit_events_pages_through_everything(team):
    with transaction():
        for _ in range(7):
            record(team["coach"], Action.CASE_EDIT, "case")
    seen, cursor = [], None
    while True:
        page = list_audit_events(team["admin"], AuditFilter(action="case.edit"), cursor, 3)
        seen += [entry.id for entry in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 7
