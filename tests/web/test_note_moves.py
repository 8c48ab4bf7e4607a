"""Moving a note that was filed under the wrong client: choose the right one, say why, and what each record shows."""

from __future__ import annotations

from tests.support import builders
from tests.support.staff_pages import StaffBrowser


def test_note_is_moved_and_the_former_record_shows_only_that(app, team):
    coach, coach_browser = team["coach"], StaffBrowser(app, team["coach"])
    case = builders.case(coach, "Ines Okafor")
    other = builders.case(coach, "Tom Vale")
    note_id = builders.note(coach, case.case_id)
    choose = f"/note/{note_id}/move"
    assert f'href="{choose}"' in coach_browser.text(f"/note/{note_id}")
    page = f"{choose}/{other.number}"
    assert f'href="{page}"' in coach_browser.text(choose)
    assert "already" in coach_browser.text(f"{choose}/{case.number}")
    assert coach_browser.send(page, reason="too short").status_code == 422
    answer = coach_browser.send(page, reason="I had the wrong case open.")
    assert answer.headers["Location"] == f"/note/{note_id}"
    shown = coach_browser.text(f"/note/{note_id}")
    for words in ("Tom Vale", "Moved here from another record", "I had the wrong case open."):
        assert words in shown
    former = coach_browser.text(f"/case/{case.number}/notes")
    assert "A note was filed here in error and moved by" in former
    for words in ("Tom Vale", "wrong case open", "Slept six hours", str(note_id)):
        assert words not in former
    assert "Moved here" in coach_browser.text(f"/case/{other.number}/notes")
