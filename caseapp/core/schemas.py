"""Schemas that several packages share."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields

from caseapp.core.fonts import name_missing_glyphs


def require_printable(text: str) -> None:
    """Require that our fonts can print a text.

    Raises ValidationError that names the characters.
    """
    if missing := name_missing_glyphs(text):
        raise ValidationError(
            f"We cannot print these characters: {missing}. Remove them or use other letters."
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
