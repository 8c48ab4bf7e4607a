"""Schemas that several packages share, and our own messages in place of marshmallow's."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from caseapp.core.fonts import name_missing_glyphs
from caseapp.core.i18n import gettext, lazy_gettext

_FILL_IN = lazy_gettext("Fill this in.")
_NOT_UNDERSTOOD = lazy_gettext("We can't read this value. Enter it again.")
FIELD_MESSAGES: dict[type[fields.Field[Any]], dict[str, str]] = {
    fields.Field: {
        "required": _FILL_IN,
        "null": _FILL_IN,
        "validator_failed": _NOT_UNDERSTOOD,
    },
    fields.Nested: {"type": _NOT_UNDERSTOOD},
    fields.List: {"invalid": lazy_gettext("Enter a list.")},
    fields.String: {
        "invalid": lazy_gettext("Enter text."),
        "invalid_utf8": lazy_gettext("Enter text."),
    },
    fields.UUID: {"invalid_uuid": lazy_gettext("Enter a valid id.")},
    fields.Number: {
        "invalid": lazy_gettext("Enter a number."),
        "too_large": lazy_gettext("Enter a smaller number."),
    },
    fields.Integer: {"invalid": lazy_gettext("Enter a whole number.")},
    fields.Boolean: {"invalid": lazy_gettext("Answer yes or no.")},
    fields.DateTime: {
        "invalid": lazy_gettext("Enter a date and time."),
        "invalid_awareness": lazy_gettext("Enter a date and time with its time zone."),
    },
    fields.Date: {"invalid": lazy_gettext("Enter a date.")},
    fields.Mapping: {"invalid": _NOT_UNDERSTOOD},
}
"""Our own messages of marshmallow's field types."""
VALIDATOR_MESSAGES: dict[type[validate.Validator], dict[str, str]] = {
    validate.Length: {
        "message_min": lazy_gettext("Enter at least {min} characters."),
        "message_max": lazy_gettext("Shorten this to {max} characters."),
        "message_all": lazy_gettext("Enter {min} to {max} characters."),
        "message_equal": lazy_gettext("Enter exactly {equal} characters."),
    },
    validate.Range: {
        "message_min": lazy_gettext("Enter {{min}} or more."),
        "message_max": lazy_gettext("Enter {{max}} or less."),
        "message_all": lazy_gettext("Enter a number from {{min}} to {{max}}."),
    },
    validate.Regexp: {"default_message": _NOT_UNDERSTOOD},
    validate.OneOf: {"default_message": lazy_gettext("Choose one of the options.")},
}
"""Our own messages of marshmallow's validators."""


def replace_library_messages() -> None:
    """Replace marshmallow's messages by ours, which are translated; call it before any schema is defined."""
    for kind, messages in FIELD_MESSAGES.items():
        kind.default_error_messages = {**vars(kind).get("default_error_messages", {}), **messages}
    for validator, texts in VALIDATOR_MESSAGES.items():
        for name, text in texts.items():
            setattr(validator, name, text)
    Schema._default_error_messages = {  # noqa: SLF001 - the only place for these two
        "type": _NOT_UNDERSTOOD,
        "unknown": lazy_gettext("Unknown field."),
    }


def require_printable(text: str) -> None:
    """Require that our fonts can print a text.

    Raises ValidationError that names the characters.
    """
    if missing := name_missing_glyphs(text):
        raise ValidationError(
            gettext(
                "We cannot print these characters: %(missing)s. Remove them or use other letters.",
                missing=missing,
            )
        )


class PrintedString(fields.String):
    """A text that PDFs show, so that every character must be in our fonts; its column is marked `PRINTED`."""

    def _deserialize(self, value: Any, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - as in the class above
        text = super()._deserialize(value, *args, **more)
        require_printable(text)
        return text


class ReasonResponseSchema(Schema):
    """An unmet condition of a rule: a code for programs, a message and a way out for people."""

    code = fields.String(required=True)
    message = fields.String(required=True)
    way_out = fields.String(required=True)
