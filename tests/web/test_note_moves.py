"""Moving a note that was filed under the wrong client: choose the right one, say why, and what each record shows."""

from __future__ import annotations

import pytest

from caseapp.core.transaction import transaction
from caseapp.domain.notes.operations import mark_screening_in_error
from caseapp.domain.notes.queries import get_note
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.queries import lock_screening
from tests.support import builders
from tests.support.staff_pages import StaffBrowser


@pytest.mark.slow
def test_note_is_moved_and_the_former_record_shows_only_that(app, team):
    coach, coach_browser = team["coach"], StaffBrowser(app, team["coach"])
    case = builders.case(coach, "Ines Okafor")
    other = builders.case(coach, "Tom Vale")
    note_id = builders.note(coach, case.case_id)
    choose = f"/note/{note_id}/move"
    assert f'href="{choose}"' in coach_browser.text(f"/note/{note_id}")
    asked, no = f"/note/{note_id}/correction", "It is in the log of that week."
    assert coach_browser.send(asked, words="I never said that.").status_code == 303
    assert coach_browser.send(asked, f"{asked}/decline", reason=no).status_code == 303
    page = f"{choose}/{other.number}"
    assert f'href="{page}"' in coach_browser.text(choose)
    assert "already" in coach_browser.text(f"{choose}/{case.number}")
    assert coach_browser.send(page, reason="too short").status_code == 422
    answer = coach_browser.send(page, reason="I had the wrong case open.")
    assert answer.headers["Location"] == f"/note/{note_id}"
    shown = coach_browser.text(f"/note/{note_id}")
    for words in ("Tom Vale", "Moved here from another record", "I had the wrong case open."):
        assert words in shown
    assert "I never said that." not in shown
    former = coach_browser.text(f"/case/{case.number}/notes")
    assert "A note was filed here in error and moved by" in former
    assert "I never said that." in former
    assert no in former
    for words in ("Tom Vale", "wrong case open", "Slept six hours", str(note_id)):
        assert words not in former
    assert "Moved here" in coach_browser.text(f"/case/{other.number}/notes")
    assert "Note moved to another record" in coach_browser.text(f"/case/{case.number}/timeline")


def test_only_those_who_can_move_a_note_find_the_page(app, team):
    coach, reader = team["coach"], team["coach2"]
    case = builders.case(coach)
    note_id = builders.note(coach, case.case_id)
    builders.read_in_emergency(reader, case.number)
    shown = {
        who: f"/note/{note_id}/move" in StaffBrowser(app, team[who]).text(f"/note/{note_id}")
        for who in ("coach", "coach2", "supervisor")
    }
    assert shown == {"coach": True, "coach2": False, "supervisor": True}


@pytest.mark.slow
def test_moved_note_has_no_screening_of_another_client(app, team):
    coach, browser = team["coach"], StaffBrowser(app, team["coach"])
    case, other = builders.case(coach), builders.case(coach)
    levels = {item.key: 0 for item in ITEMS}
    note_id = builders.note(coach, case.case_id, levels=levels)
    assert 'data-label="Screening">Recorded' in browser.text("/notes")
    with transaction():
        locked = lock_screening(coach, get_note(coach, note_id).screening_id)
        mark_screening_in_error(coach, locked, "Answers of another client.")
    page = f"/note/{note_id}/move/{other.number}"
    assert browser.send(page, reason="I had the wrong case open.").status_code == 303
    assert 'data-label="Screening">Recorded' not in browser.text("/notes")
    assert "stayed in the record that the note was moved from" in browser.text(f"/note/{note_id}")


def test_moved_draft_opens_a_hold_there_and_cannot_be_discarded(app, team):
    coach, browser = team["coach"], StaffBrowser(app, team["coach"])
    case, other = builders.case(coach), builders.case(coach)
    builders.screen(coach, other.client_id, self_harm="watch")
    note_id = builders.draft(coach, case.case_id, levels={"sleep": 0}, circumstances=("weapons",))
    page = f"/note/{note_id}/move/{other.number}"
    assert browser.send(page, reason="I had the wrong case open.").status_code == 303
    shown = browser.text(f"/note/{note_id}")
    assert "A safety hold is open." in shown
    assert "Discard this draft" not in shown
