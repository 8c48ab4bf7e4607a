"""Every list of the API is paged the same way: `limit` and `cursor` in, `items` and `next` out."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.api.blueprint import PAGE_SIZE
from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.pagination import LARGEST_PAGE
from caseapp.core.transaction import transaction
from caseapp.domain.audit.security_events import BURST, count_event
from caseapp.domain.auth.operations import create_token
from caseapp.domain.cases.models import Case
from caseapp.domain.clients.codes import SECOND_PERSON
from caseapp.domain.clients.memberships import join_for
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.practice.models import Practice
from caseapp.domain.practice.queries import today
from caseapp.domain.safety_plans.codes import EXIT, SAFETY
from caseapp.domain.screening.operations import set_manual_flag
from tests.api.api_client import BASE, NOBODYS, assert_error, etag
from tests.support import builders, intakes, safety_plans
from tests.support import staff as people
from tests.support.staff_pages import StaffBrowser

UNFIT_CURSOR = "WzcuNV0"
# Lists for admins and for supervisors; everybody else's coach asks for the others. Who opens a hold isn't alerted.
ADMINS = {"/audit", "/exports", "/people", "/security-events"}
SUPERVISORS = {
    "/alerts",
    "/board/{group}",
    "/denied-access",
    "/left-drafts",
    "/legal-holds",
    "/new-codes",
    "/retention",
}


def who_asks(template):
    return "admin" if template in ADMINS else "supervisor" if template in SUPERVISORS else "coach"


@pytest.fixture
def description(app):
    return app.test_client().get(f"{BASE}/openapi.json").get_json()


def resolve(description, schema):
    name = schema.get("$ref", "").rpartition("/")[2]
    return description["components"]["schemas"][name] if name else schema


def read_answers(description):
    """Give the path, parameters and JSON schema of every read of the API."""
    for path, item in description["paths"].items():
        content = item.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "application/json" in content:
            parameters = item.get("parameters", []) + item["get"].get("parameters", [])
            yield path, parameters, resolve(description, content["application/json"]["schema"])


def is_list(schema):
    """Tell a list from a record, which has an id; a bulk assignment has items and an id."""
    return "items" in schema["properties"] and "id" not in schema["properties"]


def list_paths(description):
    """Give the path of every list, without the prefix."""
    return [
        path.removeprefix(BASE) for path, _, schema in read_answers(description) if is_list(schema)
    ]


def test_every_list_takes_limit_and_cursor_and_answers_items_and_next(description):
    found = 0
    for path, parameters, schema in read_answers(description):
        if not is_list(schema):
            assert "next" not in schema["properties"], path
            continue
        found += 1
        assert schema["properties"].keys() == {"items", "next"}, path
        assert sorted(schema["required"]) == ["items", "next"], path
        given = {one["name"]: one["schema"] for one in parameters if one["in"] == "query"}
        assert given["cursor"]["type"] == "string", path
        assert given["limit"] == {
            "type": "integer",
            "minimum": 1,
            "maximum": LARGEST_PAGE,
            "default": PAGE_SIZE,
        }, path
    assert found >= 14


def make_codes(coach, client_id):
    """Make codes for a client, and new ones for a reason, have two devices remembered, and write a snippet."""
    snippet = {"title": "Codes", "text": "We went through the codes."}
    assert coach.post("/snippets", snippet).status_code == 201
    for reason in (None, "lost"):
        codes = coach.post(f"/clients/{client_id}/portal-codes", {"reason": reason})
        assert codes.status_code == 201
    builders.remember_devices(client_id, 2)


def move_a_note(coach, case_id):
    """Move a draft from a case to that of another client."""
    other = builders.case(coach.actor)
    there = {"case_id": str(other.case_id), "reason": "The wrong case was open."}
    note_id = builders.draft(coach.actor, case_id)
    moved = coach.post(f"/notes/{note_id}/move", there, version=etag({"version": 1}))
    assert moved.status_code == 200


def make_consents(coach, supervisor, client_id):
    """Publish two texts, record that a client gave consent twice, and request two erasures of others."""
    for _ in range(2):
        consent = {"given_on": today().isoformat(), "method": "written"}
        assert coach.post(f"/clients/{client_id}/consents", consent).status_code == 201
        given = {"disclosed_on": consent["given_on"], "recipient": "The client"}
        given |= {"what": "Two notes.", "why": "She asked."}
        assert coach.post(f"/clients/{client_id}/disclosures", given).status_code == 201
        apart = builders.client(coach.actor)
        assert coach.post(f"/clients/{apart}/erasures", {"ground": "error"}).status_code == 201
    for language in ("en-GB", "es"):
        text = {"language": language, "words": "We keep notes about what you tell us."}
        assert supervisor.post("/consent-texts", text).status_code == 201


def merge_duplicates(coach, supervisor, client_id, name):
    """Enter a client twice more, and merge these records into the client's."""
    into = {
        "into_id": str(client_id),
        "reason": "She says that she called twice.",
        "despite_decision": True,
    }
    for _ in range(2):
        gone = builders.client(coach.actor, name, agreed=True)
        merged = supervisor.post(f"/clients/{gone}/merge", into, version=etag({"version": 1}))
        assert merged.status_code == 200, merged.get_json()


