"""What somebody left unsigned is read and filed by the supervisor responsible, as what it is (issue 12, point 5)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import Forbidden, NotFound, RuleBroken, Stale
from caseapp.core.reads import collecting
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.audit.operations import record_reads
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.dashboard.copy_contents import make_record
from caseapp.domain.dashboard.record_printing import get_contents, render_html
from caseapp.domain.dashboard.timeline_filter import TimelineFilter
from caseapp.domain.legal_holds.operations import place_legal_hold
from caseapp.domain.legal_holds.queries import lock_legal_holds
from caseapp.domain.merges.operations import merge_clients
from caseapp.domain.merges.queries import lock_merge
from caseapp.domain.merges.schemas import NewMerge
from caseapp.domain.models import METADATA
from caseapp.domain.notes.cosign_queries import list_reviews
from caseapp.domain.notes.left_draft_operations import file_draft
from caseapp.domain.notes.left_draft_queries import (
    get_left_draft,
    list_left_drafts,
    lock_left_draft,
)
from caseapp.domain.notes.models import NoteRevision
from caseapp.domain.notes.queries import get_note, list_case_notes
from caseapp.domain.notes.sessions import count_sessions, select_filed
from caseapp.domain.notes.unsigned import count_unsigned_notes
from caseapp.domain.practice.queries import today
from caseapp.domain.process_notes.operations import save_process_note
from caseapp.domain.process_notes.queries import get_process_note, lock_process_note
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.queries import get_screening
from caseapp.domain.users.models import User
from tests.domain.notes.test_addenda import add
from tests.domain.notes.test_signatures import NOTES, SIGNATURES, change, read, without_triggers
from tests.support import builders, staff

pytestmark = pytest.mark.slow
WHY = "She left in May, and this is all there is of that session."


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def supervisor(team):
    return team["supervisor"]


@pytest.fixture
def leaver(team):
    return staff.add("leaver", role="coach", supervisor="supervisor")


@pytest.fixture
def case(coach):
    return builders.case(coach, "Ines Okafor")


def file(actor, note_id, version=1, reason=WHY):
    with transaction():
        return file_draft(actor, lock_left_draft(actor, note_id), reason, version)


def set_account(person, disabled_at):
    with transaction() as session:
        session.execute(sa.update(User).where(User.id == person.id).values(disabled_at=disabled_at))


def listed(actor):
    db.session.rollback()
    return [draft.id for draft in list_left_drafts(actor, None, 9).items]


def test_draft_is_read_by_the_supervisor_responsible_once_its_author_has_left(
    team, coach, supervisor, leaver, case
):
    other = staff.add("supervisor2")
    note_id = builders.left_draft(coach, leaver, case.case_id)
    set_account(leaver, None)
    assert listed(supervisor) == []
    with pytest.raises(NotFound):
        get_left_draft(supervisor, note_id)
    with pytest.raises(NotFound):
        file(supervisor, note_id)
    set_account(leaver, now())
    assert listed(supervisor) == [note_id]
    assert listed(other) == []
    builders.read_in_emergency(other, case.number)
    for refused in (other, replace(supervisor, id=other.id)):
        with pytest.raises(NotFound):
            get_left_draft(refused, note_id)
        with pytest.raises(NotFound):
            file(refused, note_id)
    for who in ("coach", "coach2", "admin"):
        with pytest.raises(Forbidden):
            get_left_draft(team[who], note_id)
        with pytest.raises(Forbidden):
            file(team[who], note_id)
    db.session.rollback()
    with collecting():
        assert get_left_draft(supervisor, note_id).sections == builders.SECTIONS
        record_reads(supervisor)
    event = db.session.scalars(
        sa.select(AuditEvent).where(AuditEvent.object_id == note_id).order_by(AuditEvent.seq)
    ).all()[-1]
    assert (event.actor_id, event.client_id) == (supervisor.id, case.client_id)
    # It is still nowhere else, and a draft of the author's own stays theirs.
    with pytest.raises(NotFound):
        get_note(supervisor, note_id)
    assert list_case_notes(supervisor, case.case_id, None, 9).items == []


def test_filed_draft_is_a_note_of_its_author_that_says_it_was_never_signed(
    coach, supervisor, leaver, case
):
    with builders.supervised(leaver):
        note_id = builders.left_draft(coach, leaver, case.case_id, days_ago=9)
        with pytest.raises(Stale):
            file(supervisor, note_id, version=7)
        note = file(supervisor, note_id)
    assert (note.status, note.is_filed, note.is_as_signed) == ("signed", True, True)
    assert (note.author_id, note.author, note.is_late_entry) == (leaver.id, leaver.name, False)
    signature = note.signature
    assert (signature.signed_by, signature.role, signature.meaning) == (
        supervisor.id,
        "supervisor",
        "filed",
    )
    assert (note.filing.reason, note.filing.created_by) == (WHY, supervisor.id)
    assert note.later_addenda == ()
    assert (listed(supervisor), count_unsigned_notes(supervisor)) == ([], 0)
    assert list_reviews(supervisor, None, 9).items == []
    assert count_sessions([case.case_id])[case.case_id].sessions == 1
    assert db.session.scalars(select_filed(None, None)).all() == [case.case_id]
    event = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "draft.file")).one()
    assert event.details == {"sha256": note.sha256, "author": str(leaver.id)}
    with pytest.raises(NotFound):
        file(supervisor, note_id, version=2)
    # The team reads it and adds to it.
    added = add(coach, note_id, "correction", "She slept four hours.", "He told me so.")
    assert ([each.kind for each in added.later_addenda], added.is_as_signed) == (
        ["correction"],
        True,
    )
    # On paper, and in the client's copy.
    context = get_case_context(supervisor, case.case_id)
    contents = get_contents(supervisor, context, TimelineFilter())
    html = " ".join(render_html(supervisor, context, TimelineFilter(), contents).split())
    assert f"{leaver.name} wrote this draft and never signed it." in html
    assert f"{supervisor.name} filed it unsigned" in html
    assert WHY in html
    assert f"by {leaver.name}. SHA" not in html
    assert "not signed by its author. SHA-256" in html
    [entry] = [each for each in contents.entries if each.note]
    assert entry.event.badge == "Filed unsigned, with addenda"
    copy = json.loads(make_record(context, "Practice", contents))
    [found] = [each["note"] for each in copy["entries"] if "note" in each]
    assert (found["author"], found["signed_by"], found["signed_at"]) == (leaver.name, None, None)
    assert found["filed_unsigned"]["by"] == supervisor.name


def test_every_change_of_a_filed_note_shows(coach, supervisor, leaver, case):
    without_triggers("note_addendum")
    note_id = builders.left_draft(coach, leaver, case.case_id)
    file(supervisor, note_id)
    addenda = METADATA.tables["note_addendum"]
    changes = [
        (NOTES, "author_id", coach.id),
        (NOTES, "addenda", 0),
        (SIGNATURES, "meaning", "author"),
        (SIGNATURES, "signed_by", leaver.id),
        (addenda, "kind", "addition"),
        (addenda, "created_by", leaver.id),
    ]
    for table, column, value in changes:
        of = (table.c.id if table is NOTES else table.c.note_id) == note_id
        before = db.session.scalar(sa.select(table.c[column]).where(of))
        change(table, note_id, **{column: value})
        assert not read(supervisor, note_id).is_as_signed, column
        change(table, note_id, **{column: before})
        assert read(supervisor, note_id).is_as_signed, column


def test_answers_in_a_left_draft_are_recorded_and_nothing_of_it_is_lost(
    coach, supervisor, leaver, case
):
    builders.screen(coach, case.client_id, sleep="urgent", days_ago=2)
    note_id = builders.left_draft(
        coach, leaver, case.case_id, levels={"sleep": 0}, comment="He sleeps again."
    )
    note = file(supervisor, note_id, version=2)
    # Why a level is so much lower the author can't be asked: the reason of filing says it.
    assert get_screening(supervisor, note.screening_id).below_reason == WHY
    assert note.filing.text == ""
    concern = builders.left_draft(coach, leaver, case.case_id, levels={"eating": 2})
    file(supervisor, concern, version=2)
    state = get_safety_state(case.client_id)
    assert (state.answers["sleep"].level, state.answers["eating"].level) == (0, 2)
    # One in which nothing was asked keeps what it says.
    words = builders.left_draft(coach, leaver, case.case_id, levels={}, comment="Too tired to ask.")
    filed = file(supervisor, words, version=2)
    assert filed.screening_id is None
    assert "Too tired to ask." in filed.filing.text


def test_session_to_come_is_not_filed(coach, supervisor, leaver, case):
    with at(now() + timedelta(hours=3)):
        note_id = builders.left_draft(coach, leaver, case.case_id)
    with pytest.raises(RuleBroken) as refused:
        file(supervisor, note_id)
    assert refused.value.reasons[0].code == "session_to_come"


def test_filing_touches_no_process_note_keeps_to_a_legal_hold_and_follows_a_merge(
    coach, supervisor, leaver, case
):
    with transaction():
        save_process_note(coach, lock_process_note(coach, case.number), "I doubt it.", 0)
    with transaction():
        holds = lock_legal_holds(supervisor, case.number)
        place_legal_hold(supervisor, holds, "court", today() + timedelta(days=9))
    note_id = builders.revised_draft(coach, case.case_id)
    with transaction() as session:
        session.execute(
            sa.update(METADATA.tables["note"])
            .where(METADATA.tables["note"].c.id == note_id)
            .values(author_id=leaver.id)
        )
    set_account(leaver, now())
    file(supervisor, note_id, version=3)
    assert db.session.scalars(sa.select(NoteRevision.id)).all() == []
    assert get_process_note(coach, get_case_context(coach, case.case_id)).words == "I doubt it."
    other, stays = builders.case(coach, "Tom Vale"), builders.client(coach, "Tom Vale", agreed=True)
    filed = builders.left_draft(coach, leaver, other.case_id)

    def merge():
        why = NewMerge("Entered twice, as he says himself.", despite_decision=True)
        with transaction():
            merge_clients(supervisor, lock_merge(supervisor, other.client_id, stays), why, 1)

    # A record with a draft isn't merged away, and nobody else could sign it.
    with pytest.raises(RuleBroken, match="draft note"):
        merge()
    db.session.rollback()
    file(supervisor, filed)
    merge()
    note = read(supervisor, filed)
    assert (note.is_filed, note.is_as_signed, note.client_id) == (True, True, stays)
    assert note.filing.reason == WHY
