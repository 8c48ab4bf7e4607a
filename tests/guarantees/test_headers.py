from __future__ import annotations

import re
from http.cookies import SimpleCookie

import pytest

from caseapp.core.clock import at, now
from caseapp.http.assets import content_stamp
from caseapp.http.security import CONTENT_SECURITY_POLICY, HEADERS, LARGEST_BODY
from tests.guarantees import sample_data as w
from tests.support import builders, portal_client, staff
from tests.support.staff_pages import forms_in

WANTED = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex, nofollow",
}
POLICY = {
    "default-src": "'none'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "form-action": "'self'",
    "script-src": "'self'",
    "style-src": "'self'",
}


def faults(answer, *, file=False):
    """List what is missing from or extra in a response's headers."""
    wanted = HEADERS | WANTED
    if answer.headers.get("Content-Disposition", "").startswith("attachment"):
        wanted |= {"Content-Security-Policy": f"{CONTENT_SECURITY_POLICY}; sandbox"}
    found = [name for name, value in wanted.items() if answer.headers.getlist(name) != [value]]
    policy = {}
    for part in answer.headers.get("Content-Security-Policy", "").split(";"):
        name, _, value = part.strip().partition(" ")
        policy[name] = value
    found += [name for name, value in POLICY.items() if policy.get(name) != value]
    if "unsafe" in str(policy) or "*" in str(policy) or "http:" in str(policy):
        found.append("a policy with a hole")
    found += [
        name
        for name, _value in answer.headers
        if name.startswith("Access-Control") or name in {"Server", "X-Powered-By"}
    ]
    if file:
        if "public" not in answer.headers.get("Cache-Control", ""):
            found.append("a file that is not cached")
        if answer.headers.getlist("Set-Cookie"):
            found.append("a cookie on a file that is cached for everybody")
    else:
        if answer.headers.get("Cache-Control") != "no-store":
            found.append("Cache-Control")
        if not {"Cookie", "Authorization"} <= set(answer.headers.get("Vary", "").split(", ")):
            found.append("Vary")
    return found


@pytest.mark.pdf
def test_every_route_has_the_same_headers_for_everybody(world, app):
    """Nothing but files may be kept by a proxy (VULN-37)."""
    found = []
    for route in w.routes(app):
        if not route.safe:
            continue
        for who in ("nobody", "coach", "admin", "client"):
            answer = w.send(world, route, who, world.own)
            file = (
                route.rule.endpoint in {"assets.file", "fonts.font"} and answer.status_code == 200
            )
            if wrong := faults(answer, file=file):
                found.append((route.name, who, answer.status_code, wrong))
    assert found == []


def break_today(monkeypatch, app):
    def broken():
        raise RuntimeError

    monkeypatch.setitem(app.view_functions, "today.today", broken)
    monkeypatch.setattr(app, "testing", False)


@pytest.mark.slow
def test_every_status_has_the_same_headers(world, app, monkeypatch):
    coach, nobody = world.browsers["coach"], world.browsers["nobody"]
    token = {"csrf_token": world.csrf["coach"]}
    number = world.own["number"]
    page = f"/case/{number}/close"
    close = forms_in(coach.get(page).get_data(as_text=True), page)[0]
    key = {"Authorization": f"Bearer {world.tokens['coach']}"}
    case = f"/api/v1/cases/{world.own['case_id']}"
    wrong = {"csrf_token": world.csrf["nobody"], "email": "x@practice.test", "password": "wrong"}
    with at(now()):
        refused = [nobody.post("/sign-in", data=wrong) for _ in range(6)][-1]
    answers = {
        200: coach.get(f"/case/{number}"),
        303: nobody.get("/today"),
        400: coach.post(f"/case/{number}/screening"),
        401: nobody.get("/api/v1/me"),
        403: coach.get("/settings"),
        404: coach.get("/no/such/page"),
        405: coach.delete("/today"),
        409: coach.post(
            close.action,
            data=close.fields
            | {"outcome": "reunited", "reason": "decision", "final_screening": "done"},
        ),
        412: coach.patch(case, json={"goal": "together"}, headers=key | {"If-Match": '"99"'}),
        413: coach.post("/sign-in", data={"email": "x" * (LARGEST_BODY + 1)}),
        415: coach.patch(case, data="x", headers=key | {"If-Match": '"1"'}),
        422: coach.post(f"/case/{number}/screening", data=token),
        428: coach.patch(case, json={"goal": "together"}, headers=key),
        429: refused,
    }
    break_today(monkeypatch, app)
    answers[500] = coach.get("/today")
    assert {status: answer.status_code for status, answer in answers.items()} == {
        status: status for status in answers
    }
    assert {status: faults(answer) for status, answer in answers.items() if faults(answer)} == {}


