"""The description of the API: OpenAPI 3.1 for programs, and a plain page over it for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, current_app, render_template

from caseapp.api.answers import answer
from caseapp.api.door import PREFIX
from caseapp.http.guard import public

if TYPE_CHECKING:
    from apispec import APISpec

INTRODUCTION = (
    "The same records and the same rules as the staff's pages, for programs. Send a bearer token that an admin made with "
    "`caseapp token create`. Times are RFC 3339 in UTC. Lists answer `items` and `next`, the cursor of the page after. "
    "A change needs `If-Match` with the ETag that you read: 428 without it, 412 when somebody saved a newer version "
    "first. A POST that makes a record takes `Idempotency-Key`. Somebody else's record is 404, exactly like none at all; "
    "409 lists the conditions of a rule that are not met, each with a way out."
)

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


@blueprint.get("/docs")
@public("describes the API and tells nothing about anybody")
def page() -> str:
    """Show the description as a page."""
    return render_template("api/docs.html", api=current_app.extensions["api_description"])
