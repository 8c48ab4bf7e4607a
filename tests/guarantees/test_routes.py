"""Every route, every method, everybody: generated from the app itself, so that a new route is covered at once."""

from __future__ import annotations

import re

import pytest
from flask import Blueprint, Flask

from caseapp.core.permissions import ACTIONS_BY_ROLE, Role
from caseapp.domain.cases.queries import get_case_context_by_number
from caseapp.http.guard import UndeclaredView, check_declared
from tests.guarantees import sample_data as w
from tests.guarantees.test_access_matrix import READING
from tests.support import builders

NAMED = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "TRACE")


@pytest.fixture
def routes(app):
    return w.routes(app)


def role_of(world, who):
    """Return the role of a person of the sample data."""
    if who in world.actors:
        return world.actors[who].role
    return {"client": Role.CLIENT, "client2": Role.CLIENT, "signing_in": Role.SIGNING_IN}.get(who)


def known_at(world, who, interface):
    """Return whether a person's cookie or token is known to an interface."""
    role = role_of(world, who)
    return role is not None and (interface == "portal") == (role in {Role.CLIENT, Role.SIGNING_IN})


def what_a_stranger_reads(route):
    """Return the status and target of an anonymous request."""
    if route.interface == "api" or not route.safe:
        return 401, None
    return 303, "/portal/sign-in" if route.interface == "portal" else "/sign-in"


def test_every_url_argument_has_sample_data(session_app):
    known = w.OWNED | w.SHARED
    unknown = {
        f"{route.name}: {name}"
        for route in w.routes(session_app)
        for name in route.rule.arguments
        if name not in known
    }
    assert not unknown, "say in tests/guarantees/sample_data.py a value for it"


def test_undeclared_view_stops_the_start():
    """A view that somebody forgot to guard is found before anybody can open it (VULN-06)."""
    app = Flask("bare")
    blueprint = Blueprint("bare", __name__)
    blueprint.add_url_rule("/bare", "page", lambda: "bare")
    app.register_blueprint(blueprint)
    with pytest.raises(UndeclaredView, match=r"/bare \(bare\.page\)"):
        check_declared(app)


def test_every_route_is_declared_and_public_ones_give_a_reason(session_app):
    """A new public route is listed here by hand; none of them makes an account (VULN-06, VULN-21)."""
    check_declared(session_app)
    public = {route.name: route for route in w.routes(session_app) if route.action is None}
    for route in public.values():
        view = session_app.view_functions[route.rule.endpoint]
        assert len(view.public) > 10, route.name
    # A new public route is a decision: it is added here by somebody who has thought about it.
    assert {name for name in public if not name.startswith("HEAD")} == {
        "GET /",
        "GET /api/v1/docs",
        "GET /api/v1/openapi.json",
        "GET /assets/<string:stamp>/<path:name>",
        "GET /demo/mail",
        "GET /exit",
        "GET /fonts/<string:key>.woff2",
        "GET /livez",
        "GET /portal/enter",
        "GET /portal/enter/<string:token>",
        "GET /portal/safety",
        "GET /portal/sign-in",
        "GET /readyz",
        "GET /robots.txt",
        "GET /sign-in",
        "GET /sign-in/code",
        "GET /sign-in/forgotten",
        "GET /sign-in/password",
        "GET /sign-in/password/<string:token>",
        "GET /sign-in/provider",
        "GET /sign-in/provider/invitation",
        "GET /sign-in/provider/return",
        "GET /sign-out/provider",
        "POST /api/v1/oauth/introspect",
        "POST /api/v1/oauth/revoke",
        "POST /api/v1/oauth/token",
        "POST /exit",
        "POST /portal/card",
        "POST /portal/enter",
        "POST /portal/sign-in",
        "POST /portal/sign-in/pin",
        "POST /sign-in",
        "POST /sign-in/again",
        "POST /sign-in/code",
        "POST /sign-in/forgotten",
        "POST /sign-in/invitation",
        "POST /sign-in/password",
        "POST /sign-in/passkey",
    }


@pytest.mark.slow
def test_anonymous_request_is_refused_everywhere(world, routes):
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
            if route.interface == "api" and answer.headers.get("WWW-Authenticate") != "Bearer":
                failures.append((route.name, "no WWW-Authenticate"))
    assert failures == []
    assert w.digest(but=()) == before


