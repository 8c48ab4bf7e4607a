"""The record of a case on paper: everything of the timeline, the oldest first, and each signed note in full."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import pdf
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, RenderFailed, RuleBroken
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.audit.operations import reads_recorded
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.consent.operations import withdraw_consent
from caseapp.domain.consent.schemas import ConsentWithdrawal
from caseapp.domain.dashboard import record_printing
from caseapp.domain.dashboard.record_printing import make_record_pdf
from caseapp.domain.dashboard.timeline_filter import EVERYTHING, TimelineFilter
from caseapp.domain.notes.move_operations import move_note
from caseapp.domain.notes.move_queries import lock_note_move
from caseapp.domain.notes.operations import add_addendum
from caseapp.domain.notes.queries import lock_note
from caseapp.domain.notes.schemas import NewAddendum, NewNoteMove
from caseapp.domain.practice.queries import today
from tests.domain.notes.test_addenda import add
from tests.domain.notes.test_cosigning import COMMENT, cosign, send_back
from tests.domain.notes.test_signatures import NOTES, change, without_triggers
from tests.support import builders

pytestmark = [pytest.mark.both, pytest.mark.slow]

LONG = "She counted the chestnut trees. " * 20


@pytest.fixture
def printed(monkeypatch):
    """Return what is laid out as a PDF instead."""
    monkeypatch.setattr(pdf, "render", lambda html, **_more: html.encode())

    def make(actor, made, filters=EVERYTHING):
        db.session.rollback()
        with reads_recorded(actor):
            context = get_case_context(actor, made.case_id)
            return make_record_pdf(actor, context, filters).decode()

    return make


def test_record_holds_every_signed_note_in_full_and_no_draft(team, printed, monkeypatch):
    coach = team["coach"]
    made = builders.case(coach, "Ines Okafor")
    texts = {"data": f"{LONG}\nThe end ☃.", "assessment": "Calmer.", "plan": "Walk."}
    note = builders.note(coach, made.case_id, texts, days_ago=400)
    builders.note(coach, made.case_id, days_ago=1)
    builders.draft(coach, made.case_id, {"data": "Only a thought.", "assessment": "", "plan": ""})
    builders.screen(coach, made.client_id, sleep="concern", comment=LONG)
    with transaction():
        add_addendum(
            coach, lock_note(coach, note), NewAddendum("correction", "Five trees.", "Lost count.")
        )
    html = printed(coach, made)
    assert html.count(LONG.strip()) == 2
    assert "The end [U+2603]." in html
    assert "Some can’t be printed." in html
    for words in ("Ines Okafor", "Five trees.", "Reason: Lost count.", "Sleep: Concern", "SHA-256"):
        assert words in html
    assert "Only a thought." not in html
    assert html.index("The end") < html.index("Case opened") < html.index("Care hold opened")
    year = TimelineFilter(frozenset({"session"}), until=today() - timedelta(days=300))
    html = printed(coach, made, year)
    assert "The end" in html
    assert "Case opened" not in html
    assert "Slept six hours." not in html
    events = db.session.scalars(
        sa.select(AuditEvent)
        .where(AuditEvent.action == Action.RECORD_EXPORT.value, AuditEvent.object_kind == "record")
        .order_by(AuditEvent.occurred_at, AuditEvent.id)
    ).all()
    assert [event.details.get("until") for event in events] == [None, str(year.until)]
    assert events[1].details["kinds"] == ["session"]
    monkeypatch.setattr(record_printing, "MAX_NOTES", 1)
    with pytest.raises(RuleBroken) as caught:
        printed(coach, made)
    assert caught.value.reasons[0].code == "record_too_long"
    assert "The end" in printed(coach, made, year)


def test_record_holds_the_comments_of_returns_and_says_what_came_after_the_cosignature(
    team, printed
):
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.case(coach)
    with builders.supervised(coach):
        note, other = builders.note(coach, made.case_id), builders.note(coach, made.case_id)
    for returned in (note, other):
        send_back(supervisor, returned)
    add(coach, note, "addition", "Her sister was.")
    cosign(supervisor, note, 4)
    later = "after the co-signature, which doesn’t cover it"
    html = printed(coach, made)
    assert html.count(COMMENT) == 2
    assert html.count(f"by {supervisor.name}</h3>") == 2
    assert later not in html
    with at(now() + timedelta(minutes=1)):
        add(coach, note, "addition", "She rang again.")
    html = printed(supervisor, made)
    assert html.count(later) == 1
    assert html.index("Her sister was.") < html.index(later) < html.index("She rang again.")
    assert COMMENT not in printed(coach, made, TimelineFilter(frozenset({"contact"})))


def test_both_records_say_that_a_note_was_moved(team, printed):
    coach = team["coach"]
    made, between, there = (builders.case(coach) for _ in range(3))
    note_id = builders.note(coach, made.case_id)
    for case, reason in (
        (between, "It is of the next case."),
        (there, "I had the wrong one open."),
    ):
        with transaction():
            locked = lock_note_move(coach, note_id, case.number)
            move_note(coach, locked, NewNoteMove(reason), locked.note.row.version)
    for former in (made, between):
        html = printed(coach, former, TimelineFilter(frozenset({"session"})))
        assert html.count("Note moved to another record") == 1
        assert "Slept six hours." not in html
    html = printed(coach, there)
    assert html.count("Moved here from another record") == 1
    assert "I had the wrong one open." in html
    assert "Note moved to another record" not in html


def test_copy_that_could_not_be_made_is_not_in_the_log(team, printed, monkeypatch):
    made = builders.case(team["coach"])

    def fail(*_args, **_more):
        raise RenderFailed("This document is too long to print.", "too_big")

    monkeypatch.setattr(pdf, "render", fail)
    with pytest.raises(RenderFailed):
        printed(team["coach"], made)
    db.session.rollback()
    of_record = sa.select(AuditEvent.id).where(AuditEvent.action == Action.RECORD_EXPORT.value)
    assert db.session.scalars(of_record).all() == []


def test_signed_note_that_was_made_a_draft_in_the_database_is_in_the_record(team, printed):
    coach, made = team["coach"], builders.case(team["coach"])
    note = builders.note(coach, made.case_id, days_ago=1)
    without_triggers()
    change(NOTES, note, status="draft")
    for reader in (coach, team["supervisor"]):
        html = printed(reader, made)
        assert "Slept six hours." in html
        assert "This note was changed in the database after it was signed" in html
        assert "(Not as signed)" in html


def test_nobody_takes_a_copy_by_emergency_access_or_after_consent_was_withdrawn(team, printed):
    made, reader = builders.case(team["coach"]), team["coach2"]
    builders.read_in_emergency(reader, made.number)
    with pytest.raises(RuleBroken) as caught:
        printed(reader, made)
    assert caught.value.reasons[0].code == "emergency_access"
    with transaction():
        withdrawn = ConsentWithdrawal(today(), "spoken", "She wants no more of it.")
        withdraw_consent(team["coach"], lock_client(team["coach"], made.client_id), withdrawn)
    with pytest.raises(RuleBroken) as caught:
        printed(team["coach"], made)
    assert caught.value.reasons[0].code == "consent_withdrawn"
    with pytest.raises(Forbidden):
        make_record_pdf(team["admin"], get_case_context(team["coach"], made.case_id), EVERYTHING)
