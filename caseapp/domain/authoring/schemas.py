"""What may come in about the practice's own handouts beside their text: a beginning, a return, an approval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.domain.handouts.schemas import LANGUAGES


@dataclass(frozen=True)
class NewDraft:
    """Hold with what a new handout of the practice's own begins."""

    title: str
    language: str


class NewDraftSchema(Schema):
    """Check the beginning of a new handout."""

    title = fields.String(
        required=True,
        validate=validate.Length(3, 120),
        error_messages={"required": "Give it a title; you can change it later."},
    )
    language = fields.String(load_default="en", validate=validate.OneOf([*LANGUAGES]))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewDraft:
        """Give the plain value."""
        return NewDraft(" ".join(data["title"].split()), data["language"])


class ReturnDraftSchema(Schema):
    """Check why a draft is sent back."""

    reason = fields.String(
        required=True,
        validate=validate.Length(5, 300),
        error_messages={"required": "Say what should change; its authors read it."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Give the plain value."""
        return " ".join(data["reason"].split())


class PublishSchema(Schema):
    """Check an approval."""

    hide_original = fields.Boolean(load_default=False)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> bool:
        """Give the plain value."""
        return bool(data["hide_original"])
