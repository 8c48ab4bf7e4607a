import pytest

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.domain.screening.protocol import ITEMS
from tests.api.api_client import (
    assert_error,
    assert_hidden,
    assert_needs_a_role,
    assert_needs_a_version,
    assert_only_answers,
    assert_refused,
    assert_refuses,
    assert_refuses_what_is_no_json,
    etag,
)
from tests.support import builders
from tests.support.staff_pages import Statements

SESSION_AT = "2026-11-20T10:00:00Z"
NEW = {
    "format": "dap",
    "session_at": SESSION_AT,
    "minutes": 50,
    "modality": "video",
    "sections": {"data": "Slept."},
}
COMPLETE = {"sections": {"data": "Slept well.", "assessment": "Calmer.", "plan": "Walk daily."}}


@pytest.fixture
def case(coach):
    return builders.case(coach.actor, "Ines Okafor")


@pytest.fixture
def path(case):
    return f"/cases/{case.case_id}/notes"


@pytest.fixture
def draft(coach, path):
    return coach.post(path, NEW).get_json()


def test_create_update_and_sign_note(coach, path):
    answer = coach.post(path, NEW)
    assert answer.status_code == 201
    draft = answer.get_json()
    assert (draft["status"], draft["sections"]["data"], draft["session_at"]) == (
        "draft",
        "Slept.",
        SESSION_AT,
    )
    assert answer.headers["Location"] == f"/api/v1/notes/{draft['id']}"
    here = f"/notes/{draft['id']}"
    assert coach.get(here).headers["ETag"] == etag(draft)
    saved = coach.patch(here, COMPLETE, version=draft)
    assert saved.get_json()["sections"] == COMPLETE["sections"]
    assert saved.headers["ETag"] == '"2"'
    assert_needs_a_version(coach, "POST", f"{here}/sign", None, saved.get_json())
    signed = coach.post(f"{here}/sign", version=saved.get_json())
    assert signed.status_code == 200
    assert (signed.get_json()["status"], len(signed.get_json()["sha256"])) == ("signed", 64)
    signature = signed.get_json()["signature"]
    assert (signature["role"], signature["meaning"]) == ("coach", "author")
    assert signature["signed_at"] == signed.get_json()["signed_at"]
    assert (saved.get_json()["signature"], signed.get_json()["is_as_signed"]) == (None, True)
    assert assert_refused(coach.patch(here, COMPLETE, version=signed.get_json())) == ["note_signed"]
    assert assert_refused(coach.post(f"{here}/sign", version=signed.get_json())) == ["note_signed"]
    assert coach.get(path).get_json()["items"] == [signed.get_json()]


def test_saved_level_that_opens_a_safety_hold_is_recorded_at_once(coach, case, draft):
    here, holds = f"/notes/{draft['id']}", f"/clients/{case.client_id}/holds"
    change = {"screening": {"self_harm": "concern", "sleep": "watch"}}
    saved = coach.patch(here, change, version=draft).get_json()
    assert saved["unrecorded_level"] is None
    assert [hold["kind"] for hold in coach.get(holds).get_json()["items"]] == ["safety"]
    again = coach.patch(here, change | COMPLETE, version=saved).get_json()
    assert again["screening_id"] == saved["screening_id"]
    screenings = coach.get(f"/clients/{case.client_id}/screenings").get_json()["items"]
    assert [item["id"] for item in screenings] == [saved["screening_id"]]


def test_sign_note_records_its_levels(coach, case, draft):
    here = f"/notes/{draft['id']}"
    levels = {item.key: "none" for item in ITEMS} | {"sleep": "concern"}
    saved = coach.patch(here, COMPLETE | {"screening": levels}, version=draft).get_json()
    assert saved["unrecorded_level"] == 2
    assert coach.get(f"/clients/{case.client_id}/holds").get_json()["items"] == []
    signed = coach.post(f"{here}/sign", version=saved).get_json()
    assert signed["unrecorded_level"] is None
    screenings = coach.get(f"/clients/{case.client_id}/screenings").get_json()["items"]
    assert [item["id"] for item in screenings] == [signed["screening_id"]]
    holds = coach.get(f"/clients/{case.client_id}/holds").get_json()["items"]
    assert [hold["kind"] for hold in holds] == ["care"]


def test_sign_incomplete_note_names_missing_sections(coach, draft):
    answer = coach.post(f"/notes/{draft['id']}/sign", version=draft)
    assert assert_error(answer, 422, "invalid")["fields"].keys() == {"assessment", "plan"}


def test_create_note_twice_with_one_key_makes_one(coach, path):
    first = coach.post(path, NEW, idempotency_key="a")
    assert coach.post(path, NEW, idempotency_key="a").get_json() == first.get_json()
    assert assert_refused(coach.post(path, NEW | {"minutes": 5}, idempotency_key="a")) == [
        "idempotency_key_reused"
    ]
    assert len(coach.get(path).get_json()["items"]) == 1


