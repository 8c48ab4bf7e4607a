"""Any input to any address gets a regular answer, never a server error (SEC-38)."""

from __future__ import annotations

import json
from urllib.parse import quote_plus

import pytest

from caseapp.core.database import db
from caseapp.core.permissions import ACTIONS_BY_ROLE, Role
from tests.guarantees import sample_data as w
from tests.support.depth import ROUNDS
from tests.support.staff_pages import read_forms

pytestmark = [pytest.mark.slow, pytest.mark.both]

DEEP = 200_000
NESTED = 20_000
# Bodies that are no honest JSON, or none that anybody asked for.
RAW = {
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a word": b'"x"',
    "yes": b"true",
    "no number": b'{"minutes": NaN, "limit": Infinity, "version": -1e999}',
    "a number without end": b'{"minutes": ' + b"9" * 5000 + b"}",
    "a list without end": b"[" * DEEP,
    "lists in lists": b"[" * DEEP + b"]" * DEEP,
    "objects in objects": b'{"a":' * NESTED + b"1" + b"}" * NESTED,
    "a list in a field": b'{"name": ' + b"[" * NESTED + b"]" * NESTED + b"}",
    "half a letter": b'{"name": "\\ud800", "slug": "\\udfff", "reason": "\\ud83d"}',
    "a NUL": b'{"name": "a\\u0000b", "slug": "\\u0000", "reason": "\\u0000"}',
    "another alphabet": '{"name": "x"}'.encode("utf-16"),
    "no alphabet": b'\xff\xfe\xfd{"name": "\xff"}',
    "the same twice": b'{"name": "a", "name": ["b"], "name": {"c": 1}}',
    "a name that Python knows": b'{"__class__": {"__init__": 1}, "constructor": 1, "self": 1, "": 1}',
    "a very long name": b'{"' + b"x" * 100_000 + b'": 1}',
}
VALUES: tuple[object, ...] = (
    None,
    [],
    {},
    True,
    -1,
    1.5,
    10**30,
    "\ud800",
    "a\0b",
    "x" * 70_000,
    [[]],
    [None],
    {"a": {"b": []}},
    "{{7*7}}",
)
# What is typed into every field. A database could refuse the first ones; the others are the same to each.
FOR_DATABASES = (["\0"], ["\ud800 ﷺ % s%n{0}"], ["x" * 20_000])
FOR_FORMS = ([""], ["-1"], ["x", "y"])


@pytest.fixture
def world(world, monkeypatch):
    # As it answers people: a fault of ours becomes a page instead of a failed test.
    monkeypatch.setattr(world.app, "testing", False)
    return world


def is_postgresql():
    return db.engine.dialect.name == "postgresql"


def who_may(world, route):
    if route.interface == "portal":
        return "client"
    may = (
        who
        for who in ("coach", "supervisor", "admin")
        if route.action in ACTIONS_BY_ROLE[Role(who)]
    )
    return next(may, "nobody")


def changes(world, *interfaces):
    return [
        r
        for r in w.routes(world.app)
        if not r.safe and r.interface in interfaces and "sign-out" not in r.rule.rule
    ]


def asked(world, route, who, **more):
    headers = {"If-Match": '"1"', **more.pop("headers", {})}
    if who in world.tokens:
        headers["Authorization"] = f"Bearer {world.tokens[who]}"
    path = route.path(world.values_for(who))
    return world.browsers[who].open(path, method=route.method, headers=headers, **more)


def column_names(world):
    """List the names of all properties in the API's description."""
    described = world.browsers["nobody"].get("/api/v1/openapi.json").get_json()
    schemas = described["components"]["schemas"].values()
    return sorted({name for schema in schemas for name in schema.get("properties", {})})


@pytest.mark.soak
def test_json_of_any_shape_never_fails(world):
    """From half a letter to lists without end (VULN-36). What no schema lets through is tried without PostgreSQL."""
    found, names = [], column_names(world)
    raw = {} if is_postgresql() and ROUNDS == 1 else RAW
    bodies = [
        *raw.values(),
        *(json.dumps(dict.fromkeys(names, value)).encode() for value in VALUES),
    ]
    assert len(names) > 60
    for route in changes(world, "api"):
        who = who_may(world, route)
        for body in bodies:
            answer = asked(world, route, who, data=body, content_type="application/json")
            if answer.status_code >= 500 or answer.mimetype != "application/json":
                found.append((route.name, body[:40], answer.status_code))
    assert found == []


