"""The API against its description: any request gets an answer as described."""

from __future__ import annotations

from contextvars import Context
from datetime import timedelta
from itertools import count

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from caseapp.core.actor import operator
from caseapp.core.transaction import transaction
from caseapp.domain.auth.operations import create_token
from caseapp.domain.practice.queries import today
from caseapp.domain.worksheets.operations import share_answers
from caseapp.domain.worksheets.queries import lock_worksheet
from tests.api.api_client import NOBODYS
from tests.support import builders, intakes, portal_client, safety_plans
from tests.support import staff as people
from tests.support.depth import times
from tests.support.staff_pages import StaffBrowser

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ADMINS = {"exports", "audit", "people", "practice"}
EXAMPLES = {GenerationMode.POSITIVE: times(4), GenerationMode.NEGATIVE: times(3)}


def apart(app):
    """Serve each request in its own context, as a server would."""

    def serve(environ, start_response):
        def whole():
            answer = app.wsgi_app(environ, start_response)
            try:
                return [b"".join(answer)]
            finally:
                answer.close()

        return Context().run(whole)

    return serve


@pytest.fixture
def records(app, staff):
    """Create one record of each kind, so that half of the addresses exist."""
    coach, admin = staff["coach"], staff["admin"]
    made = builders.steady_case(coach.actor, "Ines Okafor")
    note = coach.post(
        f"/cases/{made.case_id}/notes", {"format": "free", "session_at": "2026-11-20T10:00:00Z"}
    )
    wish = {"slug": "first-days-pause", "channel": "portal", "confirmed": True}
    assignment = coach.post(f"/cases/{made.case_id}/assignments", wish)
    client = portal_client.reader(made.client_id, "Ines")
    with transaction():
        share_answers(
            client,
            lock_worksheet(client, assignment.get_json()["position"]),
            {"what_happened": "Rang."},
            0,
        )
    several = {"cases": [str(made.case_id)], "channel": "print"}
    bulk_assignment = coach.post("/handouts/first-days-pause/bulk-assignments", several)
    assert bulk_assignment.status_code == 202
    export = admin.post("/exports", {"format": "csv"})
    assert (note.status_code, assignment.status_code, export.status_code) == (201, 201, 201)
    StaffBrowser(app, coach.actor)
    held = builders.client(coach.actor)
    # The coach is alerted of what somebody else has recorded.
    builders.screen(staff["supervisor"].actor, held, sleep="concern")
    safety_plans.write(coach.actor, held)
    snippet = coach.post("/snippets", {"title": "Sleep", "text": "Slept well."})
    given = {"given_on": today().isoformat(), "method": "written"}
    consent = coach.post(f"/clients/{held}/consents", given)
    contact = coach.post(f"/clients/{held}/contacts", {"kind": "no_show"})
    with transaction():
        spare, _ = create_token(operator(), "coach@practice.test", "spare")
    denial = {"number": made.number, "user_id": str(admin.actor.id), "reason": "relative"}
    plan = coach.get(f"/clients/{held}/safety-plans").get_json()["items"][0]
    day = today().isoformat()
    body = {
        "user_id": str(staff["coach2"].actor.id),
        "starts_on": day,
        "ends_on": day,
        "clients": [str(made.client_id)],
    }
    cover = coach.post(f"/coaches/{coach.actor.id}/covers", body).get_json()
    taken = builders.case(staff["coach2"].actor)
    wanted = {"to_id": str(coach.actor.id), "reason": "other", "clients": [str(taken.client_id)]}
    assert staff["coach2"].post(f"/coaches/{body['user_id']}/transfers", wanted).status_code == 201
    accepted_id = coach.get("/transfers").get_json()["items"][0]["id"]
    assert coach.post(f"/transfers/{accepted_id}/accept").status_code == 200
    offer = {"to_id": body["user_id"], "reason": "other", "clients": body["clients"]}
    assert coach.post(f"/coaches/{coach.actor.id}/transfers", offer).status_code == 201
    offered = [one for one in coach.get("/transfers").get_json()["items"] if one["may_withdraw"]]
    foreign = builders.case(staff["coach2"].actor).number
    held_by_law = {"number": builders.case(coach.actor).number, "kind": "law"}
    held_by_law["review_on"] = (today() + timedelta(days=90)).isoformat()
    emergency = {"number": foreign, "reason": "contact", "words": "She rang, Jonas is ill."}
    leaving = builders.client(coach.actor)
    erasure = coach.post(f"/clients/{leaving}/erasures", {"ground": "error"})
    erasure_id = erasure.get_json()["id"]
    # Done, so that there is a certificate.
    assert staff["supervisor"].post(f"/erasures/{erasure_id}/erase").status_code == 200
    return {
        "intake_id": coach.post("/intakes", intakes.BODY).get_json()["id"],
        "accepted_id": accepted_id,
        "transfer_id": offered[0]["id"],
        "denial_id": staff["supervisor"].post("/denied-access", denial).get_json()["id"],
        "emergency_id": coach.post("/emergency-access", emergency).get_json()["id"],
        "erasure_id": erasure_id,
        "legal_hold_id": admin.post("/legal-holds", held_by_law).get_json()["id"],
        "left_draft_id": str(
            builders.left_draft(coach.actor, people.add("leaver", role="coach"), made.case_id)
        ),
        "coach_id": str(coach.actor.id),
        "cover_id": cover["id"],
        "covered_id": str(made.client_id),
        "plan_id": plan["plan_id"],
        "consent_id": consent.get_json()["id"],
        "contact_id": contact.get_json()["id"],
        "alert_id": coach.get("/alerts").get_json()["items"][0]["id"],
        "client_id": str(held),
        "case_id": str(made.case_id),
        "note_id": note.get_json()["id"],
        "revision_id": note.get_json()["id"],
        "signed_note_id": str(builders.note(coach.actor, made.case_id)),
        "assignment_id": assignment.get_json()["id"],
        "export_id": export.get_json()["id"],
        "bulk_assignment_id": bulk_assignment.get_json()["id"],
        "hold_id": coach.get(f"/clients/{held}/holds").get_json()["items"][0]["id"],
        "screening_id": coach.get(f"/clients/{held}/screenings").get_json()["items"][0]["id"],
        "snippet_id": snippet.get_json()["id"],
        "token_id": str(spare),
        "session_id": coach.get("/me/sessions").get_json()["items"][0]["id"],
        "followup_id": coach.get("/followups").get_json()["items"][0]["id"],
        "user_id": str(staff["coach2"].actor.id),
        "slug": "first-days-pause",
        "group": "alerts",
    }


