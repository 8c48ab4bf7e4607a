import re
from uuid import uuid4

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.sessions import end_all_sessions
from caseapp.core.transaction import transaction
from caseapp.domain.form_drafts.models import FormDraft
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.queries import get_note
from caseapp.domain.practice.models import Practice
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.protocol import ITEMS
from tests.domain.notes.test_signatures import NOTES, change, without_triggers
from tests.support import builders, staff
from tests.support.staff_pages import StaffBrowser, forms_in

AUTOSAVE = {"X-Requested-With": "autosave"}
ALL_NONE = {item.key: "none" for item in ITEMS}


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def coach_browser(app, coach):
    return StaffBrowser(app, coach)


@pytest.fixture
def case(coach):
    return builders.case(coach, "Ines Okafor")


def count(model):
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(model))


def reload(actor, note_id):
    db.session.rollback()
    return get_note(actor, note_id)


def start(coach_browser, case, **changes):
    return coach_browser.send(f"/case/{case.number}/notes/new", **changes)


@pytest.mark.slow
def test_coach_can_start_write_screen_and_sign_a_note(coach_browser, coach, case):
    answer = start(coach_browser, case, format="soap", minutes="50", modality="phone")
    assert answer.status_code == 303
    path = answer.headers["Location"]
    page = coach_browser.text(path)
    for words in ("Subjective", "Objective", "Assessment", "Plan", "Draft, only you can see it"):
        assert words in page
    texts = {key: f"About {key}." for key in ("subjective", "objective", "assessment", "plan")}
    answer = coach_browser.send(
        path, **texts, **(ALL_NONE | {"fear_at_home": "concern"}), asked_alone="yes", do="sign"
    )
    assert answer.headers["Location"] == f"{path}/sign"
    page = coach_browser.text(f"{path}/sign")
    assert "from this note" in page
    assert "You are signing as Marta Lindqvist" in page
    answer = coach_browser.send(f"{path}/sign")
    assert answer.headers["Location"] == path
    page = coach_browser.text(path)
    assert "About objective." in page
    assert "Marta Lindqvist, coach, as the author" in page
    assert "SHA-256" in page
    assert "<textarea" not in page
    assert get_safety_state(case.client_id).hold == "safety"


@pytest.mark.slow
def test_altered_note_says_so_on_every_page_and_supervisor_and_admin_are_told(
    app, team, coach_browser, coach, case
):
    note_id = builders.note(coach, case.case_id)
    assert "This note was changed after it was signed" not in coach_browser.text(f"/note/{note_id}")
    without_triggers()
    change(NOTES, note_id, minutes=5)
    assert "This note was changed after it was signed" in coach_browser.text(f"/note/{note_id}")
    for path in (f"/case/{case.number}", f"/case/{case.number}/notes", "/notes"):
        assert "Not as signed" in coach_browser.text(path)
    assert "Not as signed" in StaffBrowser(app, team["supervisor"]).text("/today")
    people = StaffBrowser(app, team["admin"]).text("/people")
    assert "Signed note that was changed afterwards" in people


def test_page_of_a_note_names_the_time_zone_in_which_it_was_signed(coach_browser, coach, case):
    note_id = builders.note(coach, case.case_id)
    with transaction() as session:
        session.execute(sa.update(Practice).values(zone="Europe/Paris"))
    shown = coach_browser.text(f"/note/{note_id}")
    assert "Times are in Europe/Paris." in shown
    assert "time zone was Europe/London." in shown


def test_start_form_sent_twice_makes_one_note(coach_browser, case):
    path = f"/case/{case.number}/notes/new"
    fields = coach_browser.form(path).fields
    answers = [coach_browser.post(path, fields) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert count(Note) == 1


def test_start_with_missing_fields_names_them_and_keeps_input(coach_browser, case):
    answer = start(coach_browser, case, session_at="", format=None, minutes="75")
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert 'href="#session_at"' in page
    assert 'value="75"' in page
    assert count(Note) == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_at", "yesterday"),
        ("session_at", "0001-01-01T00:00"),
        ("minutes", "many"),
        ("modality", "telepathy"),
        ("format", "poem"),
        ("colour", "red"),
    ],
)
def test_start_with_an_invalid_value_makes_no_note(coach_browser, case, field, value):
    assert start(coach_browser, case, **{field: value}).status_code == 422
    assert count(Note) == 0


