"""The description of the API: OpenAPI 3.1 for programs, and a plain page over it for people."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, current_app, render_template

from caseapp.api.blueprint import PREFIX
from caseapp.api.serialization import answer
from caseapp.http.guard import public

if TYPE_CHECKING:
    from apispec import APISpec

INTRODUCTION = """\
The same records and the same rules as the pages of the staff, for programs. Send a bearer token, which an admin
makes with “caseapp token create”. Times are RFC 3339 in UTC.

A list answers “items” and “next”, the cursor of the page after. A change needs If-Match with the ETag that you read:
428 without it, 412 when somebody saved a newer version first. A POST that makes a record takes Idempotency-Key: sent
twice, it makes one. 202 means that the work goes on in the background: follow it at Location.

The record of somebody else is 404, exactly like none at all. 422 names each field at fault; 409 lists the conditions
of a rule that are not met, each with a way out.
"""

blueprint = Blueprint("api_docs", __name__, url_prefix=PREFIX)


def description(spec: APISpec) -> dict[str, Any]:
    """Give the whole description; what no schema names is neither taken nor given."""
    described: dict[str, Any] = spec.to_dict()
    for schema in described["components"]["schemas"].values():
        schema.setdefault("additionalProperties", False)
    return described


@blueprint.get("/openapi.json")
@public("describes the API and tells nothing about anybody")
def openapi() -> Response:
    """Serve the description."""
    return answer(current_app.extensions["api_description"], 200)


@dataclass(frozen=True)
class Slot:
    """Show one thing that a call takes or a record holds."""

    name: str
    kind: str
    where: str
    needed: bool
    about: str


@dataclass(frozen=True)
class Call:
    """Show one address with one method."""

    id: str
    method: str
    path: str
    summary: str
    about: str
    slots: tuple[Slot, ...]
    takes: str
    gives: str
    statuses: tuple[tuple[str, str], ...]


def calls(api: dict[str, Any]) -> dict[str, list[Call]]:
    """Gather the calls by noun, in the order in which the nouns were opened."""
    found: dict[str, list[Call]] = {tag["name"]: [] for tag in api["tags"]}
    for path, item in api["paths"].items():
        shared = item.get("parameters", [])
        for method, call in item.items():
            if method != "parameters":
                found[call["tags"][0]].append(_call(method, path, call, shared))
    return found


def _call(method: str, path: str, call: dict[str, Any], shared: list[dict[str, Any]]) -> Call:
    body = call.get("requestBody", {}).get("content", {}).get("application/json", {})
    good = next(answer for status, answer in call["responses"].items() if status < "300")
    kinds = good.get("content", {})
    return Call(
        id=call["operationId"],
        method=method.upper(),
        path=path,
        summary=call["summary"],
        about=call.get("description", ""),
        slots=tuple(
            Slot(
                slot["name"],
                kind_of(slot["schema"]),
                slot["in"],
                slot.get("required", False),
                slot.get("description", ""),
            )
            for slot in (*shared, *call.get("parameters", []))
        ),
        takes=kind_of(body["schema"]) if body else "",
        gives=kind_of(kinds["application/json"]["schema"])
        if "application/json" in kinds
        else " or ".join(kinds),
        statuses=tuple(
            (status, HTTPStatus(int(status)).phrase) for status in sorted(call["responses"])
        ),
    )


def records(api: dict[str, Any]) -> dict[str, list[Slot]]:
    """List what each schema holds."""
    return {
        name: [
            Slot(field, kind_of(schema), "", field in found.get("required", ()), "")
            for field, schema in found["properties"].items()
        ]
        for name, found in sorted(api["components"]["schemas"].items())
    }


def kind_of(schema: dict[str, Any]) -> str:
    """Say in a few words what a value is."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(kind_of(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join("null" if one is None else str(one) for one in schema["enum"])
    kinds = schema.get("type", "anything")
    words = " or ".join(kinds) if isinstance(kinds, list) else kinds
    if "items" in schema:
        return f"list of {kind_of(schema['items'])}"
    return f"{words} ({schema['format']})" if "format" in schema else words


@blueprint.get("/docs")
@public("describes the API and tells nothing about anybody")
def page() -> str:
    """Show the description as a page."""
    api = current_app.extensions["api_description"]
    return render_template("api/docs.html", api=api, calls=calls(api), records=records(api))
