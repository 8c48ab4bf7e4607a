import pytest

from caseapp.domain.notes.queries import get_note
from caseapp.domain.notes.revision_queries import get_own_draft, list_revisions
from caseapp.domain.notes.snippet_queries import list_snippets
from caseapp.domain.notes.unsigned import list_case_drafts
from caseapp.domain.screening.current import get_safety_state
from tests.support import builders
from tests.support.staff_pages import StaffBrowser

pytestmark = pytest.mark.slow


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def coach_browser(app, coach):
    return StaffBrowser(app, coach)


@pytest.fixture
def case(coach):
    return builders.case(coach, "Ines Okafor")


def test_page_of_a_new_note_offers_the_draft_and_a_page_from_before_makes_no_second(
    coach, coach_browser, case
):
    path = f"/case/{case.number}/notes/new"
    before = coach_browser.form(path)
    assert "Finish note" not in coach_browser.text("/today")
    draft = builders.draft(coach, case.case_id)
    page = coach_browser.text(path)
    assert f'href="/note/{draft}"' in page
    assert "Start another note" in page
    assert "Finish note" in coach_browser.text("/today")
    answer = coach_browser.post(path, before.fields)
    assert answer.status_code == 409
    refused = answer.get_data(as_text=True)
    assert "You already have a draft" in refused
    assert f'href="/note/{draft}"' in refused
    assert len(list_case_drafts(coach, case.case_id)) == 1
    assert coach_browser.send(path).status_code == 303
    assert len(list_case_drafts(coach, case.case_id)) == 2


def test_button_puts_the_last_plan_below_what_was_just_typed(coach, coach_browser, case):
    builders.note(coach, case.case_id, builders.SECTIONS | {"plan": "Ring the school."}, days_ago=3)
    path = f"/note/{builders.draft(coach, case.case_id)}"
    answer = coach_browser.post(
        f"{path}/plan", coach_browser.form(path).fields | {"plan": "Walk daily."}
    )
    assert answer.location == f"{path}#plan"
    plan = coach_browser.form(path).fields["plan"][0]
    assert plan.startswith("Walk daily.\n\nBrought forward from the plan of ")
    assert plan.endswith("\nRing the school.")


def test_button_brings_no_other_plan_than_the_one_that_was_shown(coach, coach_browser, case):
    shown = builders.note(coach, case.case_id, days_ago=3)
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    assert f'name="plan_of" value="{shown}"' in coach_browser.text(path)
    fields = coach_browser.form(path).fields | {"plan_of": str(shown)}
    builders.note(coach, case.case_id, builders.SECTIONS | {"plan": "Ring."}, days_ago=2)
    answer = coach_browser.post(f"{path}/plan", fields)
    assert answer.status_code == 409
    assert "another note has become the last one" in answer.get_data(as_text=True)
    assert "Brought forward" not in get_note(coach, note_id).sections["plan"]


def test_earlier_text_is_put_back_by_its_author_alone(app, team, coach, coach_browser, case):
    note_id = builders.revised_draft(coach, case.case_id)
    path = f"/note/{note_id}/revisions"
    assert f'href="{path}"' in coach_browser.text(f"/note/{note_id}")
    page = coach_browser.text(path)
    assert "Keep the log, version 1." in page
    assert "Keep the log, version 2." not in page
    [newest, _] = list_revisions(coach, get_own_draft(coach, note_id))
    restore = f"{path}/{newest.id}/restore"
    StaffBrowser(app, team["supervisor"]).text(path, status=404)
    answer = coach_browser.post(restore, coach_browser.form(path, restore).fields)
    assert answer.location == f"/note/{note_id}"
    assert "Keep the log, version 1." in coach_browser.form(answer.location).fields["plan"]
    assert "Keep the log, version 2." in coach_browser.text(path)


