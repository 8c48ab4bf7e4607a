"""Answers: what a schema shows of a record, as JSON, without the price of a full marshmallow dump."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter, itemgetter
from typing import Any

import orjson
from flask import Response
from marshmallow import Schema, fields

from caseapp.core.pagination import Page
from caseapp.http.etags import etag_of

Show = Callable[[Any], Any]

# Values of these fields go out as they are, or as the encoder below writes them.
AS_IT_IS = frozenset(
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


def shows(schema: Schema) -> Show:
    """Prepare to show records, objects or mappings, as `schema` says: its fields and no others."""
    steps = [
        (name, field.attribute or name, _of(field)) for name, field in schema.dump_fields.items()
    ]
    from_object = [(name, attrgetter(source), show) for name, source, show in steps]
    from_mapping = [(name, itemgetter(source), show) for name, source, show in steps]

    def show(record: Any) -> dict[str, Any]:  # noqa: ANN401 - any record
        found = from_mapping if isinstance(record, Mapping) else from_object
        return {
            name: take(record) if inner is None else inner(take(record))
            for name, take, inner in found
        }

    return show


def _of(field: fields.Field[Any]) -> Show | None:
    if type(field) in AS_IT_IS:
        return None
    if isinstance(field, fields.Nested):
        inner = shows(field.schema)
        return lambda value: None if value is None else inner(value)
    if isinstance(field, fields.List):
        item = _of(field.inner)
        return list if item is None else lambda values: [item(value) for value in values]
    return lambda value: field._serialize(value, None, None)  # noqa: SLF001 - marshmallow's own hook


def shows_page(schema: Schema) -> Show:
    """Prepare to show a page of records with the cursor of the next one."""
    show = shows(schema)

    def show_page(page: Page[Any]) -> dict[str, Any]:
        return {"items": [show(item) for item in page.items], "next": page.next}

    return show_page


def whole(items: Any) -> Page[Any]:  # noqa: ANN401 - any sequence
    """Make a page of a list that is never long."""
    return Page(list(items), None)


def _plain(value: object) -> object:
    if isinstance(value, (frozenset, set)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _encode(body: Any) -> bytes:  # noqa: ANN401 - JSON
    return orjson.dumps(body, _plain, orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)


def plain(body: Any) -> Any:  # noqa: ANN401 - JSON
    """Turn what is shown into what its reader gets: texts for ids, dates and times."""
    return orjson.loads(_encode(body))


def answer(body: Any, status: int) -> Response:  # noqa: ANN401 - JSON
    """Answer JSON; a record that has a version brings its ETag."""
    response = Response(_encode(body), status, mimetype="application/json")
    version = body.get("version")
    if version is not None:
        response.headers["ETag"] = etag_of(version)
    return response