@pytest.mark.slow
@pytest.mark.parametrize("who", ["client", "signing_in", "coach"])
def test_credentials_of_one_interface_are_refused_by_others(world, routes, who):
    """What the portal knows a client by opens nothing of the staff's, signing included (VULN-08)."""
    before, failures = w.digest(but=()), []
    for route in routes:
        if route.action is None or known_at(world, who, route.interface):
            continue
        answer = w.send(world, route, who, world.own)
        found = (answer.status_code, answer.location)
        if found != what_a_stranger_reads(route):
            failures.append((route.name, found))
    assert failures == []
    assert w.digest(but=()) == before


@pytest.mark.slow
@pytest.mark.parametrize("who", ["coach", "supervisor", "admin", "client", "signing_in"])
def test_role_without_the_action_is_refused_and_recorded(world, routes, who):
    mine = ACTIONS_BY_ROLE[role_of(world, who)]
    before = w.digest()
    failures: list = []
    for route in routes:
        if (
            route.action in mine
            or route.action is None
            or not known_at(world, who, route.interface)
        ):
            continue
        counted = w.refusals()
        answer = w.send(world, route, who, world.own)
        if route.interface == "portal" and route.safe:
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


@pytest.mark.both
@pytest.mark.pdf
@pytest.mark.parametrize("who", ["coach", "supervisor", "admin", "client"])
def test_role_with_the_action_reads_and_changes_nothing(world, routes, who):
    mine = ACTIONS_BY_ROLE[role_of(world, who)]
    before = w.digest()
    failures: list = []
    for route in routes:
        if not route.safe or route.action not in mine or not known_at(world, who, route.interface):
            continue
        owned = w.OWNED & route.rule.arguments
        if who == "admin" and owned:
            continue
        # Whoever accepted a case reads its brief, nobody else.
        if who == "supervisor" and "accepted_id" in owned:
            continue
        # A certificate is made when a record is erased, and the sample erasure is only requested.
        expected = {409} if "certificate" in route.name else {200, 303}
        with w.written_tables() as written:
            answer = w.send(world, route, who, world.values_for(who))
        if answer.status_code not in expected:
            failures.append((route.name, answer.status_code))
        if route.method == "HEAD" and answer.data:
            failures.append((route.name, "HEAD has a body"))
        if written - w.WRITTEN_BY_READING:
            failures.append((route.name, "changed", written))
    assert failures == []
    assert w.digest() == before


TOKEN = re.compile(rb'(?<=name="csrf_token" value=")[^"]+')


def like(answer):
    """Return everything by which a reader could tell two answers apart; a form's token changes with every second."""
    headers = {name: value for name, value in answer.headers.items() if name != "X-Request-Id"}
    return answer.status_code, headers, TOKEN.sub(b"", answer.data)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["coach2", "supervisor2", "client2"])
def test_foreign_record_looks_like_a_missing_one(world, routes, who):
    """Each argument alone is exchanged for the other coach's, and for one that never was (VULN-01, VULN-02)."""
    mine = ACTIONS_BY_ROLE[role_of(world, who)]
    before, failures, looked = w.digest(), [], 0
    base = (
        world.own | {name: world.foreign[name] for name in w.OWNED}
        if who != "supervisor2"
        else world.own
    )
    for route in routes:
        owned = sorted(w.OWNED & route.rule.arguments)
        if not owned or route.action not in mine or not known_at(world, who, route.interface):
            continue
        for name in owned:
            if who == "client2" and name != "position":
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


@pytest.mark.pdf
def test_whoever_must_not_see_a_client_finds_nothing_of_them(world, routes):
    """The coach's supervisor, who sees the client otherwise, reads what they would of nobody's (VULN-07)."""
    who, own = "supervisor", world.own
    w.deny(world, who)
    named = [str(own[name]) for name in ("number", "client_id", "case_id")]
    named.append(get_case_context_by_number(world.actors["coach"], own["number"]).client.name)
    failures: list = []
    before, looked = w.digest(), 0
    for route in routes:
        if route.action not in ACTIONS_BY_ROLE[Role.SUPERVISOR] or route.interface == "portal":
            continue
        owned = sorted(w.OWNED & route.rule.arguments - w.NOT_OF_ONE_CLIENT)
        if owned:
            values = own | {name: w.MISSING.get(name, w.NOBODYS) for name in owned}
            body = w.BODIES.get(route.name)
            answers = [w.send(world, route, who, given, body=body) for given in (own, values)]
            if answers[0].status_code != 404 or like(answers[0]) != like(answers[1]):
                failures.append((route.name, [answer.status_code for answer in answers]))
        elif route.safe:
            page = w.send(world, route, who, own).data
            failures += [(route.name, name) for name in named if name.encode() in page]
        looked += 1
    assert failures == []
    assert looked > 100
    assert w.digest() == before