@pytest.mark.parametrize(
    "path", ["/no-such", "/api/v1/no-such", "/portal/no-such", "/assets/0/no-such.css"]
)
def test_missing_address_has_the_same_headers_in_every_interface(app, visitor, path):
    answer = visitor.get(path)
    assert answer.status_code == 404
    assert faults(answer) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["/assets/0/app.css", "/assets/0/js/main.js", "/fonts/sans-400.woff2"]
)
def test_static_files_are_public_and_cacheable(app, visitor, path):
    answer = visitor.get(path)
    assert answer.status_code == 200
    assert faults(answer, file=True) == []
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    again = visitor.get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304
    assert faults(again, file=True) == []
    if path.startswith("/assets/"):
        current = visitor.get(path.replace("/0/", f"/{content_stamp()}/"))
        assert current.headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_dynamic_answer_is_never_cached(app, visitor, path):
    assert faults(visitor.get(path)) == []


def cookies_of(answer):
    found: dict = {}
    for line in answer.headers.getlist("Set-Cookie"):
        assert len(line) < 4096
        found |= SimpleCookie(line)
    return found


def assert_strict(cookies):
    assert cookies
    for name, cookie in cookies.items():
        assert name.startswith("__Host-"), name
        assert cookie["secure"], name
        assert cookie["httponly"], name
        assert cookie["path"] == "/", name
        assert not cookie["domain"], name
        assert cookie["samesite"] in {"Lax", "Strict"}, name


def test_every_cookie_is_host_only_and_http_only(app, visitor):
    coach = staff.add("coach")
    page = visitor.get("/sign-in")
    assert_strict(cookies_of(page))
    signed_in = staff.sign_in(visitor, coach)
    assert_strict(cookies_of(signed_in))
    signed_out = visitor.post("/sign-out", data={"csrf_token": staff.csrf(visitor.get("/account"))})
    assert_strict({k: v for k, v in cookies_of(signed_out).items() if k == "__Host-desk"})
    assert signed_out.headers["Clear-Site-Data"]


def test_portal_cookie_is_strict_with_a_neutral_name(app, visitor):
    found = portal_client.invited(staff.add("coach"))
    answer = portal_client.use_card(visitor, found.card_code)
    cookies = cookies_of(answer)
    assert_strict(cookies)
    assert "__Host-reader" in cookies
    assert not portal_client.BANNED.search(" ".join(cookies))


def test_cookies_hold_no_personal_data(app, visitor):
    coach = staff.add("coach")
    builders.case(coach, "Ines Okafor")
    staff.sign_in(visitor, coach)
    visitor.get("/cases?q=okafor")
    for name in ("__Host-desk", "__Host-form"):
        cookie = visitor.get_cookie(name)
        assert cookie is not None
        assert "okafor" not in cookie.value.lower()
    assert len(visitor.get_cookie("__Host-desk").value) == 43


NAME = re.compile(r'attachment; filename="[a-z0-9]+(-[a-z0-9]+)*\.(pdf|csv)"')


@pytest.mark.pdf
def test_every_pdf_is_a_download_in_every_interface(world):
    """SEC-27: an attachment with a generated name and its true type, never cached, never rendered or run."""
    coach, number = world.browsers["coach"], world.own["number"]
    key = {"Authorization": f"Bearer {world.tokens['coach']}"}
    builders.screen(world.actors["coach"], world.own["client_id"])
    case = f"/case/{number}/handouts"
    assignment = world.own["assignment_id"]
    answers = [
        coach.get(f"{case}/{assignment}/pdf"),
        coach.get(f"{case}/{assignment}/pdf?size=large", headers={"Range": "bytes=0-9"}),
        coach.get(f"{case}/reading-all.pdf?assignment={assignment}"),
        coach.get("/handouts/better-nights/pdf"),
        world.browsers["client"].get(f"/portal/h/{world.own['position']}/reading-02.pdf"),
        world.browsers["client"].get("/portal/reading-all.pdf"),
        coach.get(f"/api/v1/assignments/{assignment}/pdf", headers=key),
        coach.get("/api/v1/handouts/better-nights/pdf", headers=key),
    ]
    for answer in answers:
        assert (answer.status_code, answer.mimetype) == (200, "application/pdf")
        assert answer.data.startswith(b"%PDF-1.7")
        assert NAME.fullmatch(answer.headers["Content-Disposition"])
        assert answer.headers["Content-Security-Policy"].endswith("; sandbox")
        assert faults(answer) == []
