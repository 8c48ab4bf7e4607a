import io

import pikepdf
import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.handouts.library import library
from caseapp.domain.handouts.packets import MAX_HANDOUTS
from caseapp.domain.worksheets.operations import save_answers, share_answers, stop_sharing
from caseapp.domain.worksheets.queries import lock_worksheet
from tests.api.api_client import (
    NOBODYS,
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
from tests.support import builders, portal_client
from tests.support.pdf_checks import extract_text


def pages_of(content):
    with pikepdf.open(io.BytesIO(content)) as document:
        return len(document.pages)


@pytest.fixture
def made(coach):
    return builders.steady_case(coach.actor, "Ines Okafor")


@pytest.fixture
def path(made):
    return f"/cases/{made.case_id}/assignments"


@pytest.fixture
def allowed(coach, made):
    items = coach.get(f"/handouts?for_case={made.case_id}&stage=steady").get_json()["items"]
    return [
        item["slug"]
        for item in items
        if item["for_case"]["outcome"] == "eligible" and "portal" in item["for_case"]["channels"]
    ]


def wish(slug, **changed):
    return {"slug": slug, "channel": "portal", "message": "For your evenings."} | changed


@pytest.fixture
def given(coach, path, allowed):
    return coach.post(path, wish(allowed[0])).get_json()


def test_create_and_get(coach, made, path, allowed):
    answer = coach.post(path, wish(allowed[0]))
    assert answer.status_code == 201, answer.get_json()
    given = answer.get_json()
    assert (given["slug"], given["message"], given["state"]) == (
        allowed[0],
        "For your evenings.",
        "assigned",
    )
    assert (given["position"], given["blockers"], given["due_on"]) == (1, [], None)
    assert answer.headers["Location"] == f"/api/v1/assignments/{given['id']}"
    read = coach.get(f"/assignments/{given['id']}")
    assert read.get_json() == given
    assert read.headers["ETag"] == etag(given)
    assert coach.get(path).get_json()["items"] == [given]
    options = coach.get(f"/handouts?for_case={made.case_id}").get_json()["items"]
    assert [o["slug"] for o in options if o["for_case"]["assigned"]] == [allowed[0]]


def test_pages(coach, path, allowed):
    every = [coach.post(path, wish(slug)).get_json()["id"] for slug in allowed[:2]]
    first = coach.get(f"{path}?limit=1").get_json()
    rest = coach.get(f"{path}?limit=1&cursor={first['next']}").get_json()
    assert [item["id"] for item in first["items"] + rest["items"]] == every[::-1]
    assert rest["next"] is None


@pytest.mark.slow
def test_create_blocked_handout_is_refused_with_reasons(coach, made, path, allowed):
    builders.screen(coach.actor, made.client_id, sleep="concern")
    options = coach.get(f"/handouts?for_case={made.case_id}").get_json()["items"]
    refused = [o for o in options if o["for_case"]["outcome"] == "blocked"]
    assert refused
    for option in refused:
        wanted = [reason["code"] for reason in option["for_case"]["reasons"]]
        assert assert_refused(coach.post(path, wish(option["slug"]))) == wanted
    warned = [o["slug"] for o in options if o["for_case"]["outcome"] == "caution"]
    for slug in warned:
        assert "confirmation_required" in assert_refused(
            coach.post(path, wish(slug, channel="in_person"))
        )
    assert coach.get(path).get_json()["items"] == []


@pytest.mark.pdf
def test_hold_suspends_assignments(coach, made, given):
    file = coach.get(f"/assignments/{given['id']}/pdf")
    assert file.mimetype == "application/pdf"
    assert file.data.startswith(b"%PDF-")
    assert file.headers["Content-Disposition"] == 'attachment; filename="reading-01.pdf"'
    builders.screen(coach.actor, made.client_id, fear_at_home="concern")
    blockers = coach.get(f"/assignments/{given['id']}").get_json()["blockers"]
    assert blockers
    wanted = [reason["code"] for reason in blockers]
    assert assert_refused(coach.get(f"/assignments/{given['id']}/pdf")) == wanted


def name_of(answer):
    assert answer.mimetype == "application/pdf", answer.get_data(as_text=True)
    return answer.headers["Content-Disposition"].partition("filename=")[2].strip('"')


@pytest.mark.pdf
def test_large_print_has_its_own_name_and_pages(coach, given):
    here = f"/assignments/{given['id']}/pdf"
    plain, large = coach.get(here), coach.get(f"{here}?size=large")
    assert name_of(large) == "reading-01-large.pdf"
    assert pages_of(large.data) > pages_of(plain.data)
    assert coach.get(f"{here}?size=").data == plain.data
    for query in ("size=small", "size=large&size=large", "scale=large"):
        field = query.partition("=")[0]
        assert assert_error(coach.get(f"{here}?{query}"), 422)["fields"].keys() == {field}


@pytest.mark.pdf
def test_packet_of_several_handouts(coach, path, allowed):
    first, second = (coach.post(path, wish(slug)).get_json() for slug in allowed[:2])
    chosen = f"{path}/packet?assignment={second['id']}&assignment={first['id']}"
    plain, large = coach.get(chosen), coach.get(f"{chosen}&size=large")
    assert (name_of(plain), name_of(large)) == ("reading-all.pdf", "reading-all-large.pdf")
    assert pages_of(large.data) > pages_of(plain.data)
    text = extract_text(plain.data)
    # In the order in which they were given, and no sheet twice.
    assert text.index(first["neutral_title"]) < text.index(second["neutral_title"])
    assert coach.get(f"{chosen}&assignment={first['id']}").data == plain.data


@pytest.mark.slow
def test_packet_with_a_blocked_handout_is_refused(coach, made, path, allowed):
    kept, back = (coach.post(path, wish(slug)).get_json() for slug in allowed[:2])
    chosen = f"{path}/packet?assignment={kept['id']}&assignment={back['id']}"
    coach.post(f"/assignments/{back['id']}/withdraw", version=back)
    assert assert_refused(coach.get(chosen)) == ["already_withdrawn"]
    other = builders.steady_case(coach.actor)
    theirs = coach.post(f"/cases/{other.case_id}/assignments", wish(allowed[0])).get_json()
    for missing in (theirs["id"], NOBODYS):
        assert_error(
            coach.get(f"{path}/packet?assignment={kept['id']}&assignment={missing}"),
            404,
            "not_found",
        )
    many = "&".join([f"assignment={NOBODYS}"] * (MAX_HANDOUTS + 1))
    for query, field in (
        ("", "assignment"),
        ("assignment=", "assignment"),
        ("assignment=first", "assignment"),
        (many, "assignment"),
        (f"assignment={kept['id']}&size=huge", "size"),
    ):
        assert assert_error(coach.get(f"{path}/packet?{query}"), 422)["fields"].keys() == {field}


def test_withdraw(coach, given):
    here = f"/assignments/{given['id']}"
    assert_needs_a_version(coach, "POST", f"{here}/withdraw", None, given)
    back = coach.post(f"{here}/withdraw", version=given)
    assert back.status_code == 200
    assert back.get_json()["state"] == "withdrawn"
    assert back.headers["ETag"] == '"2"'
    assert assert_refused(coach.post(f"{here}/withdraw", version=back.get_json())) == [
        "already_withdrawn"
    ]
    assert assert_refused(coach.get(f"{here}/pdf")) == ["already_withdrawn"]


def test_create_repeated_key_creates_one(coach, path, allowed):
    first = coach.post(path, wish(allowed[0]), idempotency_key="a")
    assert coach.post(path, wish(allowed[0]), idempotency_key="a").get_json() == first.get_json()
    assert assert_refused(
        coach.post(path, wish(allowed[0], message="Other."), idempotency_key="a")
    ) == ["idempotency_key_reused"]
    assert len(coach.get(path).get_json()["items"]) == 1


def test_create_invalid_names_the_field(coach, path, allowed):
    assert_refuses(
        coach,
        "POST",
        path,
        [
            ("slug", {}),
            ("slug", wish(7)),
            ("channel", wish(allowed[0], channel="pigeon")),
            ("message", wish(allowed[0], message="x" * 1_000_000)),
            ("language", wish(allowed[0], language="xx")),
            ("confirmed", wish(allowed[0], confirmed="perhaps")),
            ("due_on", wish(allowed[0], due_on="soon")),
            ("due_on", wish(allowed[0], due_on="2020-01-01")),
            ("handout_version", wish(allowed[0], handout_version=3)),
        ],
    )
    assert_refuses_what_is_no_json(coach, "POST", path)
    assert_error(coach.post(path, wish("no-such-sheet")), 404, "not_found")
    assert coach.get(path).get_json()["items"] == []


def test_foreign_records_are_hidden(stranger, made, given):
    assert_hidden(stranger, "GET", "/cases/{}/assignments", made.case_id)
    assert_hidden(stranger, "POST", "/cases/{}/assignments", made.case_id, wish(given["slug"]))
    assert_hidden(stranger, "GET", "/assignments/{}", given["id"])
    assert_hidden(stranger, "GET", "/assignments/{}/pdf", given["id"])
    assert_hidden(
        stranger, "GET", f"/cases/{{}}/assignments/packet?assignment={given['id']}", made.case_id
    )
    assert_hidden(stranger, "POST", "/assignments/{}/withdraw", given["id"], version='"1"')


@pytest.mark.pdf
def test_packet_is_audited_as_a_read_of_the_case(coach, made, path, given):
    def seen():
        db.session.rollback()
        query = sa.select(sa.func.count()).where(
            AuditEvent.action == Action.ASSIGNMENT_READ, AuditEvent.object_id == made.case_id
        )
        return db.session.scalar(query)

    assert seen() == 0
    assert coach.get(f"{path}/packet?assignment={given['id']}").status_code == 200
    assert seen() == 1


def test_other_roles_are_forbidden(staff, path, given):
    here = f"/assignments/{given['id']}"
    assert_needs_a_role(
        staff["admin"],
        ("GET", path),
        ("POST", path),
        ("GET", here),
        ("GET", f"{here}/pdf"),
        ("GET", f"{path}/packet?assignment={given['id']}"),
        ("POST", f"{here}/withdraw"),
    )


def test_other_methods_are_not_allowed(coach, path, given):
    assert_only_answers(coach, path, "GET", "POST")
    assert_only_answers(coach, f"/assignments/{given['id']}", "GET")
    assert_only_answers(coach, f"/assignments/{given['id']}/pdf", "GET")
    assert_only_answers(coach, f"{path}/packet?assignment={given['id']}", "GET")
    assert_only_answers(coach, f"/assignments/{given['id']}/withdraw", "POST")


def pack(*slugs, **changed):
    return {"slugs": list(slugs), "channel": "print"} | changed


def test_batch_spreads_over_the_weeks(coach, made, path):
    builders.screen(coach.actor, made.client_id, sleep="watch")
    order = ("running-on-empty", "first-days-pause", "hold-back-list", "better-nights")
    answer = coach.post(f"{path}/batch", pack(*order, spread=True, confirmed=True))
    assert answer.status_code == 201, answer.get_json()
    made = answer.get_json()
    assert [item["slug"] for item in made["items"]] == list(order)
    assert made["skipped"] == []
    assert answer.headers["Location"] == f"/api/v1/assignments/{made['items'][0]['id']}"
    weeks = [item["due_on"] for item in made["items"] if item["due_on"]]
    assert weeks == sorted(weeks)
    assert len(set(weeks)) > 1


def test_batch_skips_blocked_handouts(coach, made, path):
    builders.screen(coach.actor, made.client_id, fear_at_home="concern")
    wanted = pack("help-right-now", "reaching-out", confirmed=True)
    found = coach.post(f"{path}/batch", wanted, idempotency_key="a").get_json()
    assert [item["slug"] for item in found["items"]] == ["help-right-now"]
    [left] = found["skipped"]
    assert left["slug"] == "reaching-out"
    assert "hold_open" in [reason["code"] for reason in left["reasons"]]
    again = coach.post(f"{path}/batch", wanted, idempotency_key="a")
    assert again.get_json() == found
    assert "hold_open" in assert_refused(coach.post(f"{path}/batch", pack("reaching-out")))


def test_batch_invalid_names_the_field(coach, stranger, staff, made, path):
    faults = [
        ("slugs", {"channel": "print"}),
        ("slugs", pack()),
        ("slugs", pack(*["better-nights"] * 13)),
        ("channel", {"slugs": ["better-nights"]}),
        ("due_on", pack("better-nights", due_on="2020-01-01")),
        ("order", pack("better-nights", order={"better-nights": 1})),
    ]
    assert_refuses(coach, "POST", f"{path}/batch", faults)
    assert_refuses_what_is_no_json(coach, "POST", f"{path}/batch")
    assert_hidden(
        stranger, "POST", "/cases/{}/assignments/batch", made.case_id, pack("better-nights")
    )
    assert_needs_a_role(staff["admin"], ("POST", f"{path}/batch"))
    assert_only_answers(coach, f"{path}/batch", "POST")
    assert coach.get(path).get_json()["items"] == []


def test_replace_with_newest_version(coach, stranger, staff, path, monkeypatch):
    old = coach.post(path, wish("first-days-pause")).get_json()
    here = f"/assignments/{old['id']}/replace"
    assert assert_refused(coach.post(here, {"message": ""})) == ["already_newest"]
    builders.second_version(monkeypatch, "first-days-pause")
    assert_hidden(stranger, "POST", "/assignments/{}/replace", old["id"], {"message": ""})
    assert_needs_a_role(staff["admin"], ("POST", here))
    assert_only_answers(coach, here, "POST")
    assert_refuses(
        coach,
        "POST",
        here,
        [("message", {"confirmed": True}), ("due_on", {"message": "", "due_on": "x"})],
    )
    answer = coach.post(here, {"message": "A clearer one."}, idempotency_key="a")
    assert answer.status_code == 201, answer.get_json()
    new = answer.get_json()
    assert (new["handout_version"], new["message"], new["channel"]) == (
        library()["first-days-pause", "en"].version + 1,
        "A clearer one.",
        "portal",
    )
    assert answer.headers["Location"] == f"/api/v1/assignments/{new['id']}"
    assert coach.get(f"/assignments/{old['id']}").get_json()["state"] == "withdrawn"
    assert coach.post(here, {"message": "A clearer one."}, idempotency_key="a").get_json() == new
    assert assert_refused(coach.post(here, {"message": ""})) == ["already_withdrawn"]


def test_suspended_lists_cases_and_reasons(coach, stranger, staff, made, path):
    given = coach.post(path, wish("first-days-pause")).get_json()
    assert coach.get("/handouts/suspended").get_json() == {"items": [], "next": None}
    screened = coach.post(
        f"/clients/{made.client_id}/screenings", {"fear_at_home": "concern"}
    ).get_json()
    assert [item["id"] for item in screened["suspended"]] == [given["id"]]
    [case] = coach.get("/handouts/suspended").get_json()["items"]
    assert (case["case_id"], case["number"]) == (str(made.case_id), made.number)
    [suspended] = case["assignments"]
    assert suspended["id"] == given["id"]
    assert "hold_open" in [reason["code"] for reason in suspended["blockers"]]
    assert stranger.get("/handouts/suspended").get_json()["items"] == []
    assert_needs_a_role(staff["admin"], ("GET", "/handouts/suspended"))
    assert_only_answers(coach, "/handouts/suspended", "GET")
    assert_error(coach.get("/handouts/suspended?cursor=x"), 422, "invalid")


def test_answers_shared_by_the_client_are_returned(coach, made, path):
    slug = "first-days-pause"
    given = coach.post(path, wish(slug, confirmed=True)).get_json()
    answers = f"/assignments/{given['id']}/answers"
    client = portal_client.reader(made.client_id, "Ines")
    with transaction():
        save_answers(
            client, lock_worksheet(client, given["position"]), {"what_happened": "For nobody."}, 0
        )
    assert coach.get(answers).status_code == 404
    told: dict[str, str | list[int] | dict[str, str]] = {
        "what_happened": "Rang twice.",
        "body_signs": [2, 5],
    }
    with transaction():
        share_answers(client, lock_worksheet(client, given["position"]), told, 1)
    answer = coach.get(answers)
    assert answer.status_code == 200
    found = {one["id"]: one for one in answer.get_json()["answers"]}
    assert found["what_happened"]["text"] == "Rang twice."
    assert found["body_signs"]["chosen"] == ["shaky", "numb"]
    assert found["strongest_urge"] == {
        "id": "strongest_urge",
        "label": "My strongest urge",
        "type": "ticks",
        "parts": [],
        "text": "",
        "chosen": [],
    }
    with transaction():
        save_answers(
            client, lock_worksheet(client, given["position"]), {"what_happened": "Later."}, 3
        )
    assert coach.get(answers).get_json() == answer.get_json()
    with transaction():
        stop_sharing(client, lock_worksheet(client, given["position"]))
    assert coach.get(answers).status_code == 404


def test_answers_are_hidden_from_others(coach, stranger, staff, made, path):
    given = coach.post(path, wish("first-days-pause", confirmed=True)).get_json()
    client = portal_client.reader(made.client_id, "Ines")
    with transaction():
        share_answers(
            client, lock_worksheet(client, given["position"]), {"what_happened": "Rang."}, 0
        )
    assert stranger.get(f"/assignments/{given['id']}/answers").status_code == 404
    assert staff["admin"].get(f"/assignments/{given['id']}/answers").status_code == 403
