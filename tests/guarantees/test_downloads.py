"""Every download checks access anew each time, however it is requested (SEC-27)."""

from __future__ import annotations

from functools import cache

import pytest

from caseapp.core import pdf
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import withdraw
from caseapp.domain.assignments.queries import lock_assignment
from caseapp.domain.worksheets.operations import delete_upload
from caseapp.domain.worksheets.queries import lock_worksheet
from tests.guarantees import sample_data as w
from tests.support import builders, portal_client, staff

pytestmark = pytest.mark.pdf

# Who fetches each, and how; whoever adds a download enters it here and has it judged below.
FETCHED = {
    "GET /case/<string:number>/handouts/<uuid:assignment_id>/pdf": "coach",
    "GET /case/<string:number>/handouts/<uuid:assignment_id>/files/<uuid:upload_id>": "coach",
    "GET /case/<string:number>/handouts/reading-all.pdf": "coach",
    "GET /case/<string:number>/plan/<uuid:plan_id>/plan.pdf": "coach",
    "GET /handouts/<string:slug>/pdf": "coach",
    "GET /portal/h/<int(max=9999):position>/reading-<string:number>.pdf": "client",
    "GET /portal/h/<int(max=9999):position>/answers-<string:number>.txt": "client",
    "GET /portal/reading-all.pdf": "client",
    "GET /portal/reading-plan.pdf": "client",
    "GET /api/v1/assignments/<uuid:assignment_id>/pdf": "coach",
    "GET /case/<string:number>/handouts/<uuid:assignment_id>/answers.pdf": "coach",
    "GET /portal/h/<int(max=9999):position>/written-<string:number>.pdf": "client",
    "GET /api/v1/cases/<uuid:case_id>/assignments/packet": "coach",
    "GET /api/v1/cases/<uuid:case_id>/record": "coach",
    "GET /api/v1/exports/<uuid:export_id>/file": "admin",
    "GET /api/v1/handouts/<string:slug>/pdf": "coach",
    "GET /api/v1/transfers/<uuid:accepted_id>/brief/file": "coach",
}
ASKED: tuple[dict, ...] = (
    {},
    {"Range": "bytes=0-3"},
    {"Range": "bytes=0-3,9-12", "If-Range": '"x"'},
    {"If-None-Match": "*"},
    {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
    {"If-Match": "*", "Range": "bytes=-5"},
)


@pytest.fixture
def world(world):
    builders.screen(world.actors["coach"], world.own["client_id"])
    return world


def downloads(world):
    """Return each download with its address; a packet names its assignments."""
    for route in w.routes(world.app):
        if route.name in FETCHED:
            path = route.path(world.own)
            pack = route.rule.endpoint == "assignments.packet_pdf"
            yield route, f"{path}?assignment={world.own['assignment_id']}" if pack else path


def fetch(world, route, path, who, *, method="GET", **headers):
    asked = w.Route(route.rule, method, route.action, route.interface)
    return w.send(world, asked, who, world.own, path=path, headers=headers)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_download_is_listed_here(world):
    found = set()
    for route in w.routes(world.app):
        if route.method != "GET" or route.rule.endpoint == "assignments.packet_pdf":
            continue
        for asker in ("client",) if route.interface == "portal" else ("coach", "admin"):
            answer = w.send(world, route, asker, world.values_for(asker))
            if answer.headers.get("Content-Disposition", "").startswith("attachment"):
                found.add(route.name)
            if answer.status_code != 403:
                break
    # Several sheets are a file only once some are chosen.
    assert found | {"GET /case/<string:number>/handouts/reading-all.pdf"} == set(FETCHED)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_download_ignores_range_and_conditional_requests(world, monkeypatch):
    """Neither partial content nor 304: each request runs the same checks to the end."""
    monkeypatch.setattr(pdf, "render", cache(pdf.render))
    failures: list = []
    for route, path in downloads(world):
        who = FETCHED[route.name]
        whole = fetch(world, route, path, who)
        assert (whole.status_code, bool(whole.data)) == (200, True), route.name
        for asked in ASKED:
            answer = fetch(world, route, path, who, **asked)
            if answer.status_code != 200 or len(answer.data) != len(whole.data):
                failures.append((route.name, asked, answer.status_code))
            head = fetch(world, route, path, who, method="HEAD", **asked)
            if head.status_code != 200 or head.data:
                failures.append((route.name, asked, head.status_code, "HEAD"))
            for found in (answer, head):
                told = {"ETag", "Last-Modified", "Accept-Ranges", "Content-Range"} & {
                    *found.headers.keys()
                }
                if told or not found.headers["Content-Disposition"].startswith("attachment; "):
                    failures.append((route.name, asked, told))
    assert failures == []


@pytest.mark.slow
def test_download_is_refused_to_others(world):
    """Everybody else, by every way of asking for each file (VULN-03)."""
    failures: list = []
    for route, path in downloads(world):
        others = {"coach2", "supervisor2", "admin", "client", "client2", "signing_in", "nobody"}
        if route.rule.rule.endswith("/handouts/<string:slug>/pdf"):
            # The library's own text: for all staff, for nobody else.
            others = {"client", "client2", "signing_in", "nobody"}
        if FETCHED[route.name] == "admin":
            others = others - {"admin"} | {"coach", "supervisor"}
        if route.interface == "portal":
            # Everybody has some addresses for their own; the second client has one sheet, which is no pack.
            others -= {"client"} | ({"client2"} if path.endswith("reading-plan.pdf") else set())
        for who in sorted(others):
            for asked in ASKED:
                for method in ("GET", "HEAD"):
                    answer = fetch(world, route, path, who, method=method, **asked)
                    refused = answer.status_code in {303, 401, 403, 404}
                    if (
                        not refused
                        or "Content-Disposition" in answer.headers
                        or b"%PDF" in answer.data
                    ):
                        failures.append((route.name, who, method, asked, answer.status_code))
    assert failures == []


def test_withdrawn_download_is_gone_at_once(world):
    """Withdrawn, removed, signed out, disabled: each ends access at once, also for a known address."""
    coach, own = world.actors["coach"], world.own
    client = portal_client.reader(own["client_id"], "A client")
    routes = {route.name: (route, path) for route, path in downloads(world)}

    def status(name, who=None):
        route, path = routes[f"GET {name}"]
        answer = fetch(world, route, path, who or FETCHED[route.name])
        assert ("Content-Disposition" in answer.headers) == (answer.status_code == 200)
        return answer.status_code

    assignment = "/case/<string:number>/handouts/<uuid:assignment_id>"
    mine = "/portal/h/<int(max=9999):position>/reading-<string:number>.pdf"
    names = (f"{assignment}/files/<uuid:upload_id>", f"{assignment}/pdf", mine)
    assert [status(name) for name in names] == [200] * 3
    with transaction():
        delete_upload(client, lock_worksheet(client, own["position"]), own["upload_id"])
    assert status(names[0]) == 404
    db.session.remove()
    version = (
        db.session.connection().exec_driver_sql("SELECT max(version) FROM assignment").scalar()
    )
    db.session.remove()
    with transaction():
        withdraw(coach, lock_assignment(coach, own["assignment_id"]), version)
    assert [status(names[1]), status(names[2])] == [409, 409]
    assert status("/portal/reading-all.pdf") == 404
    world.browsers["client"].get("/exit")
    assert status("/portal/reading-all.pdf") == 303
    library = "/handouts/<string:slug>/pdf"
    assert status(library) == 200
    with transaction():
        staff.disable("coach@practice.test")
    assert [status(library), status(f"/api/v1{library}")] == [303, 401]
