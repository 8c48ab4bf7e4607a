"""Every route, every method, everybody: generated from the app itself, so that a new route is covered at once."""

from __future__ import annotations

import pytest
from flask import Blueprint, Flask

from caseapp.core.permissions import ACTIONS_OF, Role
from caseapp.http.guard import UndeclaredView, check_declared
from tests.guarantees import sample_data as w

pytestmark = pytest.mark.both

NAMED = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "TRACE")


@pytest.fixture
def routes(app):
    return w.routes(app)


def role_of(world, who):
    """Give the role by which somebody is known at a door."""
    if who in world.actors:
        return world.actors[who].role
    return {"client": Role.CLIENT, "client2": Role.CLIENT, "arriving": Role.ARRIVING}.get(who)


def known_at(world, who, door):
    """Tell whether somebody's cookie or token means anything at a door."""
    role = role_of(world, who)
    return role is not None and (door == "portal") == (role in {Role.CLIENT, Role.ARRIVING})


def what_a_stranger_reads(route):
    """Give the status that nobody in particular gets, and where it leads."""
    if route.door == "api" or not route.safe:
        return 401, None
    return 303, "/portal/sign-in" if route.door == "portal" else "/sign-in"


def test_every_argument_of_an_address_is_known_here(the_app):
    known = w.OWNED | w.SHARED
    unknown = {
        f"{route.name}: {name}"
        for route in w.routes(the_app)
        for name in route.rule.arguments
        if name not in known
    }
    assert not unknown, "say in tests/guarantees/sample_data.py what stands for it"


def test_a_view_that_declares_nothing_stops_the_start():
    app = Flask("bare")
    blueprint = Blueprint("bare", __name__)
    blueprint.add_url_rule("/bare", "page", lambda: "bare")
    app.register_blueprint(blueprint)
    with pytest.raises(UndeclaredView, match=r"/bare \(bare\.page\)"):
        check_declared(app)


def test_every_route_is_declared_and_the_public_ones_say_why(the_app):
    check_declared(the_app)
    public = {route.name: route for route in w.routes(the_app) if route.action is None}
    for route in public.values():
        view = the_app.view_functions[route.rule.endpoint]
        assert len(view.public) > 10, route.name
    # A new public route is a decision: it is added here by somebody who has thought about it.
    assert {name for name in public if not name.startswith("HEAD")} == {
        "GET /",
        "GET /api/v1/docs",
        "GET /api/v1/openapi.json",
        "GET /demo/mail",
        "GET /exit",
        "GET /fonts/<string:key>.woff2",
        "GET /livez",
        "GET /portal/enter/<string:token>",
        "GET /portal/safety",
        "GET /portal/sign-in",
        "GET /readyz",
        "GET /sign-in",
        "POST /portal/card",
        "POST /portal/enter/<string:token>",
        "POST /portal/sign-in",
        "POST /sign-in",
    }


@pytest.mark.slow
def test_nobody_gets_past_any_door(world, routes):
    before = w.digest(but=())
    failures: list = []
    for route in routes:
        if route.action is None:
            continue
        for values in (world.own, world.own | w.MISSING):
            answer = w.send(world, route, "nobody", values)
            found = (answer.status_code, answer.location)
            if found != what_a_stranger_reads(route):
                failures.append((route.name, found))
            if route.door == "api" and answer.headers.get("WWW-Authenticate") != "Bearer":
                failures.append((route.name, "no WWW-Authenticate"))
    assert failures == []
    assert w.digest(but=()) == before


@pytest.mark.parametrize("who", ["client", "arriving", "coach"])
def test_a_key_to_one_door_opens_no_other(world, routes, who):
    before, failures = w.digest(but=()), []
    for route in routes:
        if route.action is None or known_at(world, who, route.door):
            continue
        answer = w.send(world, route, who, world.own)
        found = (answer.status_code, answer.location)
        if found != what_a_stranger_reads(route):
            failures.append((route.name, found))
    assert failures == []
    assert w.digest(but=()) == before


