"""Request parsing: one marshmallow schema loads a form or a JSON body into a dataclass."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import request
from marshmallow import Schema, ValidationError, fields
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest

from caseapp.core.errors import Invalid
from caseapp.core.i18n import gettext

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import tzinfo

COMMON_FIELDS = frozenset({"csrf_token", "form_key", "idempotency_key", "version"})
CONFIRM_FIELD = "confirm_password"
"""The password with which somebody confirms who they are; it comes beside the fields of any form."""
SECRET_FIELDS = frozenset(
    {
        "password",
        "new_password",
        "factor_code",
        "factor_secret",
        "passkey_answer",
        "passphrase",
        CONFIRM_FIELD,
    }
)
"""Fields whose text is neither kept nor shown again, whatever becomes of their form."""


@dataclass
class Form:
    """A form as it was submitted, with its errors, so that the page can show it again.

    `suffix` tells the fields of several like forms on one page apart, `saved` holds what somebody else saved in fields
    that the person has changed too. Once the page is rendered, `labels` says what it calls each field that it shows,
    and `hidden` names those that it sends without showing them.
    """

    raw: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    suffix: str = ""
    saved: dict[str, list[str]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)

    def value(self, name: str, default: Any = "") -> Any:  # noqa: ANN401 - whatever was sent
        """Return the submitted value of a field."""
        found = self.raw.get(name)
        return default if found is None else found

    def field_id(self, name: str) -> str:
        """Return the id of a field in the page."""
        return f"{name}-{self.suffix}" if self.suffix else name

    def messages(self, name: str, label: str) -> list[str]:
        """Return the messages about a field, which the page calls `label`."""
        self.labels[name] = label
        return self.errors.get(name, [])

    def sends(self, name: str) -> str:
        """Note that the page sends a field without showing it."""
        self.hidden.add(name)
        return ""


def own_fields(form: MultiDict[str, str]) -> MultiDict[str, str]:
    """Return the fields of a form without the password that may have come along to confirm who sends it."""
    pairs = [pair for pair in form.items(multi=True) if pair[0] != CONFIRM_FIELD]
    return MultiDict(pairs)


def words_to_keep(form: MultiDict[str, str]) -> dict[str, list[str]]:
    """Return the fields of a form that are kept when it isn't sent: all but its token and secrets."""
    return {
        name: texts
        for name, texts in form.lists()
        if name != "csrf_token" and name not in SECRET_FIELDS
    }


def read_form(schema: Schema) -> Any:  # noqa: ANN401 - a plain value
    """Load the submitted form through a schema; blanks count as absent, unknown fields are refused.

    A dictionary's entries are named `field.key`. Raises Invalid naming each field.
    """
    return load_form(request.form, schema)[0]


def load_form(
    form: MultiDict[str, str],
    *schemas: Schema,
    zone: tzinfo | None = None,
    exact: Mapping[str, datetime] | None = None,
) -> list[Any]:
    """Load one form through several schemas, each taking its own fields.

    A local date and time is read in `zone`. `exact` holds stored times: a field that still shows one, to the minute,
    keeps its seconds and its offset. Raises Invalid naming each invalid field of any of the schemas and each field that
    none of them knows.
    """
    unknown = [
        name
        for name in form
        if name not in COMMON_FIELDS and not any(_knows(schema, name) for schema in schemas)
    ]
    if unknown:
        raise Invalid({name: [gettext("Unknown field.")] for name in unknown})
    values: list[Any] = []
    errors: dict[str, list[str]] = {}
    for schema in schemas:
        try:
            values.append(load(schema, _submitted_values(form, schema, zone, exact or {})))
        except Invalid as error:
            errors |= {name.removesuffix(".value"): texts for name, texts in error.fields.items()}
    if errors:
        raise Invalid(errors)
    return values


def _knows(schema: Schema, name: str) -> bool:
    kind = schema.load_fields.get(name.split(".", maxsplit=1)[0])
    return kind is not None and ("." in name) == isinstance(kind, fields.Dict)


def _submitted_values(
    form: MultiDict[str, str],
    schema: Schema,
    zone: tzinfo | None,
    exact: Mapping[str, datetime],
) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    for name, kind in schema.load_fields.items():
        if isinstance(kind, fields.List):
            raw[name] = [value for value in form.getlist(name) if value]
        elif isinstance(kind, fields.Dict):
            entries = {key: text for key, text in form.items() if key.startswith(f"{name}.")}
            raw[name] = {key.removeprefix(f"{name}."): text for key, text in entries.items()}
        elif name in form and form[name].strip():
            value = form[name]
            if isinstance(kind, fields.AwareDateTime) and zone is not None:
                stored = exact.get(name)
                if stored is not None and value == local_minute(stored, zone):
                    value = stored.isoformat()
                else:
                    value = _with_zone(name, value, zone)
            raw[name] = value
    return raw