def cover_tomorrow(coach, body):
    """Arrange a cover that begins tomorrow, and return its id."""
    day = (today() + timedelta(days=1)).isoformat()
    body |= {"starts_on": day, "ends_on": day}
    answer = coach.post(f"/coaches/{coach.actor.id}/covers", body)
    assert answer.status_code == 201
    return answer.get_json()["id"]


def hold(supervisor, number):
    """Place a legal hold on the record of a case's client."""
    held = {"number": number, "kind": "claim"}
    held["review_on"] = (today() + timedelta(days=90)).isoformat()
    assert supervisor.post("/legal-holds", held).status_code == 201


def leave_drafts(coach, case_id):
    """Let somebody leave two drafts behind."""
    leaver = people.add("leaver", role="coach")
    for _ in range(2):
        builders.left_draft(coach, leaver, case_id)


def leave_alone(coach):
    """Close two cases of clients who never came, so long ago that their records are due."""
    for _ in range(2):
        with at(now() - timedelta(days=800)):
            made = builders.case(coach)
            with transaction() as session:
                ended = {"status": "closed", "closed_at": now(), "outcome": "other"}
                session.execute(sa.update(Case).where(Case.id == made.case_id).values(ended))
    with transaction() as session:
        session.execute(sa.update(Practice).values(retention_profile="us"))


@pytest.fixture
def records(app, staff):
    """Create at least two records for every list."""
    coach, supervisor, admin = staff["coach"], staff["supervisor"], staff["admin"]
    with at(now().replace(minute=30)):
        for kind in ("password", "token") * BURST:
            count_event(kind)
    for number in range(2):
        StaffBrowser(app, coach.actor)
        with transaction():
            create_token(operator(), "coach@practice.test", f"spare {number}")
    for name in ("Tom Vale", "Ines Okafor"):
        made = builders.steady_case(coach.actor, name)
        make_codes(coach, made.client_id)
        library = coach.get(f"/handouts?for_case={made.case_id}").get_json()["items"]
        good = [item["slug"] for item in library if item["for_case"]["outcome"] == "eligible"]
        for slug in good[:2]:
            wish = {"slug": slug, "channel": "print", "confirmed": True}
            assert coach.post(f"/cases/{made.case_id}/assignments", wish).status_code == 201
        lasting = {"eating": "watch", "work": "watch"}
        builders.screen(coach.actor, made.client_id, days_ago=20, **lasting)
        builders.screen(coach.actor, made.client_id, sleep="concern", **lasting)
        told = ["pregnancy", "leaving"]
        builders.screen(
            coach.actor, made.client_id, self_harm="urgent", circumstances=told, **lasting
        )
    for kind in (SAFETY, EXIT):
        safety_plans.write(coach.actor, made.client_id, kind)
    for kind in ("no_show", "cancelled"):
        answer = coach.post(f"/clients/{made.client_id}/contacts", {"kind": kind})
        assert answer.status_code == 201
    make_consents(coach, supervisor, made.client_id)
    merge_duplicates(coach, supervisor, made.client_id, name)
    for hour in (10, 11):
        note = {"format": "free", "session_at": f"2026-11-20T{hour}:00:00Z", "another": True}
        assert coach.post(f"/cases/{made.case_id}/notes", note).status_code == 201
        move_a_note(coach, made.case_id)
        assert admin.post("/exports", {"format": "csv"}).status_code == 201
        with builders.supervised(coach.actor):
            signed = builders.note(coach.actor, made.case_id)
        path, comment = f"/notes/{signed}", {"comment": "Say who was in the room."}
        review = supervisor.get(f"{path}/review").get_json()
        assert supervisor.post(f"{path}/return", comment, version=review).status_code == 200
        asked = {"requested_on": today().isoformat(), "words": "I never said that."}
        assert coach.post(f"{path}/amendments", asked).status_code == 201
    for person in (staff["coach2"], admin):
        wish = {"number": made.number, "user_id": str(person.actor.id), "reason": "relative"}
        assert supervisor.post("/denied-access", wish).status_code == 201
        hold(supervisor, made.number)
    with transaction():
        set_manual_flag(
            supervisor.actor, lock_client(supervisor.actor, made.client_id), "contact_block"
        )
        join_for(made.client_id, supervisor.actor.id, SECOND_PERSON)
    clients = [one["id"] for one in coach.get("/clients").get_json()["items"]]
    for colleague, client_id in zip(("supervisor", "coach2"), clients, strict=False):
        body = {"user_id": str(staff[colleague].actor.id), "clients": [client_id]}
        body["starts_on"] = body["ends_on"] = today().isoformat()
        assert coach.post(f"/coaches/{coach.actor.id}/covers", body).status_code == 201
        assert coach.post("/intakes", intakes.BODY).status_code == 201
        offered = {"to_id": body["user_id"], "reason": "other", "clients": [client_id]}
        assert coach.post(f"/coaches/{coach.actor.id}/transfers", offered).status_code == 201
        builders.read_in_emergency(coach.actor, builders.case(staff["coach2"].actor).number)
    leave_alone(coach.actor)
    leave_drafts(coach.actor, made.case_id)
    return {
        "cover_id": cover_tomorrow(coach, body | {"clients": clients[:2]}),
        "client_id": made.client_id,
        "case_id": made.case_id,
        "note_id": builders.revised_draft(coach.actor, made.case_id),
        "group": "alerts",
    }