@pytest.mark.slow
@pytest.mark.parametrize("who", ["coach", "supervisor", "admin", "client", "arriving"])
def test_a_role_without_the_action_is_refused_and_it_is_recorded(world, routes, who):
    mine = ACTIONS_OF[role_of(world, who)]
    before = w.digest()
    failures: list = []
    for route in routes:
        if route.action in mine or route.action is None or not known_at(world, who, route.door):
            continue
        counted = w.refusals()
        answer = w.send(world, route, who, world.own)
        if route.door == "portal" and route.safe:
            if (answer.status_code, answer.location) not in {
                (303, "/portal/pin"),
                (303, "/portal"),
            }:
                failures.append((route.name, answer.status_code, answer.location))
        elif answer.status_code != 403:
            failures.append((route.name, answer.status_code))
        elif w.refusals() != counted + 1:
            failures.append((route.name, "not recorded"))
    assert failures == []
    assert w.digest() == before


@pytest.mark.pdf
@pytest.mark.parametrize("who", ["coach", "supervisor", "admin", "client"])
def test_a_role_with_the_action_reads_the_page_and_reading_changes_nothing(world, routes, who):
    mine = ACTIONS_OF[role_of(world, who)]
    before = w.digest()
    failures: list = []
    for route in routes:
        if not route.safe or route.action not in mine or not known_at(world, who, route.door):
            continue
        owned = w.OWNED & route.rule.arguments
        if who == "admin" and owned:
            continue
        answer = w.send(world, route, who, world.seen_by(who))
        if answer.status_code not in {200, 303}:
            failures.append((route.name, answer.status_code))
        if route.method == "HEAD" and answer.data:
            failures.append((route.name, "HEAD has a body"))
        if (now := w.digest()) != before:
            changed = [table for table in now if now[table] != before[table]]
            failures.append((route.name, "changed", changed))
            before = now
    assert failures == []


@pytest.mark.slow
@pytest.mark.parametrize("who", ["coach", "supervisor", "admin", "client"])
def test_a_role_with_the_action_gets_as_far_as_the_form(world, routes, who):
    """An empty form is sent, so most answers name a field at fault; none is a refusal or a fault of ours."""
    mine = ACTIONS_OF[role_of(world, who)]
    failures: list = []
    for route in sorted(routes, key=lambda route: "sign-out" in route.rule.rule):
        if route.safe or route.action not in mine or not known_at(world, who, route.door):
            continue
        answer = w.send(world, route, who, world.seen_by(who))
        if answer.status_code in {401, 403, 405} or answer.status_code >= 500:
            failures.append((route.name, answer.status_code))
    assert failures == []


def like(answer):
    """Give all that a reader can tell two answers apart by."""
    headers = {name: value for name, value in answer.headers.items() if name != "X-Request-Id"}
    return answer.status_code, headers, answer.data


@pytest.mark.slow
@pytest.mark.parametrize("who", ["coach2", "supervisor2", "client2"])
def test_somebody_elses_record_looks_like_none_at_all(world, routes, who):
    """Each argument alone is exchanged for the other coach's, and for one that never was."""
    mine = ACTIONS_OF[role_of(world, who)]
    before, failures, looked = w.digest(), [], 0
    base = (
        world.own | {name: world.foreign[name] for name in w.OWNED}
        if who != "supervisor2"
        else world.own
    )
    for route in routes:
        owned = sorted(w.OWNED & route.rule.arguments)
        if not owned or route.action not in mine or not known_at(world, who, route.door):
            continue
        for name in owned:
            if who == "client2" and name != "place":
                continue
            missing = w.MISSING.get(name, w.NOBODYS)
            # The second client has fewer sheets, so the first one's last place is on nobody else's list.
            body = w.BODIES.get(route.name)
            answers = [
                w.send(world, route, who, base | {name: value}, body=body)
                for value in (world.own[name], missing)
            ]
            looked += 1
            status = answers[0].status_code
            if like(answers[0]) != like(answers[1]):
                failures.append((route.name, name, status, answers[1].status_code))
            elif status != 404:
                failures.append((route.name, name, status, "say in world.BODIES what it needs"))
    assert failures == []
    assert looked > 2
    assert w.digest() == before


def test_a_foreign_record_inside_ones_own_case_is_not_there(world, routes):
    """`/case/<mine>/flags/<theirs>/lower` and its like: the case is the actor's own, the record is not of it."""
    before = w.digest()
    failures: list = []
    for route in routes:
        inner = (w.OWNED & route.rule.arguments) - {"number", "case_id", "client_id"}
        outer = {"number", "case_id", "client_id"} & route.rule.arguments
        if not inner or not outer or route.door != "staff":
            continue
        who = "coach2" if route.action in ACTIONS_OF[Role.COACH] else "supervisor2"
        for name in inner:
            values = world.foreign | {name: world.own[name]}
            answer = w.send(world, route, who, values, body=w.BODIES.get(route.name))
            if answer.status_code != 404:
                failures.append((route.name, name, answer.status_code))
    assert failures == []
    assert w.digest() == before