@pytest.mark.slow
def test_emergency_access_changes_nothing(world, routes):
    """A record that somebody reads by emergency access is a missing one for every change (VULN-26)."""
    who, own = "supervisor2", world.own
    builders.read_in_emergency(world.actors[who], own["number"])
    [case_page] = (route for route in routes if route.name == "GET /case/<string:number>")
    assert w.send(world, case_page, who, own).status_code == 200
    failures: list = []
    before, looked = w.digest(), 0
    for route in routes:
        owned = w.OWNED & route.rule.arguments - w.NOT_OF_ONE_CLIENT - {"emergency_id"}
        if route.safe or not owned or route.action not in ACTIONS_BY_ROLE[Role.SUPERVISOR]:
            continue
        if route.interface != "portal" and route.rule.endpoint not in READING:
            answer = w.send(world, route, who, own, body=w.BODIES.get(route.name))
            looked += 1
            if answer.status_code != 404:
                failures.append((route.name, answer.status_code))
    assert failures == []
    assert looked > 50
    assert w.digest() == before


@pytest.mark.slow
def test_foreign_record_in_own_case_is_not_found(world, routes):
    """`/case/<mine>/flags/<theirs>/clear` and its like: the record is not of the actor's own case (VULN-05)."""
    before = w.digest()
    failures: list = []
    for route in routes:
        inner = (w.OWNED & route.rule.arguments) - {"number", "case_id", "client_id"}
        outer = {"number", "case_id", "client_id"} & route.rule.arguments
        if not inner or not outer or route.interface == "portal":
            continue
        who = "coach2" if route.action in ACTIONS_BY_ROLE[Role.COACH] else "supervisor2"
        for name in inner:
            values = world.foreign | {name: world.own[name]}
            answer = w.send(world, route, who, values, body=w.BODIES.get(route.name))
            if answer.status_code != 404:
                failures.append((route.name, name, answer.status_code))
    assert failures == []
    assert w.digest() == before


@pytest.mark.slow
def test_post_without_csrf_token_is_refused(world, routes):
    """Neither one that was made up nor that of another browser is good (VULN-38)."""
    before, failures = w.digest(but=()), []
    for route in routes:
        # Leaving must always work: the request ends the session of the browser that sends it and does nothing else.
        leaves = route.rule.endpoint == "portal_safety.quick_exit"
        if route.safe or route.interface == "api" or leaves:
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
def test_cross_site_post_is_refused(world, routes):
    """Hosts that begin like ours among them, and other ports (VULN-30)."""
    before, failures = w.digest(but=()), []
    for route in routes:
        if route.safe or route.interface == "api":
            continue
        who = "client" if route.interface == "portal" else "coach"
        for headers in CROSS:
            answer = w.send(world, route, who, world.own, headers=headers)
            if answer.status_code != 400:
                failures.append((route.name, headers, answer.status_code))
    assert failures == []
    assert w.digest(but=()) == before


@pytest.mark.slow
def test_unlisted_method_is_refused_with_allow(world, app):
    listed: dict = {}
    for rule in app.url_map.iter_rules():
        listed.setdefault(rule.rule, [set(), rule])[0].update(rule.methods)
    before, failures = w.digest(but=()), []
    for methods, rule in listed.values():
        route = w.Route(rule, "GET", None, w.interface_of(rule.rule))
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


@pytest.mark.slow
def test_method_override_is_ignored(world):
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


@pytest.mark.both
@pytest.mark.slow
def test_strange_address_never_fails(world, routes):
    texts = {"number", "slug", "key", "token", "filename"}
    failures: list = []
    for route in routes:
        name = next(iter(texts & route.rule.arguments), None)
        if name is None or len(route.rule.arguments) > 1 or not route.safe:
            continue
        staff = "coach" if route.action in {None, *ACTIONS_BY_ROLE[Role.COACH]} else "supervisor"
        who = "client" if route.interface == "portal" else staff
        marked = route.path(world.own | {name: "MARK"})
        for hostile in HOSTILE:
            answer = w.send(world, route, who, world.own, path=marked.replace("MARK", hostile))
            # A mailed link leads on to an address without its token.
            moved_on = answer.location in {"/portal/enter", "/sign-in/password"}
            public = route.action is None and (answer.status_code == 200 or moved_on)
            if answer.status_code not in {400, 404, 405, 308} and not public:
                failures.append((route.name, hostile[:40], answer.status_code))
            if "etc/passwd" in answer.get_data(as_text=True) or "root:" in answer.get_data(
                as_text=True
            ):
                failures.append((route.name, hostile, "quoted"))
    assert failures == []