def local_minute(moment: datetime, zone: tzinfo) -> str:
    """Format a time as a field for local date and time shows it: to the minute."""
    return f"{moment.astimezone(zone):%Y-%m-%dT%H:%M}"


def _with_zone(name: str, value: str, zone: tzinfo) -> str:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise Invalid({name: [gettext("Enter a date and time.")]}) from error
    if moment.tzinfo:
        return moment.isoformat()
    there = moment.replace(tzinfo=zone)
    if there.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
        skipped = gettext("The clocks go forward then, and skip this time. Choose another.")
        raise Invalid({name: [skipped]})
    return there.isoformat()


def read_json() -> dict[str, Any]:
    """Return the JSON object of the body.

    Raises UnsupportedMediaType, BadRequest when it can't be parsed, Invalid when it is not an object.
    """
    try:
        raw = request.get_json()
    except RecursionError as error:
        raise BadRequest from error
    if not isinstance(raw, dict):
        raise Invalid({"body": ["Send one JSON object."]})
    return raw


def read_query(schema: Schema) -> Any:  # noqa: ANN401 - a plain value
    """Load the query string through a schema; blanks count as absent, unknown names are refused.

    Only a field that is a list in the schema may be repeated. Raises Invalid naming each field.
    """
    repeatable = {
        name for name, kind in schema.load_fields.items() if isinstance(kind, fields.List)
    }
    repeated = [
        name for name, values in request.args.lists() if len(values) > 1 and name not in repeatable
    ]
    if repeated:
        raise Invalid({name: ["Send this only once."] for name in repeated})
    raw: dict[str, Any] = {}
    for name, values in request.args.lists():
        if filled := [value for value in values if value.strip()]:
            raw[name] = filled if name in repeatable else filled[0]
    return load(schema, raw)


def load(schema: Schema, raw: dict[str, Any]) -> Any:  # noqa: ANN401 - a plain value
    """Load plain data through a schema, line breaks as line feeds; characters that no database stores are refused.

    Raises Invalid naming each field.
    """
    if unstorable := set(_has_unstorable_character(raw)):
        message = gettext("Remove the characters that can’t be stored.")
        raise Invalid({name: [message] for name in unstorable})
    try:
        return schema.load(_with_line_feeds(raw))
    except ValidationError as error:
        raise Invalid(flatten_errors(error.messages_dict)) from error


def _with_line_feeds(raw: dict[str, Any]) -> dict[str, Any]:
    """Copy plain data with each line break of a text as one line feed.

    A form sends two characters for a line break that its field counts as one. So every form and the API load, measure
    and store the same text.
    """
    copied = raw.copy()
    left: list[dict[str, Any] | list[Any]] = [copied]
    while left:
        part = left.pop()
        entries: Iterable[tuple[Any, Any]] = (
            part.items() if isinstance(part, dict) else enumerate(part)
        )
        for key, value in entries:
            if isinstance(value, str):
                part[key] = value.replace("\r\n", "\n").replace("\r", "\n")
            elif isinstance(value, dict | list):
                inner = part[key] = value.copy()
                left.append(inner)
    return copied


def _has_unstorable_character(raw: dict[str, Any]) -> Iterator[str]:
    """Yield the fields with characters that no database stores as text: NUL and lone surrogates."""
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


def flatten_errors(messages: Any, prefix: str = "") -> dict[str, list[str]]:  # noqa: ANN401 - marshmallow's nesting
    """Flatten marshmallow's nested messages into one list for each field."""
    if isinstance(messages, list):
        return {prefix or "form": [str(message) for message in messages]}
    found: dict[str, list[str]] = {}
    for key, value in messages.items():
        inner = prefix if isinstance(key, int) else f"{prefix}.{key}".strip(".")
        for name, texts in flatten_errors(value, inner).items():
            found.setdefault(name, []).extend(texts)
    return found


def submitted_form(error: Invalid | None = None) -> Form:
    """Return the submitted form, with the errors of `error`, for showing it again."""
    raw = {name: values if len(values) > 1 else values[0] for name, values in request.form.lists()}
    return Form(raw, error.fields if error else {})


def form_version() -> int:
    """Read the record's version that the form was made from.

    Raises Invalid when the form has none.
    """
    return parse_version(request.form.get("version", ""))


def parse_version(version: str) -> int:
    """Parse the version that a form was made from.

    Raises Invalid when it is none.
    """
    if not (version.isascii() and version.isdigit()) or len(version) > 9:  # noqa: PLR2004
        raise Invalid(
            {
                "version": [
                    gettext("Open the page again. We can’t tell which version this form came from.")
                ]
            }
        )
    return int(version)


def parse_uuid(text: str) -> UUID | None:
    """Parse an id, or return None."""
    try:
        return UUID(text)
    except ValueError:
        return None