def test_autosave_returns_the_new_version(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    fields = coach_browser.form(f"/note/{note_id}").fields | {"plan": "Ring on Tuesday."}
    answer = coach_browser.browser.post(f"/note/{note_id}/draft", data=fields, headers=AUTOSAVE)
    assert answer.status_code == 200
    assert answer.json["version"] == 2
    assert set(answer.json) == {"version", "form_key", "opened_hold", "saved_at", "saved"}
    assert reload(coach, note_id).sections["plan"] == "Ring on Tuesday."


def test_stale_autosave_returns_both_times_and_changes_nothing(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    old = coach_browser.form(f"/note/{note_id}").fields
    path = f"/note/{note_id}/draft"
    coach_browser.post(path, old | {"plan": "The newer plan."})
    answer = coach_browser.post(path, old | {"plan": "The older plan."})
    assert answer.status_code == 409
    assert answer.json["code"] == "stale"
    assert answer.json["version"] == 2
    assert {"saved_at", "sent_at", "saved", "sent"} <= set(answer.json)
    assert reload(coach, note_id).sections["plan"] == "The newer plan."


def test_repeated_autosave_returns_the_same_version(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    fields = coach_browser.form(f"/note/{note_id}").fields | {"plan": "Ring."}
    answers = [coach_browser.post(f"/note/{note_id}/draft", fields) for _ in range(2)]
    assert [(answer.status_code, answer.json["version"]) for answer in answers] == [(200, 2)] * 2


def test_autosave_after_sign_out_is_401(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    fields = coach_browser.form(f"/note/{note_id}").fields
    coach_browser.send("/notes", "/sign-out")
    answer = coach_browser.browser.post(f"/note/{note_id}/draft", data=fields, headers=AUTOSAVE)
    assert answer.status_code == 401


def test_autosave_of_a_signed_note_is_refused(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    fields = coach_browser.form(f"/note/{note_id}").fields
    coach_browser.send(f"/note/{note_id}/sign")
    answer = coach_browser.post(f"/note/{note_id}/draft", fields | {"plan": "After the fact."})
    assert (answer.status_code, answer.json["code"]) == (409, "note_signed")
    assert reload(coach, note_id).sections == builders.SECTIONS


@pytest.mark.parametrize("path", ["", "/draft"])
def test_note_of_one_megabyte_is_invalid(coach_browser, coach, case, path):
    note_id = builders.draft(coach, case.case_id)
    fields = coach_browser.form(f"/note/{note_id}").fields | {"data": "x" * 1024 * 1024}
    answer = coach_browser.post(f"/note/{note_id}{path}", fields)
    assert answer.status_code == 422
    assert "100,000 characters" in answer.get_data(as_text=True)
    assert reload(coach, note_id).version == 1


def test_stale_form_keeps_its_text_and_can_be_saved(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    old, other = (coach_browser.form(path).fields for _ in range(2))
    coach_browser.post(path, other | {"plan": "The newer plan."})
    answer = coach_browser.post(path, old | {"plan": "The older plan."})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 412
    assert "saved in another window" in page
    assert "The older plan." in page
    assert ">The newer plan.</strong>" in page
    assert 'data-conflict role="alert" hidden' not in page
    assert reload(coach, note_id).sections["plan"] == "The newer plan."
    again = forms_in(page, path)[0].fields
    assert coach_browser.post(path, again).status_code == 303
    assert reload(coach, note_id).sections["plan"] == "The older plan."


def test_sections_that_one_window_changed_are_merged(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    mine, theirs = (coach_browser.form(path).fields for _ in range(2))
    coach_browser.post(path, theirs | {"plan": "The newer plan.", "sleep": "watch"})
    answer = coach_browser.post(path, mine | {"data": "Slept well.", "comment": "At home."})
    page = answer.get_data(as_text=True)
    again = forms_in(page, path)[0].fields
    assert answer.status_code == 412
    assert "Saved in the meantime" not in page
    assert (again["plan"], again["data"]) == (["The newer plan."], ["Slept well."])
    assert (again["sleep"], again["comment"]) == (["watch"], ["At home."])
    assert coach_browser.post(path, again).status_code == 303
    saved = reload(coach, note_id)
    assert (saved.sections["plan"], saved.sections["data"]) == ("The newer plan.", "Slept well.")


def test_level_that_both_windows_changed_shows_both(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id, levels={"sleep": 0})
    path = f"/note/{note_id}"
    mine, theirs = (coach_browser.form(path).fields for _ in range(2))
    coach_browser.post(path, theirs | {"sleep": "concern"})
    page = coach_browser.post(path, mine | {"sleep": "watch"}).get_data(as_text=True)
    assert forms_in(page, path)[0].fields["sleep"] == ["watch"]
    assert ">Concern</strong>" in page


def test_text_of_a_format_that_another_window_changed_is_listed(coach_browser, coach, case):
    """The page has no field for it any more, so what was typed stands above the form."""
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    mine, theirs = (coach_browser.form(path).fields for _ in range(2))
    coach_browser.post(path, theirs | {"to_format": "free"})
    answer = coach_browser.post(path, mine | {"data": "Written in the other format."})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 412
    assert forms_in(page, path)[0].fields["format"] == ["free"]
    assert '<p class="typed">Written in the other format.</p>' in page


@pytest.mark.parametrize("path", ["", "/draft"])
def test_untouched_time_keeps_its_seconds(coach_browser, coach, case, path):
    note_id = builders.draft(coach, case.case_id)
    began = reload(coach, note_id).session_at
    fields = coach_browser.form(f"/note/{note_id}").fields | {"plan": "Ring on Tuesday."}
    coach_browser.post(f"/note/{note_id}{path}", fields)
    saved = reload(coach, note_id)
    assert (saved.version, saved.session_at) == (2, began)
    assert began.microsecond


@pytest.mark.slow
def test_words_that_came_back_are_forgotten_once_the_script_has_saved_them(
    coach_browser, coach, case
):
    """Words of an ended session never come back over newer ones."""
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    fields = coach_browser.form(path).fields | {"plan": "The older plan."}
    with transaction():
        end_all_sessions(coach.id)
    assert coach_browser.post(path, fields).status_code == 303
    staff.sign_in(coach_browser.browser, coach)
    page = coach_browser.text(path)
    restored = forms_in(page, path)[0].fields
    assert restored["plan"] == ["The older plan."]
    [address] = re.findall(r'data-autosave="([^"]+)"', page)
    answer = coach_browser.post(address, restored | {"plan": "The newer plan."})
    assert answer.status_code == 200
    assert coach_browser.form(path).fields["plan"] == ["The newer plan."]
    assert count(FormDraft) == 0
    assert f'data-autosave="{path}/draft"' in coach_browser.text(path)


def test_draft_form_without_a_version_is_invalid(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    assert coach_browser.send(f"/note/{note_id}", version=None).status_code == 422
    assert coach_browser.send(f"/note/{note_id}", version="soon").status_code == 422


@pytest.mark.slow
def test_incomplete_note_is_saved_but_not_signed(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    answer = coach_browser.send(path, plan="", data="Kept.", sleep="watch", do="sign")
    answer = coach_browser.get(answer.headers["Location"])
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert 'href="#plan"' in page
    assert 'href="#fear_at_home"' in page
    assert 'href="#sleep"' not in page
    assert reload(coach, note_id).sections["data"] == "Kept."
    assert coach_browser.send(path, "/note/" + str(note_id), do="save").status_code == 303
    assert (
        coach_browser.post(f"{path}/sign", {**coach_browser.form(path).fields}).status_code == 422
    )
    assert reload(coach, note_id).status == "draft"


def test_blank_question_stays_blank_in_the_editor(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id, levels={"sleep": 1, "work": None})
    fields = coach_browser.form(f"/note/{note_id}").fields
    assert (fields["sleep"], fields["work"]) == (["watch"], ["not_asked"])
    assert "eating" not in fields
    answer = coach_browser.send(f"/note/{note_id}", version="999", plan="Other.")
    assert answer.status_code == 412
    assert 'name="eating" value="not_asked" checked' not in answer.get_data(as_text=True)


def test_sign_page_says_when_there_was_no_screening(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    assert "No screening in this session." in coach_browser.text(f"/note/{note_id}/sign")
    asked = builders.draft(coach, case.case_id, levels={item.key: None for item in ITEMS})
    assert "You asked no screening questions in this session" in coach_browser.text(
        f"/note/{asked}/sign"
    )


@pytest.mark.slow
def test_signing_a_level_that_falls_steeply_leads_back_to_the_missing_reason(
    coach_browser, coach, case
):
    builders.screen(coach, case.client_id, sleep="urgent", days_ago=1)
    path = f"/note/{builders.draft(coach, case.case_id, levels=dict.fromkeys(ALL_NONE, 0))}"
    refused = coach_browser.send(f"{path}/sign")
    page = refused.get_data(as_text=True)
    assert refused.status_code == 422
    assert 'href="#below_reason"' in page
    assert "Sleep (from Urgent to None)" in page
    coach_browser.send(path, below_reason="Slept for six nights.", circumstances=["pregnancy"])
    assert coach_browser.form(path).fields["circumstances"] == ["pregnancy"]
    assert coach_browser.send(f"{path}/sign").status_code == 303
    page = coach_browser.text(path)
    assert "Why a level is much lower: Slept for six nights." in page
    assert "Is pregnant, or has a baby under one year" in page


def test_sign_sent_twice_makes_one_screening(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id, levels={item.key: 0 for item in ITEMS})
    path = f"/note/{note_id}/sign"
    fields = coach_browser.form(path).fields
    answers = [coach_browser.post(path, fields) for _ in range(2)]
    assert {answer.headers["Location"] for answer in answers} == {f"/note/{note_id}"}
    assert len(get_safety_history(case.client_id).screenings) == 1


def test_recording_an_urgent_level_redirects_to_the_hold(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    fields = coach_browser.form(path).fields
    fields |= {"self_harm": "urgent", "actions_taken": ["gave_numbers"]}
    answers = [coach_browser.post(f"{path}/screening", fields) for _ in range(2)]
    assert {answer.headers["Location"] for answer in answers} == {f"/case/{case.number}/hold"}
    assert len(get_safety_history(case.client_id).screenings) == 1
    assert get_safety_state(case.client_id).hold == "safety"
    assert "Recorded today" in coach_browser.text(path)


def test_saving_an_urgent_level_opens_the_hold_and_the_page_says_what_to_do(
    coach_browser, coach, case
):
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    assert "data-opened-hold hidden" in coach_browser.text(path)
    fields = coach_browser.form(path).fields | {"self_harm": "urgent"}
    answers = [coach_browser.post(path, fields) for _ in range(2)]
    assert {answer.headers["Location"] for answer in answers} == {path}
    page = coach_browser.text(path)
    assert "data-opened-hold hidden" not in page
    assert "Draft saved. A safety hold is open." in page
    assert f'href="/case/{case.number}/hold"' in page
    assert "Stay with the client" in page
    assert "Helen Marsh" in page
    assert "Recorded from this draft" in page
    assert coach_browser.form(path).fields["self_harm"] == ["urgent"]
    assert get_safety_state(case.client_id).hold == "safety"
    assert len(get_safety_history(case.client_id).screenings) == 1


def test_autosave_tells_when_it_opened_a_hold(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    fields = coach_browser.form(path).fields
    for version, (levels, opened) in enumerate(
        [({"sleep": "concern"}, False), ({"sleep": "urgent"}, True), ({"sleep": "urgent"}, False)],
        1,
    ):
        sent = fields | levels | {"version": str(version), "plan": f"Plan {version}"}
        answer = coach_browser.post(f"{path}/draft", sent).get_json()
        assert (answer["opened_hold"], answer["version"]) == (opened, version + 1)


def test_recording_without_answers_is_invalid_and_keeps_input(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    fields = coach_browser.form(f"/note/{note_id}").fields | {"plan": "Not saved yet."}
    answer = coach_browser.post(f"/note/{note_id}/screening", fields)
    assert answer.status_code == 422
    assert "Not saved yet." in answer.get_data(as_text=True)
    assert reload(coach, note_id).version == 1


@pytest.mark.slow
def test_format_change_keeps_unsaved_text(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    before = coach_browser.form(path).fields
    for code in ("birp", "girp", "free", "intake", "closing", "soap", "dap"):
        coach_browser.send(path, to_format=code, **({"data": "Unsaved."} if code == "birp" else {}))
        assert "Unsaved." in coach_browser.text(path)
    fields = coach_browser.form(path).fields
    assert fields["data"] == ["Unsaved."]
    assert (fields["assessment"], fields["plan"]) == (before["assessment"], before["plan"])
    coach_browser.send(path, to_format="free")
    assert "Text from another format" in coach_browser.text(path)
    coach_browser.send(path, do="gather")
    text = coach_browser.form(path).fields["text"][0]
    assert "Data: Unsaved." in text
    assert "Plan: Keep the log." in text


def test_discard_deletes_a_draft_without_unrecorded_concern(coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    fields = coach_browser.form(f"/note/{note_id}").fields
    answer = coach_browser.post(f"/note/{note_id}/discard", fields)
    assert answer.headers["Location"] == f"/case/{case.number}/notes"
    coach_browser.text(f"/note/{note_id}", 404)
    concern = builders.draft(coach, case.case_id, levels={"sleep": 2})
    answer = coach_browser.post(
        f"/note/{concern}/discard", coach_browser.form(f"/note/{concern}").fields
    )
    assert answer.status_code == 409
    assert "not recorded yet" in answer.get_data(as_text=True)
    coach_browser.text(f"/note/{concern}")


@pytest.mark.parametrize("who", ["coach2", "supervisor"])
def test_draft_of_another_author_looks_missing(app, team, coach_browser, case, who):
    note_id = builders.draft(team["coach"], case.case_id)
    fields = coach_browser.form(f"/note/{note_id}").fields
    other = StaffBrowser(app, team[who])
    missing = other.text(f"/note/{uuid4()}", 404)
    assert re.sub(r"[0-9a-f]{16}", "", other.text(f"/note/{note_id}", 404)) == re.sub(
        r"[0-9a-f]{16}", "", missing
    )
    other.text(f"/note/{note_id}/sign", 404)
    token = other.form("/notes", "/sign-out").fields["csrf_token"]
    for path in ("", "/draft", "/screening", "/discard", "/sign"):
        answer = other.post(f"/note/{note_id}{path}", fields | {"csrf_token": token})
        assert answer.status_code == 404, path
    assert reload(team["coach"], note_id).version == 1


def test_notes_of_a_foreign_case_are_404_and_admin_gets_403(app, team, case):
    other, admin = StaffBrowser(app, team["coach2"]), StaffBrowser(app, team["admin"])
    for path in (f"/case/{case.number}/notes", f"/case/{case.number}/notes/new"):
        assert other.get(path).status_code == 404
        assert admin.get(path).status_code == 403
    for path in ("/notes", "/notes/new"):
        assert admin.get(path).status_code == 403


def test_note_changes_by_get_or_without_sign_in_are_refused(app, coach_browser, coach, case):
    note_id = builders.draft(coach, case.case_id)
    for path in ("/draft", "/screening", "/discard"):
        assert coach_browser.get(f"/note/{note_id}{path}").status_code == 405
    stranger = app.test_client()
    answer = stranger.get(f"/note/{note_id}")
    assert answer.headers["Location"] == "/sign-in"


def test_note_lists_show_drafts_signed_notes_and_empty_states(app, team, coach_browser, case):
    coach = team["coach"]
    assert "All notes are signed." in coach_browser.text("/notes")
    assert "No notes yet" in coach_browser.text(f"/case/{case.number}/notes")
    builders.note(coach, case.case_id)
    builders.draft(coach, case.case_id, builders.SECTIONS | {"data": "A secret draft."})
    assert "Ines Okafor" in coach_browser.text("/notes")
    assert "A secret draft." in coach_browser.text(f"/case/{case.number}/notes")
    page = StaffBrowser(app, team["supervisor"]).text(f"/case/{case.number}/notes")
    assert "Slept six hours." in page
    assert "A secret draft." not in page


def test_choose_case_finds_open_cases(coach_browser, case):
    assert f"/case/{case.number}/notes/new" in coach_browser.text("/notes/new?q=okaf")
    assert "No open cases match." in coach_browser.text("/notes/new?q=nobody")