def test_page_of_earlier_texts_shows_long_ones_in_full_only_on_request(coach, coach_browser, case):
    note_id = builders.revised_draft(
        coach, case.case_id, plan="Week {}. " + "Rest. " * 200 + "End."
    )
    path = f"/note/{note_id}/revisions"
    [newest, _] = list_revisions(coach, get_own_draft(coach, note_id))
    page = coach_browser.text(path)
    assert "End." not in page
    whole = f"{path}?whole={newest.id}"
    assert whole in page
    assert "End." in coach_browser.text(whole)


def test_snippet_is_written_on_the_account_and_put_into_a_note_by_a_button(
    coach, coach_browser, case
):
    page = "/account/snippets"
    assert f'href="{page}"' in coach_browser.text("/account")
    answer = coach_browser.send(page, title="Breath", text="We breathed together.", section="plan")
    assert answer.location == page
    [snippet] = list_snippets(coach)
    change = f"{page}?change={snippet.id}"
    answer = coach_browser.send(change, change, text="We breathed.")
    assert answer.location == page
    path = f"/note/{builders.draft(coach, case.case_id)}"
    assert 'data-snippet="We breathed."' in coach_browser.text(path)
    fields = coach_browser.form(path).fields | {"plan": "Walk.", "snippet_id": str(snippet.id)}
    assert coach_browser.post(f"{path}/snippet", fields).location == path
    assert coach_browser.form(path).fields["plan"] == ["Walk.\nWe breathed."]
    coach_browser.text(f"{page}?change={case.case_id}", status=404)
    answer = coach_browser.send(page, f"{page}/delete", snippet_id=str(snippet.id))
    assert list_snippets(coach) == []


def test_rest_as_last_time_is_shown_as_copied_until_it_is_confirmed(coach, coach_browser, case):
    builders.screen(coach, case.client_id, days_ago=7, sleep="watch")
    path = f"/note/{builders.draft(coach, case.case_id)}"
    assert "Copy the rest from last time" in coach_browser.text(path)
    answer = coach_browser.post(f"{path}/rest", coach_browser.form(path).fields)
    assert answer.location == f"{path}#screening"
    page = coach_browser.text(path)
    assert "Copied: Watch, not confirmed" in page
    assert "Last time: watch, " in page
    assert "sleep" not in coach_browser.form(path).fields
    fields = coach_browser.form(path).fields | {"eating": "none"}
    answer = coach_browser.post(f"{path}/rest/confirm", fields)
    assert answer.location == f"{path}#screening"
    assert "not confirmed" not in coach_browser.text(path)
    assert coach_browser.form(path).fields["sleep"] == ["watch"]


@pytest.mark.parametrize("button", ["plan", "rest", "rest/confirm", "snippet", "screening"])
def test_answer_that_opens_a_safety_hold_is_saved_whatever_else_is_refused(
    coach, coach_browser, case, button
):
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    fields = coach_browser.form(path).fields | {
        "plan": "He is at the door.",
        "snippet_id": str(note_id),
        "sleep": "watch",
        "circumstances": "choking",
        "lasting_since.sleep": "2099-01-01",
    }
    answer = coach_browser.post(f"{path}/{button}", fields)
    assert answer.status_code == 303
    assert get_safety_state(case.client_id).hold == "safety"
    assert get_note(coach, note_id).sections["plan"] == "He is at the door."
    assert "The draft was saved, but the rest was not done." in coach_browser.text(answer.location)


def test_screening_is_recorded_beside_copied_answers(coach, coach_browser, case):
    builders.screen(coach, case.client_id, days_ago=7, sleep="watch")
    path = f"/note/{builders.draft(coach, case.case_id)}"
    coach_browser.post(f"{path}/rest", coach_browser.form(path).fields)
    fields = coach_browser.form(path).fields | {"fear_at_home": "urgent"}
    assert coach_browser.post(f"{path}/screening", fields).status_code == 303
    assert get_safety_state(case.client_id).hold == "safety"
    assert "Copied: Watch, not confirmed" in coach_browser.text(path)