def test_second_draft_of_a_case_is_refused_unless_it_is_another_note(coach, path, draft):
    assert assert_refused(coach.post(path, NEW)) == ["draft_stands"]
    assert coach.get(path).get_json()["items"] == [draft]
    assert coach.post(path, NEW | {"another": True}).status_code == 201


def test_last_plan_is_brought_forward_into_a_draft(coach, case, draft):
    here = f"/notes/{draft['id']}"
    assert assert_refused(coach.post(f"{here}/plan", version=draft)) == ["no_plan"]
    later = coach.patch(here, {"session_at": now().isoformat()}, version=draft).get_json()
    builders.note(coach.actor, case.case_id, days_ago=3)
    assert_needs_a_version(coach, "POST", f"{here}/plan", None, later)
    brought = coach.post(f"{here}/plan", version=later).get_json()
    assert brought["sections"]["plan"].endswith(":\nKeep the log.")
    assert brought["version"] == 3


def test_earlier_text_of_a_draft_is_listed_and_put_back(staff, coach, case):
    here = f"/notes/{builders.revised_draft(coach.actor, case.case_id)}"
    draft = coach.get(here).get_json()
    found = coach.get(f"{here}/revisions").get_json()["items"]
    plans = [one["sections"]["plan"] for one in found]
    assert plans == ["Keep the log, version 1.", "Keep the log."]
    restore = f"{here}/revisions/{found[1]['id']}/restore"
    assert_needs_a_version(coach, "POST", restore, None, draft)
    restored = coach.post(restore, version=draft).get_json()
    assert restored["sections"]["plan"] == "Keep the log."
    assert len(coach.get(f"{here}/revisions").get_json()["items"]) == 3
    for method, path in (("GET", f"{here}/revisions"), ("POST", restore)):
        answer = staff["supervisor"].send(method, path, version='"1"')
        assert_error(answer, 404, "not_found")


def test_rest_as_last_time_is_copied_and_confirmed(coach, case, draft):
    here = f"/notes/{draft['id']}"
    assert assert_refused(coach.post(f"{here}/copied-answers", version=draft)) == [
        "nothing_to_copy"
    ]
    builders.screen(coach.actor, case.client_id, days_ago=7, sleep="watch")
    draft = coach.patch(here, {"session_at": now().isoformat()}, version=draft).get_json()
    copied = coach.post(f"{here}/copied-answers", version=draft).get_json()
    assert copied["copied_answers"]["sleep"] == 1
    assert "self_harm" not in copied["copied_answers"]
    confirmed = coach.post(f"{here}/copied-answers/confirm", version=copied).get_json()
    assert (confirmed["copied_answers"], confirmed["unrecorded_level"]) == ({}, 1)


def test_notes_with_invalid_input_change_nothing(coach, path, draft):
    assert_refuses(
        coach,
        "POST",
        path,
        [
            ("format", {}),
            ("format", NEW | {"format": "poem"}),
            ("session_at", NEW | {"session_at": "yesterday"}),
            ("session_at", NEW | {"session_at": "9999-12-31T23:59:59-14:00"}),
            ("minutes", NEW | {"minutes": "long"}),
            ("sections.poem.key", NEW | {"sections": {"poem": "x"}}),
            ("sections", NEW | {"sections": "x"}),
            ("data", NEW | {"sections": {"data": "x" * 1_000_000}}),
            ("colour", NEW | {"colour": "red"}),
        ],
    )
    assert_refuses_what_is_no_json(coach, "POST", path)
    here = f"/notes/{draft['id']}"
    assert_refuses(
        coach,
        "PATCH",
        here,
        [
            ("body", {}),
            ("status", {"status": "signed"}),
            ("minutes", {"minutes": -1}),
            ("data", {"sections": {"data": "x" * 1_000_000}}),
            ("sections.data", {"sections": {"data": "\x00"}}),
            ("screening.sleep", {"screening": {"sleep": "awful"}}),
        ],
        version=draft,
    )
    assert_refuses_what_is_no_json(coach, "PATCH", here, version=draft)
    assert_needs_a_version(coach, "PATCH", here, COMPLETE, draft)
    assert coach.get(path).get_json()["items"] == [draft]


def test_foreign_notes_and_drafts_look_missing(staff, stranger, case, path, draft):
    assert_hidden(stranger, "GET", "/cases/{}/notes", case.case_id)
    assert_hidden(stranger, "POST", "/cases/{}/notes", case.case_id, NEW)
    for client in (stranger, staff["supervisor"]):
        assert_hidden(client, "GET", "/notes/{}", draft["id"])
        assert_hidden(client, "PATCH", "/notes/{}", draft["id"], COMPLETE, version='"1"')
        assert_hidden(client, "POST", "/notes/{}/sign", draft["id"], version='"1"')
    assert staff["supervisor"].get(path).get_json()["items"] == []


