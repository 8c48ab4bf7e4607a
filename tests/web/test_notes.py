import re
from uuid import uuid4

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.queries import get_note
from caseapp.domain.screening.models import Screening
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.queries import get_safety_state
from tests.domain.dashboard import bulk_rows
from tests.support import builders
from tests.support.staff_pages import StaffBrowser, Statements

AUTOSAVE = {"X-Requested-With": "autosave"}
ALL_NONE = {item.key: "none" for item in ITEMS}


@pytest.fixture
def coach(team):
    return team["coach"]


@pytest.fixture
def desk(app, coach):
    return StaffBrowser(app, coach)


@pytest.fixture
def case(coach):
    return builders.case(coach, "Ines Okafor")


def count(model):
    db.session.rollback()
    return db.session.scalar(sa.select(sa.func.count()).select_from(model))


def now_shown(actor, note_id):
    db.session.rollback()
    return get_note(actor, note_id)


def start(desk, case, **changes):
    return desk.send(f"/case/{case.number}/notes/new", **changes)


def test_a_coach_starts_writes_screens_and_signs(desk, coach, case):
    answer = start(desk, case, format="soap", minutes="50", modality="phone")
    assert answer.status_code == 303
    path = answer.headers["Location"]
    page = desk.text(path)
    for words in ("Subjective", "Objective", "Assessment", "Plan", "Draft, only you can see it"):
        assert words in page
    texts = {key: f"About {key}." for key in ("subjective", "objective", "assessment", "plan")}
    answer = desk.send(
        path, **texts, **(ALL_NONE | {"fear_at_home": "concern"}), asked_alone="yes", do="sign"
    )
    assert answer.headers["Location"] == f"{path}/sign"
    page = desk.text(f"{path}/sign")
    assert "Signing opens a safety hold" in page
    assert "You sign as Marta Lindqvist" in page
    answer = desk.send(f"{path}/sign")
    assert answer.headers["Location"] == f"/case/{case.number}/hold"
    page = desk.text(path)
    assert "About objective." in page
    assert "SHA-256" in page
    assert "<textarea" not in page
    assert get_safety_state(case.client_id).hold == "safety"