@pytest.mark.slow
def test_a_change_without_the_forms_token_is_refused(world, routes):
    before, failures = w.digest(but=()), []
    for route in routes:
        if route.safe or route.door == "api":
            continue
        for who in ("nobody", "coach", "admin", "client"):
            plain = w.send(world, route, who, world.own, csrf=False)
            path = route.path(world.own)
            others = world.csrf["supervisor" if who != "supervisor" else "coach"]
            browser = world.browsers[who]
            made_up = browser.open(path, method=route.method, data={"csrf_token": "made-up"})
            stolen = browser.open(path, method=route.method, data={"csrf_token": others})
            found = [answer.status_code for answer in (plain, made_up, stolen)]
            if found != [400] * 3:
                failures.append((route.name, who, found))
    assert failures == []
    assert w.digest(but=()) == before


CROSS = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://elsewhere.example"},
    {"Origin": "https://localhost.elsewhere.example"},
    {"Origin": "https://localhost:8443"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
)


@pytest.mark.slow
def test_a_change_that_another_site_asks_for_is_refused(world, routes):
    before, failures = w.digest(but=()), []
    for route in routes:
        if route.safe or route.door == "api":
            continue
        who = "client" if route.door == "portal" else "coach"
        for headers in CROSS:
            answer = w.send(world, route, who, world.own, headers=headers)
            if answer.status_code != 400:
                failures.append((route.name, headers, answer.status_code))
    assert failures == []
    assert w.digest(but=()) == before


@pytest.mark.slow
def test_methods_that_are_not_listed_are_refused_by_name(world, app):
    listed: dict = {}
    for rule in app.url_map.iter_rules():
        listed.setdefault(rule.rule, [set(), rule])[0].update(rule.methods)
    before, failures = w.digest(but=()), []
    for methods, rule in listed.values():
        route = w.Route(rule, "GET", None, w.door_of(rule.rule))
        path = route.path(world.own)
        for method in NAMED:
            if method in methods:
                continue
            answer = world.browsers["admin"].open(
                path, method=method, headers={"X-HTTP-Method-Override": "GET"}
            )
            allowed = set(answer.headers.get("Allow", "").split(", "))
            if answer.status_code != 405 or allowed != methods:
                failures.append((method, rule.rule, answer.status_code, allowed))
    assert failures == []
    assert w.digest(but=()) == before


def test_no_method_hides_behind_another(world):
    """Neither a header nor a field turns a POST into something else."""
    answer = world.browsers["coach"].post(
        f"/case/{world.own['number']}",
        data={"csrf_token": world.csrf["coach"], "_method": "GET"},
        headers={"X-HTTP-Method-Override": "GET", "X-Method-Override": "GET"},
    )
    assert answer.status_code == 405


HOSTILE = (
    "%00",
    "C-2026-0001%00",
    "%FF%FE",
    "..%2F..%2Fetc%2Fpasswd",
    "' OR '1'='1",
    "{{7*7}}",
    "x" * 3000,
    "%0d%0aSet-Cookie:%20a=b",
    "C-2026-0001%20",
    "c-2026-0001",
)


@pytest.mark.slow
def test_no_address_however_strange_breaks_anything(world, routes):
    texts = {"number", "slug", "key", "token", "filename"}
    failures: list = []
    for route in routes:
        name = next(iter(texts & route.rule.arguments), None)
        if name is None or len(route.rule.arguments) > 1 or not route.safe:
            continue
        staff = "coach" if route.action in {None, *ACTIONS_OF[Role.COACH]} else "supervisor"
        who = "client" if route.door == "portal" else staff
        marked = route.path(world.own | {name: "MARK"})
        for hostile in HOSTILE:
            answer = w.send(world, route, who, world.own, path=marked.replace("MARK", hostile))
            public = route.action is None and answer.status_code == 200
            if answer.status_code not in {400, 404, 405, 308} and not public:
                failures.append((route.name, hostile[:40], answer.status_code))
            if "etc/passwd" in answer.get_data(as_text=True) or "root:" in answer.get_data(
                as_text=True
            ):
                failures.append((route.name, hostile, "quoted"))
    assert failures == []