def test_notes_as_admin_are_403(staff, path, draft):
    here = f"/notes/{draft['id']}"
    assert_needs_a_role(
        staff["admin"],
        ("GET", path),
        ("POST", path),
        ("GET", here),
        ("PATCH", here),
        ("POST", f"{here}/sign"),
    )


def test_notes_answer_only_listed_methods(coach, path, draft):
    assert_only_answers(coach, path, "GET", "POST")
    assert_only_answers(coach, f"/notes/{draft['id']}", "GET", "PATCH")
    assert_only_answers(coach, f"/notes/{draft['id']}/sign", "POST")


def test_list_notes_of_an_empty_case_is_empty_and_of_a_foreign_one_404(coach, stranger, case, path):
    assert coach.get(path).get_json() == {"items": [], "next": None}
    assert_error(stranger.get(path), 404, "not_found")


@pytest.mark.both
def test_frequent_note_calls_take_few_statements(coach, path, draft):
    """SQLite locks the whole database with BEGIN; PostgreSQL locks the client in a statement of its own.

    The end of the log is read before the event is written.
    """
    locks = int(db.engine.dialect.name == "postgresql")
    coach.get(path)
    with Statements() as reading:
        assert coach.get(f"{path}?limit=5").status_code == 200
    assert len(reading.seen) == 2, reading.seen
    with Statements() as writing:
        assert coach.post(path, NEW | {"another": True}).status_code == 201
    assert len(writing.seen) == 5 + locks, writing.seen


def test_addenda_stand_with_a_signed_note(staff, coach, case):
    note_id = builders.note(coach.actor, case.case_id)
    here = f"/notes/{note_id}"
    before = coach.get(here).get_json()
    wrong = {"kind": "correction", "reason": "I wrote the wrong day."}
    right = wrong | {"session_at": "2026-11-19T10:00:00Z", "minutes": 45}
    added = coach.post(f"{here}/addenda", right, idempotency_key="a")
    assert (added.status_code, added.headers["Location"]) == (201, f"/api/v1{here}")
    again = coach.post(f"{here}/addenda", right, idempotency_key="a")
    after = coach.get(here).get_json()
    assert added.get_json() == again.get_json() == after
    assert (after["actual_session_at"], after["actual_minutes"]) == ("2026-11-19T10:00:00Z", 45)
    [addendum] = after["addenda"]
    assert (addendum["kind"], addendum["reason"]) == ("correction", wrong["reason"])
    changed = {"actual_session_at", "actual_minutes", "addenda", "version"}
    assert {name for name in after if after[name] != before[name]} == changed
    assert_refuses(
        coach,
        "POST",
        f"{here}/addenda",
        [
            ("kind", {}),
            ("kind", {"kind": "late_entry", "text": "x"}),
            ("text", wrong),
            ("reason", {"kind": "in_error"}),
            ("reason", {"kind": "in_error", "reason": "short"}),
            ("minutes", {"kind": "addition", "text": "x", "minutes": 5}),
            ("created_at", right | {"created_at": "2026-11-19T10:00:00Z"}),
        ],
    )
    error = coach.post(f"{here}/addenda", {"kind": "in_error", "reason": "For somebody else."})
    assert error.get_json()["in_error"]
    more = {"kind": "addition", "text": "She rang."}
    assert assert_refused(coach.post(f"{here}/addenda", more)) == ["note_in_error"]
    draft = coach.post(f"/cases/{case.case_id}/notes", NEW).get_json()
    assert assert_refused(coach.post(f"/notes/{draft['id']}/addenda", more)) == ["note_not_signed"]


def test_note_moves_to_another_clients_case(coach, case):
    other = builders.case(coach.actor, "Tom Vale")
    note_id = builders.note(coach.actor, case.case_id)
    here, body = f"/notes/{note_id}/move", {"case_id": str(other.case_id)}
    signed = etag({"version": 2})
    wrong = [("reason", body), ("case_id", {"reason": "Wrong case open."})]
    assert_refuses(coach, "POST", here, wrong, version=signed)
    reason = {"reason": "I had the wrong case open."}
    assert coach.post(here, {"case_id": str(note_id)} | reason, version=signed).status_code == 404
    moved = coach.post(here, body | reason, version=signed)
    assert moved.status_code == 200
    note = moved.get_json()
    assert (note["case_id"], note["client_id"]) == (str(other.case_id), str(other.client_id))
    assert (note["is_as_signed"], note["version"]) == (True, 3)
    [move] = note["moves"]
    assert (move["reason"], move["role"]) == (reason["reason"], "coach")
    again = coach.post(here, body | reason, version=etag(note))
    assert assert_refused(again) == ["note_in_this_record"]
