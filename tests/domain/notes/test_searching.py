"""Searching notes: whose are looked through, how far, and what the log says of it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core import reads
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.audit.operations import hash_ids, reads_recorded
from caseapp.domain.notes import searching
from caseapp.domain.notes.operations import save_draft
from caseapp.domain.notes.queries import lock_note
from caseapp.domain.notes.schemas import DraftChange
from caseapp.domain.notes.search_schemas import NoteSearch
from caseapp.domain.notes.searching import search_notes
from caseapp.domain.process_notes.operations import save_process_note
from caseapp.domain.process_notes.queries import lock_process_note
from tests.support import builders
from tests.support.staff_pages import StaffBrowser

pytestmark = [pytest.mark.both, pytest.mark.slow]

WORD = "Kastanienallee"


def sections(text):
    return {"data": text, "assessment": "Calmer.", "plan": "Walk."}


def search(actor, **more):
    db.session.rollback()
    with reads.collecting():
        return search_notes(actor, NoteSearch(WORD.lower(), **more))


def ids(page):
    return [found.note.id for found in page.items]


def test_notes_of_a_case_or_of_ones_own_clients_are_found_and_the_log_names_whose(team):
    coach, other = team["coach"], team["coach2"]
    ines, sam, foreign = builders.case(coach), builders.case(coach), builders.case(other)
    first = builders.note(coach, ines.case_id, sections(f"At {WORD}."), days_ago=3)
    builders.note(coach, ines.case_id, days_ago=2)
    draft = builders.draft(coach, ines.case_id, sections(WORD), days_ago=1)
    second = builders.note(coach, sam.case_id, sections(f"{WORD} again."))
    builders.note(other, foreign.case_id, sections(WORD))
    with transaction():
        save_process_note(coach, lock_process_note(coach, ines.number), f"{WORD} worries me.", 0)
    found = search(coach, case_id=ines.case_id)
    assert (ids(found), found.looked_at, found.next) == ([draft, first], 3, None)
    assert found.items[1].excerpts[0].found == WORD
    assert ids(search(team["supervisor"], case_id=ines.case_id)) == [first]
    with pytest.raises(NotFound):
        search(other, case_id=ines.case_id)
    with pytest.raises(Invalid):
        search(coach, cursor="made-up")
    with pytest.raises(Invalid):
        search_notes(coach, NoteSearch("\u0301\u0301"))
    db.session.rollback()
    with reads_recorded(coach):
        found = search_notes(coach, NoteSearch(WORD))
    assert ids(found) == [second, draft, first]
    events = db.session.scalars(
        sa.select(AuditEvent).where(
            AuditEvent.action == Action.NOTE_READ.value, AuditEvent.object_kind == "note_search"
        )
    ).all()
    shown = {ines.client_id, sam.client_id}
    assert [event.details["shown"] for event in events] == [2]
    assert [event.details["shown_sha256"] for event in events] == [hash_ids(shown)]
    assert not any(client_id.hex in str(events[0].details) for client_id in shown)
    assert [event.details["notes"] for event in events] == [4]
    assert WORD.lower() not in str(events[0].details).lower()


def test_drafts_are_found_and_shown_by_texts_that_their_format_has_no_section_for(app, team):
    coach = team["coach"]
    made = builders.case(coach)
    note_id = builders.draft(coach, made.case_id, {"data": f"At {WORD}."})
    with transaction():
        note = lock_note(coach, note_id)
        save_draft(coach, note, DraftChange(format="free"), note.row.version)
    [found] = search(coach).items
    assert [(each.part, each.found) for each in found.excerpts] == [("Data", WORD)]
    for page in ("notes", "timeline"):
        assert WORD in StaffBrowser(app, coach).text(f"/case/{made.number}/{page}")


def test_one_request_looks_through_a_limited_number_and_the_next_goes_on(team, monkeypatch):
    coach = team["coach"]
    made = builders.case(coach)
    notes = [
        builders.note(
            coach, made.case_id, sections(WORD if day in {0, 3, 4} else "Slept."), days_ago=day
        )
        for day in range(5)
    ]
    monkeypatch.setattr(searching, "BATCH_SIZE", 2)
    monkeypatch.setattr(searching, "MAX_NOTES", 2)
    first = search(coach)
    assert (ids(first), first.looked_at) == ([notes[0]], 2)
    second = search(coach, cursor=first.next)
    assert (ids(second), second.looked_at) == ([notes[3]], 2)
    third = search(coach, cursor=second.next)
    assert (ids(third), third.looked_at, third.next) == ([notes[4]], 1, None)
    monkeypatch.setattr(searching, "MAX_NOTES", 100)
    found, cursor = [], None
    while True:
        page = search(coach, cursor=cursor, limit=1)
        found += ids(page)
        cursor = page.next
        if cursor is None:
            break
    assert found == [notes[0], notes[3], notes[4]]
