import json

import pytest
from marshmallow import Schema, ValidationError, fields

from caseapp.core.schemas import WholeNumber
from caseapp.http.guard import iter_routes
from tests.api.api_client import BASE

METHODS = {"GET", "POST", "PATCH"}


def test_every_view_is_documented(app):
    described = app.test_client().get(f"{BASE}/openapi.json").get_json()
    assert described["openapi"] == "3.1.0"
    there = {
        (method.upper(), path)
        for path, item in described["paths"].items()
        for method in item
        if method.upper() in METHODS
    }
    ours = {
        (method, rule.rule.replace("<uuid:", "{").replace("<string:", "{").replace(">", "}"))
        for rule, method, _ in iter_routes(app)
        if rule.rule.startswith(BASE)
        and method in METHODS
        # The addresses for programs are those of OAuth 2.0, which a security scheme describes.
        and not rule.rule.startswith(f"{BASE}/oauth/")
    } - {("GET", f"{BASE}/openapi.json"), ("GET", f"{BASE}/docs")}
    assert there == ours
    flows = described["components"]["securitySchemes"]["program"]["flows"]
    assert flows["clientCredentials"]["tokenUrl"] == f"{BASE}/oauth/token"


def test_every_operation_names_its_action_and_errors(app):
    described = app.test_client().get(f"{BASE}/openapi.json").get_json()
    names = []
    for path, item in described["paths"].items():
        for method, call in item.items():
            if method.upper() not in METHODS:
                continue
            names.append(call["operationId"])
            answers = call["responses"].keys()
            assert call["security"] == [{"token": []}]
            assert call["description"].startswith("Needs the action ")
            assert {"401", "403", "503"} <= answers
            assert "default" not in answers
            assert ("404" in answers) or "{" not in path
            assert ("415" in answers) == ("requestBody" in call)
            headers = {p["name"] for p in call.get("parameters", []) if p["in"] == "header"}
            assert ("428" in answers) == ("412" in answers) == ("If-Match" in headers)
            assert bool({"201", "202"} & answers) == ("Idempotency-Key" in headers)
    assert len(names) == len(set(names))


def test_every_reference_resolves_and_objects_are_closed(app):
    described = app.test_client().get(f"{BASE}/openapi.json").get_json()
    schemas = described["components"]["schemas"]
    text = json.dumps(described)
    for name, schema in schemas.items():
        assert f"#/components/schemas/{name}" in text
        assert schema["additionalProperties"] is False


def test_docs_page_lists_every_operation(app):
    page = app.test_client().get(f"{BASE}/docs")
    assert page.status_code == 200
    text = page.get_data(as_text=True)
    for words in ("/api/v1/cases/{case_id}/stage", "If-Match", "CaseListItemPage", "409 Conflict"):
        assert words in text
    assert "style=" not in text
    assert "<script>" not in text


def references(value):
    """Give the names of the schemas that a part of the description refers to."""
    if isinstance(value, dict):
        place, _, name = value.get("$ref", "").rpartition("/")
        if place.endswith("/schemas"):
            yield name
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from references(part)


def test_schema_names_say_whether_they_are_sent_or_returned(app):
    """`Case` and `CasePage` are returned, `…Request` and `…Changes` are sent, and all are plain words."""
    described = app.test_client().get(f"{BASE}/openapi.json").get_json()
    schemas = described["components"]["schemas"]

    def reachable(parts):
        names, new = set(), set(references(parts))
        while new:
            names |= new
            new = set(references([schemas[name] for name in new])) - names
        return names

    calls = [
        call
        for item in described["paths"].values()
        for method, call in item.items()
        if method.upper() in METHODS
    ]
    sent = reachable([call["requestBody"] for call in calls if "requestBody" in call])
    answers = [call["responses"] for call in calls]
    returned = reachable([*answers, described["components"]["responses"]])
    assert sent | returned == schemas.keys()
    assert {name for name in sent if not name.endswith(("Request", "Changes"))} == set()
    assert {
        name for name in returned if name.endswith(("Request", "Changes", "View", "Response"))
    } == set()
    assert all(name.isalpha() and name[0].isupper() for name in schemas)


def numbers_in(kind):
    """Yield the fields for whole numbers in a schema or a field of one."""
    if isinstance(kind, Schema):
        for inner in kind.load_fields.values():
            yield from numbers_in(inner)
    elif isinstance(kind, fields.Nested):
        yield from numbers_in(kind.schema)
    elif isinstance(kind, fields.List):
        yield from numbers_in(kind.inner)
    elif isinstance(kind, fields.Dict):
        yield from numbers_in(kind.value_field)
    elif isinstance(kind, fields.Integer):
        yield kind


def test_fraction_is_refused_wherever_a_program_sends_a_whole_number(app):
    bodies = [
        parameter["schema"]
        for _, _, view in iter_routes(app)
        for parameter in getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", [])
        if parameter["in"] == "json"
    ]
    found = [number for body in bodies for number in numbers_in(body)]
    assert len(bodies) > 20
    assert len(found) > 4
    for number in found:
        assert isinstance(number, WholeNumber), number.name
    for value in (45.9, float("nan"), float("inf"), True, "45.9"):
        with pytest.raises(ValidationError):
            WholeNumber().deserialize(value)
    assert [WholeNumber().deserialize(value) for value in (45, 45.0, "45")] == [45] * 3
