"""The API's blueprint: a typed layer over flask-smorest that parses requests, serializes responses and documents both.

`http.errors` answers all errors. Decorators go in this order, outermost first: `route` (address and method), `needs`
of the guard, `response_schema` or `list_response_schema`, `request_schema` or `query_params`, `requires_if_match`.
What they parse is passed to the view by name: `body`, `query`, `version`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask_smorest import Api, Blueprint
from marshmallow import Schema, fields, post_load, validate

from caseapp.api.serialization import (
    Serializer,
    build_page_serializer,
    build_serializer,
    json_response,
)
from caseapp.core.errors import Invalid
from caseapp.core.pagination import LARGEST_PAGE
from caseapp.core.permissions import find_scope
from caseapp.core.schemas import ReasonResponseSchema
from caseapp.http.etags import read_if_match
from caseapp.http.request_parsing import load, read_json, read_query
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
    "description": "The ETag that you received when you read the record.",
    "schema": {"type": "string", "pattern": '^"[0-9]{1,9}"$'},
}
IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "required": False,
    "description": "Requests with the same key create only one record.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,80}$"},
}
ETAG = {"description": "The record’s version, in quotes.", "schema": {"type": "string"}}
LOCATION = {"description": "The address of the new record.", "schema": {"type": "string"}}


class ErrorDetailResponseSchema(Schema):
    """What went wrong: `fields` names each invalid field, `reasons` each unmet condition of a rule."""

    code = fields.String(required=True)
    message = fields.String(required=True)
    fields_ = fields.Dict(
        keys=fields.String(),
        values=fields.List(fields.String()),
        required=True,
        data_key="fields",
    )
    reasons = fields.List(fields.Nested(ReasonResponseSchema))


class ErrorResponseSchema(Schema):
    """The body of every error response."""

    error = fields.Nested(ErrorDetailResponseSchema, required=True)


@dataclass(frozen=True)
class ListRequest:
    """The part of a list that a request asks for."""

    cursor: str | None
    limit: int
    filters: dict[str, Any]


class ListQuerySchema(Schema):
    """Query parameters of every list; a list with filters adds them."""

    cursor = fields.String(
        validate=validate.Length(max=200),
        metadata={"description": "The “next” value from the previous page."},
    )
    limit = fields.Integer(load_default=PAGE_SIZE, validate=validate.Range(1, LARGEST_PAGE))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> ListRequest:
        """Build the dataclass."""
        return ListRequest(data.pop("cursor", None), data.pop("limit"), data)


class PdfQuerySchema(Schema):
    """Query parameters of every PDF."""

    size = fields.String(
        validate=validate.OneOf(["large"], error="Ask for “large”, or leave this out."),
        metadata={"description": "“large” for large print."},
    )


class _RequestParser:
    """The parser that flask-smorest uses instead of webargs, with our own parsing and errors."""

    DEFAULT_VALIDATION_STATUS = 422

    @staticmethod
    def use_args(schema: Schema, *, location: str) -> Callable[[View], View]:
        """Pass what was parsed to the view as `body` or `query`."""
        name = "query" if location == "query" else "body"

        def read() -> Any:  # noqa: ANN401 - a plain value
            if name == "query":
                return read_query(schema)
            return _parse_body(schema)

        def decorate(view: View) -> View:
            @wraps(view)
            def parsing(**arguments: Any) -> Any:  # noqa: ANN401 - whatever the view takes
                return view(**arguments, **{name: read()})

            return cast("View", parsing)

        return decorate


def _parse_body(schema: Schema) -> Any:  # noqa: ANN401 - a plain value
    sent = read_json()
    if not sent and (schema.partial or not any(f.required for f in schema.load_fields.values())):
        raise Invalid({"body": ["Send at least one field."]})
    return sent if schema.partial else load(schema, sent)


def merge_changes(schema: Schema, current: dict[str, Any], sent: dict[str, Any]) -> Any:  # noqa: ANN401
    """Merge the fields that were sent into the current ones and load the result through the schema.

    Raises Invalid naming each field.
    """
    return load(schema, {name: current[name] for name in schema.load_fields} | sent)


class ApiBlueprint(Blueprint):  # type: ignore[misc]
    """The views of one resource of the API."""

    ARGUMENTS_PARSER = _RequestParser()

    def __init__(self, name: str, description: str) -> None:
        """Create the blueprint; the API uses no cookies and so needs no CSRF token."""
        super().__init__(name, f"caseapp.api.{name}", url_prefix=PREFIX, description=description)
        self.name = f"api_{name}"
        self.resource = name
        csrf.exempt(self)

    def route(
        self, rule: str, method: str = "GET", *, error_statuses: tuple[int, ...] = ()
    ) -> Callable[[View], View]:
        """Register a view and document every status that it can answer; `error_statuses` adds to the usual ones."""

        def register(view: View) -> View:
            documented = self.doc(**_describe(self.resource, view, rule, error_statuses))(view)
            self.add_url_rule(
                rule, view.__name__, documented, methods=[method], tags=[self.resource]
            )
            return view

        return register

    def response_schema(
        self, schema: Schema, status: int = 200, *, location: Callable[[Any], str] | None = None
    ) -> Callable[[View], View]:
        """Serialize one record; `location` returns the path of a new one for the Location header."""
        headers = {"ETag": ETAG} if "version" in schema.fields else {}
        if location:
            headers["Location"] = LOCATION
        return self._serialize(schema, status, build_serializer(schema), headers, location)

    def list_response_schema(self, schema: Schema) -> Callable[[View], View]:
        """Serialize a page of records."""
        page = Schema.from_dict(
            {
                "items": fields.List(fields.Nested(schema), required=True),
                "next": fields.String(required=True, allow_none=True),
            },
            name=f"{type(schema).__name__}Page",
        )
        return self._serialize(page(), HTTPStatus.OK, build_page_serializer(schema), {}, None)

    def _serialize(
        self,
        schema: Schema,
        status: int,
        serialize: Serializer,
        headers: dict[str, Any],
        location: Callable[[Any], str] | None,
    ) -> Callable[[View], View]:
        describe = self.response(status, schema, headers=headers or None)

        def decorate(view: View) -> View:
            @wraps(view)
            def serializing(**arguments: Any) -> Response:  # noqa: ANN401
                body = serialize(view(**arguments))
                response = json_response(body, status)
                if location:
                    response.headers["Location"] = PREFIX + location(body)
                return response

            return cast("View", describe(serializing))

        return decorate

    def file_response(self, *types: str) -> Callable[[View], View]:
        """Document a file response; the view returns it itself."""

        def decorate(view: View) -> View:
            for kind in types:
                described = self.response(
                    HTTPStatus.OK, {"type": "string", "format": "binary"}, content_type=kind
                )
                view = cast("View", described(view))
            return view

        return decorate

    def request_schema(self, schema: Schema) -> Callable[[View], View]:
        """Parse the JSON body into `body`: what the schema loads, or for a partial schema the fields that were sent."""
        return cast("Callable[[View], View]", self.arguments(schema))

    def query_params(self, schema: Schema) -> Callable[[View], View]:
        """Parse the query string into `query`."""
        return cast("Callable[[View], View]", self.arguments(schema, location="query"))

    @staticmethod
    def requires_if_match(view: View) -> View:
        """Parse the If-Match header into `version`."""

        @wraps(view)
        def checking(**arguments: Any) -> Any:  # noqa: ANN401 - whatever the view takes
            return view(**arguments, version=read_if_match())

        checking.requires_if_match = True  # type: ignore[attr-defined]
        return cast("View", checking)


def _describe(
    resource: str, view: Callable[..., Any], rule: str, error_statuses: tuple[int, ...]
) -> dict[str, Any]:
    known: dict[str, Any] = getattr(view, "_apidoc", {})
    arguments = known.get("arguments", {}).get("parameters", [])
    creates = {HTTPStatus.CREATED, HTTPStatus.ACCEPTED} & set(known.get("success_status_codes", []))
    statuses = {*error_statuses, HTTPStatus.SERVICE_UNAVAILABLE}
    action = getattr(view, "action", None)
    if action is not None:
        statuses |= {
            HTTPStatus.UNAUTHORIZED,
            HTTPStatus.FORBIDDEN,
            HTTPStatus.TOO_MANY_REQUESTS,
        }
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
    if getattr(view, "requires_if_match", False):
        statuses |= {
            HTTPStatus.PRECONDITION_FAILED,
            HTTPStatus.PRECONDITION_REQUIRED,
            HTTPStatus.UNPROCESSABLE_ENTITY,
        }
        headers.append(IF_MATCH)
    if creates:
        statuses.add(HTTPStatus.CONFLICT)
        headers.append(IDEMPOTENCY_KEY)
    described: dict[str, Any] = {
        "operationId": f"{resource}_{view.__name__}",
        "responses": {int(status): HTTPStatus(status).name for status in sorted(statuses)},
        "security": [] if action is None else [{"token": []}],
    }
    if headers:
        described["parameters"] = headers
    if action is not None:
        described["description"] = f"Needs the action {action} and the scope {find_scope(action)}."
    return described


class StaffApi(Api):  # type: ignore[misc]
    """The API's OpenAPI description; `http.errors` handles errors, and no default response is documented."""

    ERROR_SCHEMA = ErrorResponseSchema
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Register nothing: `http.errors` answers every error."""

    def _register_etag_headers(self) -> None:
        """Register nothing: our ETag is a record's version, documented with its view."""

    def _register_pagination_header(self) -> None:
        """Register nothing: the next cursor is in the body."""

    def register(self, app: Flask, blueprint: ApiBlueprint) -> None:
        """Register a blueprint and document its views."""
        app.register_blueprint(blueprint)
        blueprint.register_views_in_doc(self, app, self.spec, name=blueprint.name, parameters=None)
        self.spec.tag({"name": blueprint.resource, "description": blueprint.description})


def schema_name(schema: Schema | type[Schema]) -> str:
    """Return a schema's name in the description: `Client` (ClientResponseSchema), `ClientRequest` (ClientSchema)."""
    name = schema.__name__ if isinstance(schema, type) else type(schema).__name__
    if name.endswith("ResponseSchema"):
        return name.removesuffix("ResponseSchema")
    name = name.removesuffix("Schema").removesuffix("Request")
    if name.endswith("Page"):
        return name.removesuffix("Page").removesuffix("ResponseSchema") + "Page"
    return f"{name}Changes" if isinstance(schema, Schema) and schema.partial else f"{name}Request"
