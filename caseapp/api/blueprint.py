"""The door itself: one typed layer over flask-smorest that reads, answers and describes.

Errors are left to `http.errors`, which answers for every door. Decorators stand in this order, the outermost first:
`at` (address and method), `needs` of the guard, `gives` or `lists` (what comes out), `takes` or `asks` (what comes in)
and `changes` (If-Match). What they read reaches the view by name: `body`, `query`, `version`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask_smorest import Api, Blueprint
from marshmallow import Schema, fields, post_load, validate

from caseapp.api.serialization import Show, answer, shows, shows_page
from caseapp.core.errors import Invalid
from caseapp.core.pagination import LARGEST_PAGE
from caseapp.core.schemas import ReasonView
from caseapp.http.etags import if_match
from caseapp.http.request_parsing import json_object, load, read_query
from caseapp.http.security import csrf

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask, Response

View = TypeVar("View", bound="Callable[..., Any]")

PREFIX = "/api/v1"
PAGE_SIZE = 50

IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "required": True,
    "description": "The ETag of the record as you read it.",
    "schema": {"type": "string", "pattern": '^"[0-9]{1,9}"$'},
}
ONCE_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "The same key makes one record, however often it is sent.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,80}$"},
}
ETAG = {"description": "The record's version, in quotes.", "schema": {"type": "string"}}
LOCATION = {"description": "The address of the new record.", "schema": {"type": "string"}}


class ErrorBody(Schema):
    """Show what went wrong; `fields` names each field at fault, `reasons` each unmet condition of a rule."""

    code = fields.String(required=True)
    message = fields.String(required=True)
    fields_ = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        required=True,
        data_key="fields",
    )
    reasons = fields.List(fields.Nested(ReasonView))


class ErrorView(Schema):
    """Show an error."""

    error = fields.Nested(ErrorBody, required=True)


@dataclass(frozen=True)
class Wanted:
    """Say which part of a list is wanted."""

    cursor: str | None
    limit: int
    filters: dict[str, Any]


class ListQuery(Schema):
    """Check what every list takes; a list with filters adds them."""

    cursor = fields.String(
        validate=validate.Length(max=200),
        metadata={"description": "“next” of the page before."},
    )
    limit = fields.Integer(load_default=PAGE_SIZE, validate=validate.Range(1, LARGEST_PAGE))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Wanted:
        """Give the plain value."""
        return Wanted(data.pop("cursor", None), data.pop("limit"), data)


class PaperQuery(Schema):
    """Check what every PDF may be asked."""

    size = fields.String(
        validate=validate.OneOf(["large"], error="Ask for “large”, or leave this out."),
        metadata={"description": "“large” for large print."},
    )


class _Reader:
    """Stand where flask-smorest expects webargs: read with the house's own schemas and errors."""

    DEFAULT_VALIDATION_STATUS = 422

    @staticmethod
    def use_args(schema: Schema, *, location: str) -> Callable[[View], View]:
        """Hand what was read to the view by name."""
        name = "query" if location == "query" else "body"

        def read() -> Any:  # noqa: ANN401 - a plain value
            if name == "query":
                return read_query(schema)
            return _something(schema)

        def decorate(view: View) -> View:
            @wraps(view)
            def reading(**arguments: Any) -> Any:  # noqa: ANN401 - whatever the view takes
                return view(**arguments, **{name: read()})

            return cast("View", reading)

        return decorate


def _something(schema: Schema) -> Any:  # noqa: ANN401 - a plain value
    sent = json_object()
    if not sent and (schema.partial or not any(f.required for f in schema.load_fields.values())):
        raise Invalid({"body": ["Send at least one field."]})
    return sent if schema.partial else load(schema, sent)


def merged(schema: Schema, stands: dict[str, Any], sent: dict[str, Any]) -> Any:  # noqa: ANN401
    """Lay the fields that were sent over those that stand and load the whole through the schema.

    Raises Invalid naming each field.
    """
    return load(schema, {name: stands[name] for name in schema.load_fields} | sent)


