"""Payloads: the same marshmallow schema reads a form and a JSON body; what comes out is a plain value."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import request
from marshmallow import Schema, ValidationError, fields
from werkzeug.exceptions import BadRequest

from caseapp.core.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

FORM_FIELDS = frozenset({"csrf_token", "once", "version"})


@dataclass
class Form:
    """Hold a form as it was sent and what was wrong with it, so that a page can show it again."""

    raw: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)

    def value(self, name: str, default: Any = "") -> Any:  # noqa: ANN401 - whatever was sent
        """Give what was sent for a field."""
        found = self.raw.get(name)
        return default if found is None else found


def read_form(schema: Schema, *, zone: tzinfo | None = None) -> Any:  # noqa: ANN401 - a plain value
    """Load the sent form through a schema; blanks count as not given, unknown fields are refused.

    A local date and time is read in `zone`; a dictionary's entries are named `field.key`. Raises Invalid naming
    each field.
    """
    return read_forms(schema, zone=zone)[0]


def read_forms(*schemas: Schema, zone: tzinfo | None = None) -> list[Any]:
    """Load one sent form through several schemas, each of which takes its own fields.

    Raises Invalid naming each field at fault in any of them, and each field that none of them knows.
    """
    unknown = [
        name
        for name in request.form
        if name not in FORM_FIELDS and not any(_knows(schema, name) for schema in schemas)
    ]
    if unknown:
        raise Invalid({name: ["There is no such field."] for name in unknown})
    values: list[Any] = []
    faults: dict[str, list[str]] = {}
    for schema in schemas:
        try:
            values.append(load(schema, _sent(schema, zone)))
        except Invalid as error:
            faults |= {name.removesuffix(".value"): texts for name, texts in error.fields.items()}
    if faults:
        raise Invalid(faults)
    return values


def _knows(schema: Schema, name: str) -> bool:
    kind = schema.load_fields.get(name.split(".", maxsplit=1)[0])
    return kind is not None and ("." in name) == isinstance(kind, fields.Dict)


def _sent(schema: Schema, zone: tzinfo | None) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    for name, kind in schema.load_fields.items():
        if isinstance(kind, fields.List):
            raw[name] = [value for value in request.form.getlist(name) if value]
        elif isinstance(kind, fields.Dict):
            entries = {
                key: text for key, text in request.form.items() if key.startswith(f"{name}.")
            }
            raw[name] = {key.removeprefix(f"{name}."): text for key, text in entries.items()}
        elif name in request.form and request.form[name].strip():
            value = request.form[name]
            if isinstance(kind, fields.AwareDateTime) and zone is not None:
                value = _with_zone(name, value, zone)
            raw[name] = value
    return raw


def _with_zone(name: str, value: str, zone: tzinfo) -> str:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise Invalid({name: ["Write a date and time."]}) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).isoformat()


def json_object() -> dict[str, Any]:
    """Give the JSON object that was sent.

    Raises UnsupportedMediaType, BadRequest when it cannot be read, Invalid when it is not an object.
    """
    try:
        raw = request.get_json()
    except RecursionError as error:
        raise BadRequest from error
    if not isinstance(raw, dict):
        raise Invalid({"body": ["Send one JSON object."]})
    return raw


def read_query(schema: Schema) -> Any:  # noqa: ANN401 - a plain value
    """Load the query string through a schema; blanks count as not given, unknown names are refused.

    Only what the schema calls a list may stand there more than once. Raises Invalid naming each field.
    """
    several = {name for name, kind in schema.load_fields.items() if isinstance(kind, fields.List)}
    twice = [
        name for name, values in request.args.lists() if len(values) > 1 and name not in several
    ]
    if twice:
        raise Invalid({name: ["Give this once."] for name in twice})
    raw: dict[str, Any] = {}
    for name, values in request.args.lists():
        if filled := [value for value in values if value.strip()]:
            raw[name] = filled if name in several else filled[0]
    return load(schema, raw)


def load(schema: Schema, raw: dict[str, Any]) -> Any:  # noqa: ANN401 - a plain value
    """Load plain data through a schema, which may have its own words for what no database takes as text.

    Raises Invalid naming each field.
    """
    if unstorable := set(_unstorable(raw)):
        words = getattr(schema, "unstorable", "Take out the signs that are no letters.")
        raise Invalid({name: [words] for name in unstorable})
    try:
        return schema.load(raw)
    except ValidationError as error:
        raise Invalid(flat(error.messages_dict)) from error


def _unstorable(raw: dict[str, Any]) -> Iterator[str]:
    """Name the fields that hold what no database takes as text: NUL and halves of characters."""
    left: list[tuple[str, Any]] = [("", raw)]
    while left:
        name, value = left.pop()
        if isinstance(value, dict):
            left += [(name, key) for key in value]
            left += [(f"{name}.{key}".strip("."), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            left += [(name, inner) for inner in value]
        elif isinstance(value, str) and not _is_text(value):
            yield name or "body"


def _is_text(value: str) -> bool:
    try:
        return b"\x00" not in value.encode()
    except UnicodeEncodeError:
        return False


def flat(messages: Any, prefix: str = "") -> dict[str, list[str]]:  # noqa: ANN401 - marshmallow's nesting
    """Flatten marshmallow's nested messages to one list for each field."""
    if isinstance(messages, list):
        return {prefix or "form": [str(message) for message in messages]}
    found: dict[str, list[str]] = {}
    for key, value in messages.items():
        inner = prefix if isinstance(key, int) else f"{prefix}.{key}".strip(".")
        for name, texts in flat(value, inner).items():
            found.setdefault(name, []).extend(texts)
    return found


def form_of(error: Invalid | None = None) -> Form:
    """Keep the sent form for showing it again."""
    raw = {name: values if len(values) > 1 else values[0] for name, values in request.form.lists()}
    return Form(raw, error.fields if error else {})


def form_version() -> int:
    """Read the version that a form started from.

    Raises Invalid when the form does not say it.
    """
    version = request.form.get("version", "")
    if not (version.isascii() and version.isdigit()) or len(version) > 9:  # noqa: PLR2004
        raise Invalid(
            {"version": ["Open the page again; this form does not say where it started."]}
        )
    return int(version)


def uuid_of(text: str) -> UUID | None:
    """Read an id from text, or nothing."""
    try:
        return UUID(text)
    except ValueError:
        return None