def ids(page):
    """Name the items of a page, whatever they are."""
    return [
        next(
            item[name]
            for name in (
                "id",
                "slug",
                "case_id",
                "role",
                "occurred_at",
                "item",
                "circumstance",
                "kind",
                "client_id",
            )
            if name in item
        )
        for item in page["items"]
    ]


@pytest.mark.slow
def test_every_list_paged_one_by_one_gives_the_whole_list(staff, description, records):
    short = []
    for template in list_paths(description):
        path = template.format(**records)
        asking = staff[who_asks(template)]
        if template == "/audit":
            # Reading the log is in the log, by the admin.
            path += f"?client={records['client_id']}&actor={staff['coach'].actor.id}"
        joint = "&" if "?" in path else "?"
        whole = asking.get(f"{path}{joint}limit={LARGEST_PAGE}").get_json()
        assert whole["next"] is None, path
        found, cursor = [], ""
        while cursor is not None:
            page = asking.get(f"{path}{joint}limit=1{cursor and f'&cursor={cursor}'}").get_json()
            assert len(page["items"]) <= 1, path
            found += ids(page)
            cursor = page["next"]
        assert found == ids(whole), path
        assert len(set(found)) == len(found), path
        if len(found) < 2:
            short.append(template)
    assert short == []


@pytest.mark.slow
def test_every_list_refuses_a_limit_or_cursor_that_it_does_not_know(staff, description, records):
    for template in list_paths(description):
        asking = staff[who_asks(template)]
        path = template.format(**records)
        for name, value in (
            ("limit", "0"),
            ("limit", str(LARGEST_PAGE + 1)),
            ("limit", "many"),
            ("cursor", "x"),
            ("cursor", UNFIT_CURSOR),
            ("page", "2"),
        ):
            error = assert_error(asking.get(f"{path}?{name}={value}"), 422, "invalid")
            assert error["fields"].keys() == {name}, (path, name)


def test_every_list_of_a_missing_record_is_not_found(staff, description):
    of_records = [path for path in list_paths(description) if "{" in path]
    assert len(of_records) >= 6
    for template in of_records:
        missing = dict.fromkeys(("client_id", "case_id", "note_id", "cover_id"), NOBODYS)
        path = template.format(**missing, group="gossip")
        assert_error(staff[who_asks(template)].get(path), 404, "not_found")