def who_asks(operation):
    """Choose a person whose role includes the action."""
    if operation.tags[0] in ADMINS:
        return "admin"
    supervisors = (
        *("/release", "/recall", "/hand-over", "/decision", "/review"),
        *("/cosign", "/return", "/consent-texts", "/erase", "/refuse"),
    )
    is_supervisors = operation.path.endswith(supervisors)
    return (
        "supervisor"
        if is_supervisors
        or operation.tags[0] in {"board", "denials", "left_drafts", "legal_holds", "retention"}
        else "coach"
    )


def walk(operation, mode, token, records):
    """Send requests that the description allows or forbids; return the statuses."""
    statuses = set()
    # Each second request is about a record that exists, the first one too.
    turn = count()

    @settings(
        max_examples=EXAMPLES[mode],
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        case=operation.as_strategy(generation_mode=mode),
        version=st.sampled_from([None, '"1"', '"2"', '"3"']),
    )
    def holds(case, version):
        real = next(turn) % 2 == 0
        for name in case.path_parameters or {}:
            if real:
                case.path_parameters[name] = records[name]
            elif mode is GenerationMode.POSITIVE:
                case.path_parameters[name] = NOBODYS
        if operation.path.endswith("/recall") and real:
            # The handout that the other calls read must stay.
            case.path_parameters["slug"] = "better-nights"
        if real and "/covers/" in operation.path and "client_id" in case.path_parameters:
            case.path_parameters["client_id"] = records["covered_id"]
        if real and isinstance(case.body, dict) and "client_id" in case.body:
            case.body["client_id"] = records["client_id"]
        if operation.path.endswith("/packet") and real and "assignment" in (case.query or {}):
            case.query["assignment"] = [records["assignment_id"]]
        headers = {"Authorization": f"Bearer {token}"}
        if version and "If-Match" in (case.headers or {}):
            headers["If-Match"] = version
        answer = case.call(headers=headers)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=CHECKS)

    holds()
    return statuses


@pytest.mark.soak
@pytest.mark.pdf
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_api_answers_as_described(app, staff, records, mode):
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", apart(app))
    seen = {}
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]
        token = staff[who_asks(operation)].token
        seen[operation.label] = walk(operation, mode, token, records)
    assert len(seen) == sum(len(item.keys() - {"parameters"}) for item in schema.values())
    if mode is GenerationMode.POSITIVE:
        reads = {label: statuses for label, statuses in seen.items() if label.startswith("GET")}
        assert [label for label, statuses in reads.items() if 200 not in statuses] == []
