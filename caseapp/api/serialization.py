"""Serialization of responses: a schema compiled once into plain functions, far faster than marshmallow's dump."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING, Any

import orjson
from flask import Response
from marshmallow import Schema, fields

from caseapp.http.etags import make_etag

if TYPE_CHECKING:
    from caseapp.core.pagination import Page

Serializer = Callable[[Any], Any]

# Values of these fields need no conversion, or only the encoder's.
PASS_THROUGH = frozenset(
    {
        fields.AwareDateTime,
        fields.Boolean,
        fields.Date,
        fields.Dict,
        fields.Integer,
        fields.String,
        fields.UUID,
    }
)


def build_serializer(schema: Schema) -> Serializer:
    """Build a function that turns a record (object or mapping) into a dict with exactly the schema's fields."""
    steps = [
        (name, field.attribute or name, _field_serializer(field))
        for name, field in schema.dump_fields.items()
    ]
    from_object = [(name, attrgetter(source), show) for name, source, show in steps]
    from_mapping = [(name, itemgetter(source), show) for name, source, show in steps]

    def serialize(record: Any) -> dict[str, Any]:  # noqa: ANN401 - any record
        found = from_mapping if isinstance(record, Mapping) else from_object
        return {
            name: take(record) if inner is None else inner(take(record))
            for name, take, inner in found
        }

    return serialize


def _field_serializer(field: fields.Field[Any]) -> Serializer | None:
    if type(field) in PASS_THROUGH:
        return None
    if isinstance(field, fields.Nested):
        inner = build_serializer(field.schema)
        return lambda value: None if value is None else inner(value)
    if isinstance(field, fields.List):
        item = _field_serializer(field.inner)
        return list if item is None else lambda values: [item(value) for value in values]
    return lambda value: field._serialize(value, None, None)  # noqa: SLF001 - marshmallow's own hook


def build_page_serializer(schema: Schema) -> Serializer:
    """Build a function that serializes a page of records with the cursor of the next page."""
    serialize = build_serializer(schema)

    def serialize_page(page: Page[Any]) -> dict[str, Any]:
        return {"items": [serialize(item) for item in page.items], "next": page.next}

    return serialize_page


def _default(value: object) -> object:
    if isinstance(value, (frozenset, set)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _encode(body: Any) -> bytes:  # noqa: ANN401 - JSON
    return orjson.dumps(body, _default, orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)


def to_json_types(body: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the body as a client reads it: ids, dates and times as strings."""
    return orjson.loads(_encode(body))


def json_response(body: Any, status: int) -> Response:  # noqa: ANN401 - JSON
    """Build a JSON response; a record with a version gets an ETag."""
    response = Response(_encode(body), status, mimetype="application/json")
    version = body.get("version")
    if version is not None:
        response.headers["ETag"] = make_etag(version)
    return response