class Door(Blueprint):  # type: ignore[misc]
    """Be one noun of the API."""

    ARGUMENTS_PARSER = _Reader()

    def __init__(self, name: str, description: str) -> None:
        """Open a noun; it brings no cookie and so needs no CSRF token."""
        super().__init__(name, f"caseapp.api.{name}", url_prefix=PREFIX, description=description)
        self.name = f"api_{name}"
        self.noun = name
        csrf.exempt(self)

    def at(
        self, rule: str, method: str = "GET", *, also: tuple[int, ...] = ()
    ) -> Callable[[View], View]:
        """Answer at an address, and document every status that can come from there."""

        def register(view: View) -> View:
            documented = self.doc(**_described(self.noun, view, rule, also))(view)
            self.add_url_rule(rule, view.__name__, documented, methods=[method], tags=[self.noun])
            return view

        return register

    def gives(
        self, schema: Schema, status: int = 200, *, at: Callable[[Any], str] | None = None
    ) -> Callable[[View], View]:
        """Answer one record; `at` gives the address of a new one."""
        headers = {"ETag": ETAG} if "version" in schema.fields else {}
        if at:
            headers["Location"] = LOCATION
        return self._answers(schema, status, shows(schema), headers, at)

    def lists(self, schema: Schema) -> Callable[[View], View]:
        """Answer a page of records."""
        page = Schema.from_dict(
            {
                "items": fields.List(fields.Nested(schema), required=True),
                "next": fields.String(required=True, allow_none=True),
            },
            name=f"{type(schema).__name__}Page",
        )
        return self._answers(page(), HTTPStatus.OK, shows_page(schema), {}, None)

    def _answers(
        self,
        schema: Schema,
        status: int,
        show: Show,
        headers: dict[str, Any],
        at: Callable[[Any], str] | None,
    ) -> Callable[[View], View]:
        describe = self.response(status, schema, headers=headers or None)

        def decorate(view: View) -> View:
            @wraps(view)
            def answering(**arguments: Any) -> Response:  # noqa: ANN401
                body = show(view(**arguments))
                response = answer(body, status)
                if at:
                    response.headers["Location"] = PREFIX + at(body)
                return response

            return cast("View", describe(answering))

        return decorate

    def gives_file(self, *types: str) -> Callable[[View], View]:
        """Describe a file; the view answers it itself."""

        def decorate(view: View) -> View:
            for kind in types:
                described = self.response(
                    HTTPStatus.OK, {"type": "string", "format": "binary"}, content_type=kind
                )
                view = cast("View", described(view))
            return view

        return decorate

    def takes(self, schema: Schema) -> Callable[[View], View]:
        """Read the JSON body into `body`: a plain value, or for a partial schema the fields that were sent."""
        return cast("Callable[[View], View]", self.arguments(schema))

    def asks(self, schema: Schema) -> Callable[[View], View]:
        """Read the query string into `query`."""
        return cast("Callable[[View], View]", self.arguments(schema, location="query"))

    @staticmethod
    def changes(view: View) -> View:
        """Read If-Match into `version`."""

        @wraps(view)
        def changing(**arguments: Any) -> Any:  # noqa: ANN401 - whatever the view takes
            return view(**arguments, version=if_match())

        changing.changes = True  # type: ignore[attr-defined]
        return cast("View", changing)


def _described(
    noun: str, view: Callable[..., Any], rule: str, also: tuple[int, ...]
) -> dict[str, Any]:
    known: dict[str, Any] = getattr(view, "_apidoc", {})
    arguments = known.get("arguments", {}).get("parameters", [])
    creates = {HTTPStatus.CREATED, HTTPStatus.ACCEPTED} & set(known.get("success_status_codes", []))
    statuses = {*also, HTTPStatus.SERVICE_UNAVAILABLE}
    action = getattr(view, "action", None)
    if action is not None:
        statuses |= {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}
    if "<" in rule:
        statuses.add(HTTPStatus.NOT_FOUND)
    if arguments:
        statuses.add(HTTPStatus.UNPROCESSABLE_ENTITY)
    if any(found["in"] == "json" for found in arguments):
        statuses |= {
            HTTPStatus.BAD_REQUEST,
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        }
    headers = []
    if getattr(view, "changes", False):
        statuses |= {
            HTTPStatus.PRECONDITION_FAILED,
            HTTPStatus.PRECONDITION_REQUIRED,
            HTTPStatus.UNPROCESSABLE_ENTITY,
        }
        headers.append(IF_MATCH)
    if creates:
        statuses.add(HTTPStatus.CONFLICT)
        headers.append(ONCE_KEY)
    described: dict[str, Any] = {
        "operationId": f"{noun}_{view.__name__}",
        "responses": {int(status): HTTPStatus(status).name for status in sorted(statuses)},
        "security": [] if action is None else [{"token": []}],
    }
    if headers:
        described["parameters"] = headers
    if action is not None:
        described["description"] = f"Needs the action {action}."
    return described


class JsonApi(Api):  # type: ignore[misc]
    """Describe the API; errors stay with `http.errors`, and a description has no default answer to hide behind."""

    ERROR_SCHEMA = ErrorView
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Register nothing: `http.errors` answers every door."""

    def _register_etag_headers(self) -> None:
        """Register nothing: an ETag here is a version, described where it stands."""

    def _register_pagination_header(self) -> None:
        """Register nothing: the next cursor stands in the body."""

    def open(self, app: Flask, door: Door) -> None:
        """Open one noun and describe it."""
        app.register_blueprint(door)
        door.register_views_in_doc(self, app, self.spec, name=door.name, parameters=None)
        self.spec.tag({"name": door.noun, "description": door.description})


def schema_name(schema: Schema | type[Schema]) -> str:
    """Name a schema in the description: what is shown by its noun, what is taken by what it does."""
    name = schema.__name__ if isinstance(schema, type) else type(schema).__name__
    if name.endswith("Schema"):
        name = name.removesuffix("Schema") + "Input"
    if isinstance(schema, Schema) and schema.partial:
        name = name.removesuffix("Input") + "Changes"
    return name