@pytest.mark.pdf
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_any_value_in_a_single_field_never_fails(world):
    """Each property of each body is tried alone, so that no other error hides its effect."""
    described = world.browsers["nobody"].get("/api/v1/openapi.json").get_json()
    found, sent = [], 0
    for route in changes(world, "api"):
        who = who_may(world, route)
        for name in properties(described, route):
            for value in VALUES:
                body = {**w.BODIES.get(route.name, {}), name: value}
                answer = asked(
                    world, route, who, data=json.dumps(body), content_type="application/json"
                )
                sent += 1
                if answer.status_code >= 500:
                    found.append((route.name, name, value, answer.status_code))
    assert sent > 500
    assert found == []


def properties(described, route):
    """List the fields of a route's body, as described."""
    path = route.rule.rule.replace("<uuid:", "{").replace("<string:", "{").replace(">", "}")
    if path.startswith("/api/v1/oauth/"):
        # They take the forms of OAuth 2.0, which other standards describe.
        return []
    body = described["paths"][path][route.method.lower()].get("requestBody")
    if not body:
        return []
    schema = body["content"]["application/json"]["schema"]
    while "$ref" in schema:
        schema = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema.get("properties", {})


def forms_on_pages(world):
    """List the field names of every form on a page, by the form's target."""
    forms: dict = {}
    for route in w.routes(world.app):
        if route.method != "GET" or route.interface == "api":
            continue
        who = who_may(world, route)
        page = w.send(world, route, who, world.values_for(who))
        if page.mimetype == "text/html":
            path = route.path(world.values_for(who))
            for form in read_forms(page.get_data(as_text=True), path):
                forms.setdefault(form.action, set()).update(form.fields)
    return forms


@pytest.mark.pdf
@pytest.mark.soak
def test_hostile_form_input_never_fails(world):
    """Each form is sent with each hostile value in all fields of its page, each on one database."""
    here, elsewhere = FOR_DATABASES, FOR_FORMS
    if not is_postgresql():
        here, elsewhere = elsewhere, here
    typed = [*here, *(elsewhere if ROUNDS > 1 else ())]
    forms, found = forms_on_pages(world), []
    every = {name for names in forms.values() for name in names}
    assert len(every) > 80
    for route in changes(world, "staff", "portal"):
        who = who_may(world, route)
        path = route.path(world.values_for(who))
        names = sorted(forms.get(path, every) - {"csrf_token"})
        for values in typed:
            body = encoded(world.csrf[who], names, values)
            kind = "application/x-www-form-urlencoded"
            answer = world.browsers[who].post(path, data=body, content_type=kind)
            if answer.status_code >= 500:
                found.append((route.name, values, answer.status_code))
    assert found == []


def encoded(token, names, values):
    """Encode a form as a browser would, whatever its characters."""
    pairs = [
        (name, quote_plus(value.encode("utf-8", "surrogatepass")))
        for name in names
        for value in values
    ]
    return "&".join(
        [f"csrf_token={token}", *(f"{quote_plus(name)}={value}" for name, value in pairs)]
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_body_of_any_kind_never_fails(world):
    kinds = (
        ("text/plain", b"hello"),
        ("application/json", b"[1"),
        ("application/json; charset=utf-7", b"+AFs-"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=", b"--x"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\n--x--"),
        ("application/x-www-form-urlencoded", b"%ff=%fe&=&&a=%u0041"),
        ("application/xml", b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>"),
        ("\xff", b"x"),
    )
    found = []
    for route in changes(world, "api", "staff", "portal"):
        who = who_may(world, route)
        for kind, body in kinds:
            answer = asked(world, route, who, data=body, content_type=kind)
            if answer.status_code >= 500 or b"root:" in answer.data:
                found.append((route.name, kind, answer.status_code))
    assert found == []
