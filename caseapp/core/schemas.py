"""Schemas that several packages share, and our own messages in place of marshmallow's."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from caseapp.core.fonts import name_missing_glyphs
from caseapp.core.i18n import LazyText, gettext, lazy_gettext
from caseapp.core.text import count_written

_FILL_IN = lazy_gettext("Fill this in.")
_NOT_UNDERSTOOD = lazy_gettext("We can’t read this value. Enter it again.")
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


class WholeNumber(fields.Integer):
    """A whole number that somebody enters or sends; a fraction is refused instead of cut off."""

    def _validated(self, value: Any) -> int:  # noqa: ANN401 - marshmallow's own
        if isinstance(value, float) and not value.is_integer():
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class PrintedString(fields.String):
    """A text that PDFs show, so that every character must be in our fonts; its column is marked `PRINTED`."""

    def _deserialize(self, value: Any, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - as in the class above
        text = super()._deserialize(value, *args, **more)
        require_printable(text)
        return text


class RequiredText(fields.String):
    """A text that a person has to write and that must say something; it is loaded without blanks around it.

    `ask` asks for it and names it, without a full stop: "Write the reason". `least` characters of it have to say
    something, as `count_written` counts them; all of it has at most `longest`. With a `load_default` it may be left
    out, such as where a rule decides whether it is needed, and only then may it be blank.
    """

    def __init__(self, ask: str, longest: int, *, least: int = 1, **more: Any) -> None:  # noqa: ANN401 - marshmallow's own
        """Take the sentence that asks for the text, and how short and how long it may be, in characters."""
        self.ask, self.least = ask, least
        is_required = "load_default" not in more
        missing = _ask_for(ask, least)
        if least > 1:
            described = {
                "description": f"At least {least} characters; spaces and repeated characters don’t count."
            }
            more["metadata"] = described | more.get("metadata", {})
        super().__init__(
            required=is_required,
            error_messages={"required": missing, "null": missing},
            validate=validate.Length(1 if is_required else None, longest),
            **more,
        )

    def _deserialize(self, value: Any, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - as in the class above
        text = super()._deserialize(value, *args, **more).strip()
        if count_written(text) < self.least and (text or self.required):
            raise ValidationError(explain_too_short(text, self.ask, self.least))
        return text


class RequiredPrintedText(RequiredText, PrintedString):
    """A text that a person has to write, and that PDFs show."""


class WrittenReason(RequiredText):
    """A reason that a person has to write, in at least so many characters that say something."""

    def __init__(self, ask: str, least: int, longest: int, **more: Any) -> None:  # noqa: ANN401 - as above
        """Take the sentence that asks for the reason, and how short and how long it may be, in characters."""
        super().__init__(ask, longest, least=least, **more)


def explain_too_short(text: str, ask: str, least: int) -> str:
    """Explain why a text doesn't say enough, with the sentence that asks for it, without a full stop."""
    if least == 1 and text:
        return gettext("%(ask)s, with at least one letter or digit.", ask=ask)
    needed = str(_ask_for(ask, least))
    if len(text) < least:
        return needed
    not_counted = gettext("Spaces and repeated characters don’t count.")
    return f"{needed} {not_counted}"


def _ask_for(ask: str, least: int) -> LazyText:
    if least == 1:
        return lazy_gettext("%(ask)s.", ask=ask)
    return lazy_gettext("%(ask)s, in %(least)s characters or more.", ask=ask, least=least)


class ReasonResponseSchema(Schema):
    """An unmet condition of a rule: a code for programs, a message and a way out for people."""

    code = fields.String(required=True)
    message = fields.String(required=True)
    way_out = fields.String(required=True)
