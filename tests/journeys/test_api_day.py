"""A course of coaching through the API alone: intake, hold and release, stage, handout, report, audit log."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest

from caseapp.core.clock import at, now
from caseapp.domain.screening.protocol import ITEMS
from tests.api.api_client import assert_refused, staffed
from tests.support import safety_plans
from tests.support.followups import result_body

pytestmark = pytest.mark.both

CALM = {item.key: "none" for item in ITEMS} | {
    "asked_alone": True,
    "actions_taken": ["gave_numbers"],
}
INES = {
    "name": "Ines Okafor",
    "pronouns": "she/her",
    "email": "ines@example.org",
    "partner_name": "Sam Okafor",
    "safe_channels": ["call", "portal"],
    "consent_on": "2026-11-01",
    "consent_method": "written",
}


def write_note(coach, case_id, **sections):
    """Start a note about a session an hour ago, update it and sign it."""
    held = (now() - timedelta(hours=1)).isoformat()
    new = {
        "format": "dap",
        "session_at": held,
        "minutes": 50,
        "modality": "phone",
        "sections": sections,
    }
    draft = coach.post(
        f"/cases/{case_id}/notes", new, idempotency_key=f"note-{held[:19]}"
    ).get_json()
    saved = coach.patch(f"/notes/{draft['id']}", {"minutes": 55}, version=draft).get_json()
    signed = coach.post(f"/notes/{draft['id']}/sign", version=saved)
    assert signed.status_code == 200, signed.get_json()
    return signed.get_json()


def suitability(options, slug):
    """Return the suitability of one handout."""
    return next(item["for_case"] for item in options.get_json()["items"] if item["slug"] == slug)


@pytest.mark.pdf
def test_course_of_coaching_through_api(app, team):
    staff = staffed(app, team)
    coach, supervisor, admin = staff["coach"], staff["supervisor"], staff["admin"]
    today = now()

    # Intake: one request makes the client and the case.
    case = coach.post(
        "/cases", {"client": INES, "role": "spouse", "children": 2}, idempotency_key="intake-1"
    ).get_json()
    case_path, client_path = f"/cases/{case['id']}", f"/clients/{case['client_id']}"
    assert (case["stage"], case["hold"]) == ("steady", None)

    # A first screening finds a concern; the hold, its flag and its tasks are there at once.
    found = CALM | {"self_harm": "concern", "sleep": "watch", "actions_taken": ["told_supervisor"]}
    assert coach.post(f"{client_path}/screenings", found).status_code == 201
    hold = coach.get(f"{client_path}/holds").get_json()["items"][0]
    assert (hold["kind"], coach.get(case_path).get_json()["hold"]) == ("safety", "safety")
    tasks = coach.get(f"/followups?client={case['client_id']}").get_json()["items"]
    assert {"safety_24h", "tell_supervisor", "safety_plan"} <= {task["kind"] for task in tasks}

    # Nothing moves on meanwhile, and each refusal says why and how.
    refused = coach.post(f"{case_path}/stage", {"to": "understand"}, version=case)
    assert "hold_open" in assert_refused(refused)
    assert all(
        reason["way_out"]
        for reason in refused.get_json()["error"]["reasons"]
        if reason["code"] == "hold_open"
    )
    options = coach.get(f"/handouts?for_case={case['id']}")
    blocked = next(
        i["slug"] for i in options.get_json()["items"] if i["for_case"]["outcome"] == "blocked"
    )
    reasons = [reason["code"] for reason in suitability(options, blocked)["reasons"]]
    answer = coach.post(f"{case_path}/assignments", {"slug": blocked, "channel": "portal"})
    assert assert_refused(answer) == reasons
    assert (
        coach.post(
            f"/holds/{hold['id']}/release", {"reason": "All calm again."}, version=hold
        ).status_code
        == 403
    )

    # A day later somebody asks again; the supervisor sees what still blocks the release.
    with at(today + timedelta(days=1)):
        lower = CALM | {"below_reason": "Asked twice, and alone."}
        assert coach.post(f"{client_path}/screenings", CALM).status_code == 422
        assert coach.post(f"{client_path}/screenings", lower).status_code == 201
        why = {"reason": "Two calm screenings and every check made."}
        assert set(
            assert_refused(supervisor.post(f"/holds/{hold['id']}/release", why, version=hold))
        ) == {"task_open", "screening_too_early"}

    # Nine days later every check is made and a second calm screening stands.
    with at(today + timedelta(days=9)):
        coach.post(f"{client_path}/screenings", CALM)
        plan = {"kind": "safety", "answers": safety_plans.answers()}
        assert coach.post(f"{client_path}/safety-plans", plan, version='"0"').status_code == 201
        open_tasks = coach.get(f"/followups?client={case['client_id']}").get_json()["items"]
        for task in (each for each in open_tasks if each["kind"] != "plan_review"):
            done = coach.patch(f"/followups/{task['id']}", result_body(task), version=task)
            assert done.status_code == 200
        assert supervisor.get(f"/holds/{hold['id']}").get_json()["blockers"] == []
        cleared = supervisor.post(f"/holds/{hold['id']}/release", why, version=hold)
        assert cleared.get_json()["released_by"] == str(supervisor.actor.id)
        write_note(coach, case["id"], data="Slept.", assessment="Calmer.", plan="Walk daily.")

        # The gate now names only what the coach attests, and opens with a line for each.
        case = coach.get(case_path).get_json()
        missing = assert_refused(
            coach.post(f"{case_path}/stage", {"to": "understand"}, version=case)
        )
        evidence = dict.fromkeys(missing, "Talked through today.")
        moved = coach.post(
            f"{case_path}/stage", {"to": "understand", "evidence": evidence}, version=case
        )
        assert moved.status_code == 200, moved.get_json()
        assert moved.get_json()["stage"] == "understand"

        # A suitable handout is assigned; the assignment keeps its version.
        options = coach.get(f"/handouts?for_case={case['id']}&stage=understand")
        slug = next(
            item["slug"]
            for item in options.get_json()["items"]
            if item["for_case"]["outcome"] == "eligible"
            and "portal" in item["for_case"]["channels"]
        )
        wish = {"slug": slug, "channel": "portal", "message": "For the quiet hour on Sunday."}
        assignment = coach.post(
            f"{case_path}/assignments", wish, idempotency_key="assign-1"
        ).get_json()
        assert (assignment["stage"], assignment["blockers"]) == ("understand", [])
        assert coach.get(f"/assignments/{assignment['id']}/pdf").data.startswith(b"%PDF-")

        # The timeline tells all of it, newest first.
        kinds = [item["kind"] for item in coach.get(f"{case_path}/timeline").get_json()["items"]]
        assert kinds[0] == "handout"
        assert set(kinds) == {
            "session",
            "screening",
            "hold",
            "handout",
            "stage",
            "followup",
            "plan",
        }

        # The admin exports coded rows without a name.
        export = admin.post("/exports", {"format": "csv", "status": "open"}).get_json()
        text = admin.get(f"/exports/{export['id']}/file").get_data(as_text=True)
        assert len(list(csv.reader(io.StringIO(text)))) == export["rows"] + 1 == 2
        assert "Okafor" not in text

        # The log shows who did what, what was refused, and nothing that was said.
        log = admin.get(f"/audit?client={case['client_id']}&limit=200").get_json()["items"]
        done = {(item["action"], item["actor_role"]) for item in log}
        assert {
            ("client.create", "coach"),
            ("case.open", "coach"),
            ("screening.record", "coach"),
            ("hold.open", "coach"),
            ("hold.release", "supervisor"),
            ("note.sign", "coach"),
            ("case.move", "coach"),
            ("assignment.create", "coach"),
        } <= done
        assert {item["via"] for item in log} == {"api"}
        refusals = admin.get("/audit?outcome=refused").get_json()["items"]
        assert {item["action"] for item in refusals} == {
            "case.move",
            "assignment.create",
            "hold.release",
        }
        exported = admin.get("/audit?action=report.export").get_json()["items"]
        assert exported[-1]["details"]["rows"] == 1
        everything = admin.get("/audit?limit=200").get_data(as_text=True)
        for word in ("Okafor", "Slept", "quiet hour", "Spoken", "ines@"):
            assert word not in everything
