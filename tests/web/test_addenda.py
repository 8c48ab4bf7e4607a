import re

import pytest

from tests.support import builders
from tests.support.staff_pages import StaffBrowser


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def coach_browser(app, coach):
    return StaffBrowser(app, coach)


@pytest.fixture
def case(coach):
    return builders.case(coach, "Ines Okafor")


@pytest.mark.slow
def test_wrong_day_is_corrected_and_both_stand_on_the_page(app, team, coach_browser, coach, case):
    note_id = builders.note(coach, case.case_id)
    page = f"/note/{note_id}/addendum"
    assert f'href="{page}"' in coach_browser.text(f"/note/{note_id}")
    refused = coach_browser.send(page, kind="correction", reason="I wrote the wrong day.")
    assert refused.status_code == 422
    assert "Write what is right" in refused.get_data(as_text=True)
    fields = {"kind": "correction", "reason": "I wrote the wrong day."}
    answer = coach_browser.send(page, **fields, session_at="2026-11-02T10:15", minutes="45")
    assert answer.headers["Location"] == f"/note/{note_id}"
    shown = coach_browser.text(f"/note/{note_id}")
    for words in ("Slept six hours.", "as it was signed", "I wrote the wrong day.", "Signed as"):
        assert words in shown
    assert shown.count("2 November 2026, 10:15") >= 2
    for path in (f"/case/{case.number}", "/notes"):
        assert "ith addenda" in coach_browser.text(path)
    next_one = coach_browser.text(f"/note/{builders.draft(coach, case.case_id)}")
    assert next_one.index("Keep the log.") < next_one.index("I wrote the wrong day.")
    assert "45 min" in coach_browser.text(f"/case/{case.number}/notes")
    assert "not responsible" not in StaffBrowser(app, team["supervisor"]).text(page)
    coach_browser.send(page, kind="in_error", reason="Written for somebody else.")
    assert "This note was entered in error" in coach_browser.text(f"/note/{note_id}")
    assert "Entered in error" in coach_browser.text(f"/case/{case.number}")
    assert "nothing can be added to it" in coach_browser.text(page)
    draft = builders.draft(coach, case.case_id)
    assert coach_browser.browser.get(f"/note/{draft}/addendum").status_code == 404


def test_addendum_is_signed_by_its_button_only_and_asks_what_it_is(coach_browser, coach, case):
    page = f"/note/{builders.note(coach, case.case_id)}/addendum"
    text = coach_browser.text(page)
    # Enter in a field presses the first button of a form.
    form = text[text.index(f'action="{page}"') :]
    assert 'name="check" value="yes"' in re.search(r"<button[^>]*>", form)[0]
    assert "can’t be undone" in text
    answer = coach_browser.send(page, kind="addition", text="She rang.", check="yes")
    assert answer.status_code == 422
    assert "Nothing is signed yet." in answer.get_data(as_text=True)
    answer = coach_browser.send(page, text="She rang.")
    assert answer.status_code == 422
    assert "Choose whether this corrects the note" in answer.get_data(as_text=True)
