"""The API's documentation: OpenAPI 3.1 for programs, and a page made from it for people."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, current_app, render_template

from caseapp.api.blueprint import PREFIX
from caseapp.api.serialization import json_response
from caseapp.http.guard import public

if TYPE_CHECKING:
    from apispec import APISpec

INTRODUCTION = """\
Gives programs access to the same records, with the same rules, as the staff pages. Send a bearer token: make one
on the Account page, and choose its scopes and how long it lasts. A token acts as you, within its scopes: if a scope is
missing, the response is 403 “insufficient_scope”. A program that an admin has made under Settings, Programs, gets
15-minute tokens by OAuth 2.0 client credentials: it sends POST /api/v1/oauth/token with its id and secret by HTTP Basic
and a form of grant_type and scope; /oauth/revoke and /oauth/introspect revoke its tokens and return their details.
Times are RFC 3339 in UTC.

A list returns “items” and “next”, the cursor of the next page. To change a record, send If-Match
with the ETag that you read. Without it the response is 428. If someone has saved a newer version, the response is 412.
When you create a record with POST, send Idempotency-Key, so that a repeated request creates only one record. 202 means
that the work continues in the background: poll the address in Location.

A record that you are not allowed to see returns 404, as if it didn’t exist. A 422 response names each invalid field. A
409 response lists the conditions that are not met and how to meet them.
"""

blueprint = Blueprint("api_docs", __name__, url_prefix=PREFIX)


def description(spec: APISpec) -> dict[str, Any]:
    """Return the whole description; every object is closed: no fields beyond those of its schema."""
    described: dict[str, Any] = spec.to_dict()
    for schema in described["components"]["schemas"].values():
        schema.setdefault("additionalProperties", False)
    return described


@blueprint.get("/openapi.json")
@public("describes the API and holds no personal data")
def openapi() -> Response:
    """Serve the OpenAPI description."""
    return json_response(current_app.extensions["api_description"], 200)


@dataclass(frozen=True)
class Field:
    """A parameter of an operation or a field of a schema."""

    name: str
    kind: str
    location: str
    required: bool
    description: str


@dataclass(frozen=True)
class Operation:
    """One address with one method."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Field, ...]
    request: str
    response: str
    statuses: tuple[tuple[str, str], ...]


def list_operations(api: dict[str, Any]) -> dict[str, list[Operation]]:
    """Group the operations by resource, in the order of registration."""
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in api["tags"]}
    for path, item in api["paths"].items():
        shared = item.get("parameters", [])
        for method, call in item.items():
            if method != "parameters":
                found[call["tags"][0]].append(_operation(method, path, call, shared))
    return found


def _operation(
    method: str, path: str, call: dict[str, Any], shared: list[dict[str, Any]]
) -> Operation:
    body = call.get("requestBody", {}).get("content", {}).get("application/json", {})
    good = next(response for status, response in call["responses"].items() if status < "300")
    kinds = good.get("content", {})
    return Operation(
        id=call["operationId"],
        method=method.upper(),
        path=path,
        summary=call["summary"],
        description=call.get("description", ""),
        parameters=tuple(
            Field(
                item["name"],
                describe_type(item["schema"]),
                item["in"],
                item.get("required", False),
                item.get("description", ""),
            )
            for item in (*shared, *call.get("parameters", []))
        ),
        request=describe_type(body["schema"]) if body else "",
        response=describe_type(kinds["application/json"]["schema"])
        if "application/json" in kinds
        else " or ".join(kinds),
        statuses=tuple(
            (status, HTTPStatus(int(status)).phrase) for status in sorted(call["responses"])
        ),
    )


def list_schemas(api: dict[str, Any]) -> dict[str, list[Field]]:
    """List the fields of each schema."""
    return {
        name: [
            Field(field, describe_type(schema), "", field in found.get("required", ()), "")
            for field, schema in found["properties"].items()
        ]
        for name, found in sorted(api["components"]["schemas"].items())
    }


def describe_type(schema: dict[str, Any]) -> str:
    """Describe the type of a value in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(describe_type(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join("null" if one is None else str(one) for one in schema["enum"])
    kinds = schema.get("type", "anything")
    words = " or ".join(kinds) if isinstance(kinds, list) else kinds
    if "items" in schema:
        return f"list of {describe_type(schema['items'])}"
    return f"{words} ({schema['format']})" if "format" in schema else words


@blueprint.get("/docs")
@public("describes the API and holds no personal data")
def page() -> str:
    """Show the documentation."""
    api = current_app.extensions["api_description"]
    return render_template(
        "api/docs.html", api=api, operations=list_operations(api), schemas=list_schemas(api)
    )