def test_a_form_sent_twice_starts_one_note_and_both_answers_lead_to_it(desk, case):
    path = f"/case/{case.number}/notes/new"
    fields = desk.form(path).fields
    answers = [desk.post(path, fields) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert count(Note) == 1


def test_an_empty_start_names_its_fields_and_keeps_what_was_typed(desk, case):
    answer = start(desk, case, session_at="", format=None, minutes="75")
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
def test_a_wrong_value_starts_nothing(desk, case, field, value):
    assert start(desk, case, **{field: value}).status_code == 422
    assert count(Note) == 0


def test_autosave_answers_with_the_next_version(desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    fields = desk.form(f"/note/{note_id}").fields | {"plan": "Ring on Tuesday."}
    answer = desk.browser.post(f"/note/{note_id}/draft", data=fields, headers=AUTOSAVE)
    assert answer.status_code == 200
    assert answer.json["version"] == 2
    assert set(answer.json) == {"version", "saved_at", "saved"}
    assert now_shown(coach, note_id).sections["plan"] == "Ring on Tuesday."


def test_an_autosave_from_an_old_version_tells_both_times_and_changes_nothing(desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    old = desk.form(f"/note/{note_id}").fields
    path = f"/note/{note_id}/draft"
    desk.post(path, old | {"plan": "The newer plan."})
    answer = desk.post(path, old | {"plan": "The older plan."})
    assert answer.status_code == 409
    assert answer.json["code"] == "stale"
    assert answer.json["version"] == 2
    assert {"saved_at", "sent_at", "saved", "sent"} <= set(answer.json)
    assert now_shown(coach, note_id).sections["plan"] == "The newer plan."


def test_a_repeated_autosave_whose_answer_was_lost_does_no_harm(desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    fields = desk.form(f"/note/{note_id}").fields | {"plan": "Ring."}
    answers = [desk.post(f"/note/{note_id}/draft", fields) for _ in range(2)]
    assert [(answer.status_code, answer.json["version"]) for answer in answers] == [(200, 2)] * 2


def test_an_autosave_after_signing_out_says_so(desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    fields = desk.form(f"/note/{note_id}").fields
    desk.send("/notes", "/sign-out")
    answer = desk.browser.post(f"/note/{note_id}/draft", data=fields, headers=AUTOSAVE)
    assert answer.status_code == 401


def test_an_autosave_of_a_signed_note_is_refused(desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    fields = desk.form(f"/note/{note_id}").fields
    desk.send(f"/note/{note_id}/sign")
    answer = desk.post(f"/note/{note_id}/draft", fields | {"plan": "After the fact."})
    assert (answer.status_code, answer.json["code"]) == (409, "note_signed")
    assert now_shown(coach, note_id).sections == builders.SECTIONS


@pytest.mark.parametrize("path", ["", "/draft"])
def test_a_note_of_one_megabyte_is_refused_in_clear_words(desk, coach, case, path):
    note_id = builders.draft(coach, case.case_id)
    fields = desk.form(f"/note/{note_id}").fields | {"data": "x" * 1024 * 1024}
    answer = desk.post(f"/note/{note_id}{path}", fields)
    assert answer.status_code == 422
    assert "100,000 characters" in answer.get_data(as_text=True)
    assert now_shown(coach, note_id).version == 1


def test_a_stale_form_shows_both_times_keeps_its_text_and_can_then_be_kept(desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    old = desk.form(path).fields
    desk.post(path, old | {"plan": "The newer plan."})
    answer = desk.post(path, old | {"plan": "The older plan."})
    page = answer.get_data(as_text=True)
    assert answer.status_code == 412
    assert "saved in another window" in page
    assert "The older plan." in page
    assert 'data-conflict role="alert" hidden' not in page
    assert now_shown(coach, note_id).sections["plan"] == "The newer plan."
    version = re.search(r'name="version" value="(\d+)"', page)[1]
    assert desk.post(path, old | {"plan": "The older plan.", "version": version}).status_code == 303
    assert now_shown(coach, note_id).sections["plan"] == "The older plan."


def test_a_form_without_its_version_is_refused(desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    assert desk.send(f"/note/{note_id}", version=None).status_code == 422
    assert desk.send(f"/note/{note_id}", version="soon").status_code == 422


def test_what_is_missing_stops_the_signature_and_the_draft_is_saved(desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    answer = desk.send(path, plan="", data="Kept.", sleep="watch", do="sign")
    answer = desk.get(answer.headers["Location"])
    page = answer.get_data(as_text=True)
    assert answer.status_code == 422
    assert 'href="#plan"' in page
    assert 'href="#fear_at_home"' in page
    assert 'href="#sleep"' not in page
    assert now_shown(coach, note_id).sections["data"] == "Kept."
    assert desk.send(path, "/note/" + str(note_id), do="save").status_code == 303
    assert desk.post(f"{path}/sign", {**desk.form(path).fields}).status_code == 422
    assert now_shown(coach, note_id).status == "draft"


def test_a_question_left_blank_stays_blank_on_the_page(desk, coach, case):
    note_id = builders.draft(coach, case.case_id, levels={"sleep": 1, "work": None})
    fields = desk.form(f"/note/{note_id}").fields
    assert (fields["sleep"], fields["work"]) == (["watch"], ["not_asked"])
    assert "eating" not in fields
    answer = desk.send(f"/note/{note_id}", version="999", plan="Other.")
    assert answer.status_code == 412
    assert 'name="eating" value="not_asked" checked' not in answer.get_data(as_text=True)


def test_the_confirmation_says_when_there_was_no_screening(desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    assert "No screening in this session." in desk.text(f"/note/{note_id}/sign")
    asked = builders.draft(coach, case.case_id, levels={item.key: None for item in ITEMS})
    assert "Nothing was asked in this session." in desk.text(f"/note/{asked}/sign")


def test_signing_twice_leads_to_the_same_record(desk, coach, case):
    note_id = builders.draft(coach, case.case_id, levels={item.key: 0 for item in ITEMS})
    path = f"/note/{note_id}/sign"
    fields = desk.form(path).fields
    answers = [desk.post(path, fields) for _ in range(2)]
    assert {answer.headers["Location"] for answer in answers} == {f"/note/{note_id}"}
    assert count(Screening) == 1


def test_an_unrecorded_concern_shows_its_steps_and_recording_leads_to_the_hold(desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    desk.send(path, self_harm="urgent")
    page = desk.text(path)
    assert "an urgent level" in page
    assert "Stay with the client" in page
    assert get_safety_state(case.client_id).hold is None
    db.session.rollback()
    fields = desk.form(path).fields | {"actions_taken": ["gave_numbers"]}
    answers = [desk.post(f"{path}/screening", fields) for _ in range(2)]
    assert {answer.headers["Location"] for answer in answers} == {f"/case/{case.number}/hold"}
    assert count(Screening) == 1
    assert get_safety_state(case.client_id).hold == "safety"
    assert "Recorded today" in desk.text(path)


def test_recording_nothing_is_refused_and_keeps_the_words(desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    fields = desk.form(f"/note/{note_id}").fields | {"plan": "Not saved yet."}
    answer = desk.post(f"/note/{note_id}/screening", fields)
    assert answer.status_code == 422
    assert "Not saved yet." in answer.get_data(as_text=True)
    assert now_shown(coach, note_id).version == 1


def test_the_format_changes_with_every_word(desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    path = f"/note/{note_id}"
    desk.send(path, data="Unsaved so far.", to_format="free")
    text = desk.form(path).fields["text"][0]
    assert "Unsaved so far." in text
    assert "Keep the log." in text


def test_a_draft_is_discarded(desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    fields = desk.form(f"/note/{note_id}").fields
    answer = desk.post(f"/note/{note_id}/discard", fields)
    assert answer.headers["Location"] == f"/case/{case.number}/notes"
    desk.text(f"/note/{note_id}", 404)
    grave = builders.draft(coach, case.case_id, levels={"self_harm": 3})
    answer = desk.post(f"/note/{grave}/discard", desk.form(f"/note/{grave}").fields)
    assert answer.status_code == 409
    assert "not recorded yet" in answer.get_data(as_text=True)
    desk.text(f"/note/{grave}")


@pytest.mark.parametrize("who", ["coach2", "supervisor"])
def test_somebody_elses_draft_looks_missing(app, team, desk, case, who):
    note_id = builders.draft(team["coach"], case.case_id)
    fields = desk.form(f"/note/{note_id}").fields
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
    assert now_shown(team["coach"], note_id).version == 1


def test_a_foreign_case_looks_missing_and_an_admin_is_told_no(app, team, case):
    other, admin = StaffBrowser(app, team["coach2"]), StaffBrowser(app, team["admin"])
    for path in (f"/case/{case.number}/notes", f"/case/{case.number}/notes/new"):
        assert other.get(path).status_code == 404
        assert admin.get(path).status_code == 403
    for path in ("/notes", "/notes/new"):
        assert admin.get(path).status_code == 403


def test_nobody_reads_or_changes_a_note_on_get_or_unsigned_in(app, desk, coach, case):
    note_id = builders.draft(coach, case.case_id)
    for path in ("/draft", "/screening", "/discard"):
        assert desk.get(f"/note/{note_id}{path}").status_code == 405
    stranger = app.test_client()
    answer = stranger.get(f"/note/{note_id}")
    assert answer.headers["Location"] == "/sign-in"


def test_the_lists_show_drafts_signed_notes_and_their_empty_states(app, team, desk, case):
    coach = team["coach"]
    assert "All notes are signed." in desk.text("/notes")
    assert "No notes yet" in desk.text(f"/case/{case.number}/notes")
    builders.note(coach, case.case_id)
    builders.draft(coach, case.case_id, builders.SECTIONS | {"data": "A secret draft."})
    assert "Ines Okafor" in desk.text("/notes")
    assert "A secret draft." in desk.text(f"/case/{case.number}/notes")
    page = StaffBrowser(app, team["supervisor"]).text(f"/case/{case.number}/notes")
    assert "Slept six hours." in page
    assert "A secret draft." not in page


def test_a_note_can_be_started_by_finding_the_case(desk, case):
    assert f"/case/{case.number}/notes/new" in desk.text("/notes/new?q=okaf")
    assert "No open case matches." in desk.text("/notes/new?q=nobody")


@pytest.mark.slow
def test_the_lists_ask_the_same_number_of_things_of_10_and_of_1000(desk, coach, case):
    bulk_rows.history(coach, case, 10)
    bulk_rows.caseload(coach, 10)
    paths = ("/notes", f"/case/{case.number}/notes")
    for path in paths:
        desk.text(path)
    counts = []
    for more in (0, 990):
        if more:
            bulk_rows.history(coach, case, more, since=10)
            bulk_rows.caseload(coach, more, since=10)
        for path in paths:
            with Statements() as statements:
                desk.text(path)
            counts.append(len(statements.seen))
    assert counts[:2] == counts[2:]
    assert max(counts) <= 15
