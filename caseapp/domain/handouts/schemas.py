"""Schemas of handout reviews and recalls, and the handout fields that other records share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.core.database import max_length
from caseapp.core.i18n import lazy_gettext
from caseapp.core.schemas import RequiredText, WholeNumber, WrittenReason
from caseapp.domain.handouts.library import LANGUAGES
from caseapp.domain.handouts.models import HandoutVersion, HandoutVersionReview

if TYPE_CHECKING:
    from datetime import date

    from caseapp.domain.handouts.library import Handout

KIND_LABELS = {
    "guide": "Guide",
    "worksheet": "Worksheet",
    "checklist": "Checklist",
    "journal": "Journal",
    "conversation-practice": "Conversation practice",
    "safety-sheet": "Safety handout",
}


@dataclass(frozen=True)
class HandoutFields:
    """The handout of a record, with its fields as properties."""

    handout: Handout

    @property
    def slug(self) -> str:
        """The handout's id in addresses."""
        return self.handout.id

    @property
    def title(self) -> str:
        """The title that staff see."""
        return self.handout.title

    @property
    def neutral_title(self) -> str:
        """The title that is safe to show to others: the neutral one where there is one."""
        return self.handout.neutral_title

    @property
    def language(self) -> str:
        """The language of the version."""
        return self.handout.language

    @property
    def handout_version(self) -> int:
        """The number of the version."""
        return self.handout.version


@dataclass(frozen=True)
class NewReview:
    """Data of a new clinical review."""

    clinician: str
    reviewed_on: date


ASK_CLINICIAN = lazy_gettext("Enter the clinician’s name and licence")
LEAST_CLINICIAN = 3


class ReviewSchema(Schema):
    """A clinical review to record."""

    clinician = RequiredText(
        ASK_CLINICIAN, max_length(HandoutVersionReview.clinician), least=LEAST_CLINICIAN
    )
    reviewed_on = fields.Date(
        required=True, error_messages={"required": "Choose the date of the review."}
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewReview:
        """Build the value."""
        return NewReview(" ".join(data["clinician"].split()), data["reviewed_on"])


_ASK_RECALL_REASON = lazy_gettext("Write the reason (every coach can read it)")


class RecallSchema(Schema):
    """The reason for a recall, from the web form."""

    reason = WrittenReason(_ASK_RECALL_REASON, 5, max_length(HandoutVersion.recall_reason))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Build the value."""
        return " ".join(data["reason"].split())


@dataclass(frozen=True)
class RecallRequest:
    """The version to recall, and the reason."""

    handout_version: int
    language: str
    reason: str


class RecallVersionSchema(Schema):
    """A recall through the API; it names the version so that a newer one is not recalled by mistake."""

    handout_version = WholeNumber(required=True, validate=validate.Range(1, 9999))
    language = fields.String(load_default="en", validate=validate.OneOf([*LANGUAGES]))
    reason = WrittenReason(_ASK_RECALL_REASON, 5, max_length(HandoutVersion.recall_reason))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> RecallRequest:
        """Build the value."""
        return RecallRequest(
            data["handout_version"], data["language"], " ".join(data["reason"].split())
        )


class RecallResponseSchema(Schema):
    """A recalled version; `clients` counts the clients of the practice who have it."""

    slug = fields.String(required=True)
    language = fields.String(required=True)
    handout_version = fields.Integer(required=True)
    recalled_at = fields.AwareDateTime(required=True)
    reason = fields.String(required=True)
    clients = fields.Integer(required=True)


class ReviewResponseSchema(Schema):
    """A clinical review."""

    clinician = fields.String(required=True)
    reviewed_on = fields.Date(required=True)
