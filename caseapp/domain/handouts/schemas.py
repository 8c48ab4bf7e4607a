"""What may come in about handouts, and what goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.domain.handouts.library import LANGUAGES

if TYPE_CHECKING:
    from datetime import date

    from caseapp.domain.handouts.library import Handout

KIND_LABELS = {
    "guide": "Guide",
    "worksheet": "Worksheet",
    "checklist": "Checklist",
    "journal": "Journal",
    "conversation-practice": "Conversation practice",
    "safety-sheet": "Safety sheet",
}


@dataclass(frozen=True)
class HandoutFields:
    """Name the edition of a handout that a record is about."""

    handout: Handout

    @property
    def slug(self) -> str:
        """Give the handout's name in addresses."""
        return self.handout.id

    @property
    def title(self) -> str:
        """Give the title that staff see."""
        return self.handout.title

    @property
    def outside_title(self) -> str:
        """Give the title that may be seen outside the room."""
        return self.handout.outside_title

    @property
    def language(self) -> str:
        """Give the edition's language."""
        return self.handout.language

    @property
    def handout_version(self) -> int:
        """Give the edition's number."""
        return self.handout.version


@dataclass(frozen=True)
class NewReview:
    """Hold who has read an edition as a clinician, and when."""

    clinician: str
    reviewed_on: date


class ReviewSchema(Schema):
    """Check a clinical review."""

    clinician = fields.String(
        required=True,
        validate=validate.Length(3, 120),
        error_messages={"required": "Write the clinician's name and licence."},
    )
    reviewed_on = fields.Date(
        required=True, error_messages={"required": "Choose the day of the review."}
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewReview:
        """Give the plain value."""
        return NewReview(" ".join(data["clinician"].split()), data["reviewed_on"])


class RecallSchema(Schema):
    """Check why an edition is recalled."""

    reason = fields.String(
        required=True,
        validate=validate.Length(5, 300),
        error_messages={"required": "Say why; every coach reads it."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Give the plain value."""
        return " ".join(data["reason"].split())


@dataclass(frozen=True)
class RecallRequest:
    """Hold which version is recalled, and why."""

    handout_version: int
    language: str
    reason: str


class RecallVersionSchema(Schema):
    """Check a recall that names its version, so that no newer one is meant by mistake."""

    handout_version = fields.Integer(required=True, validate=validate.Range(1, 9999))
    language = fields.String(load_default="en", validate=validate.OneOf([*LANGUAGES]))
    reason = fields.String(required=True, validate=validate.Length(5, 300))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> RecallRequest:
        """Give the plain value."""
        return RecallRequest(data["handout_version"], data["language"], " ".join(data["reason"].split()))


class RecallResponseSchema(Schema):
    """Show a recalled version; `clients` counts those of the practice who held it."""

    slug = fields.String(required=True)
    language = fields.String(required=True)
    handout_version = fields.Integer(required=True)
    recalled_at = fields.AwareDateTime(required=True)
    reason = fields.String(required=True)
    clients = fields.Integer(required=True)


class ReviewResponseSchema(Schema):
    """Show who has read an edition as a clinician."""

    clinician = fields.String(required=True)
    reviewed_on = fields.Date(required=True)
