"""Payloads: the same marshmallow schema reads a form and a JSON body; what comes out is a plain value."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import request
from marshmallow import Schema, ValidationError, fields

from caseapp.core.errors import Invalid

if TYPE_CHECKING:
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

    A local date and time is read in `zone`. Raises Invalid naming each field.
    """
    unknown = [
        name for name in request.form if name not in schema.load_fields and name not in FORM_FIELDS
    ]
    if unknown:
        raise Invalid({name: ["There is no such field."] for name in unknown})
    raw: dict[str, Any] = {}
    for name, kind in schema.load_fields.items():
        if isinstance(kind, fields.List):
            raw[name] = [value for value in request.form.getlist(name) if value]
        elif name in request.form and request.form[name].strip():
            value = request.form[name]
            if isinstance(kind, fields.AwareDateTime) and zone is not None:
                value = _with_zone(name, value, zone)
            raw[name] = value
    return load(schema, raw)


def _with_zone(name: str, value: str, zone: tzinfo) -> str:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise Invalid({name: ["Write a date and time."]}) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).isoformat()


def load(schema: Schema, raw: dict[str, Any]) -> Any:  # noqa: ANN401 - a plain value
    """Load plain data through a schema.

    Raises Invalid naming each field.
    """
    try:
        return schema.load(raw)
    except ValidationError as error:
        raise Invalid(flat(error.normalized_messages())) from error


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
    if not version.isdigit() or len(version) > 9:  # noqa: PLR2004
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
