"""Data about legal holds, and their schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.core.schemas import RequiredText
from caseapp.domain.legal_holds.codes import KINDS, LIFT_REASONS

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID


@dataclass(frozen=True)
class NewLegalHold:
    """The case number of a client whose record has to be kept, why (a code of KINDS), and when to look again."""

    number: str
    kind: str
    review_on: date


@dataclass(frozen=True)
class LegalHoldRecord:
    """A legal hold as an admin or supervisor reads it.

    `numbers` are those of the client's cases. `is_due` tells that it stands and its day of review has come. `may_lift`
    tells whether the reader may lift it.
    """

    id: UUID
    client_id: UUID = field(repr=False)
    numbers: tuple[str, ...]
    kind: str
    placed_at: datetime
    placed_by: UUID
    placed_by_name: str
    review_on: date
    lifted_at: datetime | None
    lifted_by: UUID | None
    lifted_by_name: str
    lift_reason: str | None
    is_due: bool
    may_lift: bool

    @property
    def stands(self) -> bool:
        """Whether nobody has lifted it."""
        return self.lifted_at is None


REVIEW_ON_MESSAGES: dict[str, Any] = {
    "required": "Choose the day of the next review.",
    "invalid": "Choose the day of the next review.",
    "null": "Choose the day of the next review.",
}


class NewLegalHoldSchema(Schema):
    """Input of a legal hold, by case number."""

    number = RequiredText("Enter the case number", 20)
    kind = fields.String(
        required=True,
        validate=validate.OneOf(KINDS, error="Choose why the record has to be kept."),
        error_messages={"required": "Choose why the record has to be kept."},
    )
    review_on = fields.Date(required=True, error_messages=REVIEW_ON_MESSAGES)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewLegalHold:
        """Build the dataclass."""
        return NewLegalHold(**data)


@dataclass(frozen=True)
class LegalHoldReview:
    """When somebody looks again at a legal hold that is still needed."""

    review_on: date


class LegalHoldReviewSchema(Schema):
    """Input of the next review of a legal hold."""

    review_on = fields.Date(required=True, error_messages=REVIEW_ON_MESSAGES)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> LegalHoldReview:
        """Build the dataclass."""
        return LegalHoldReview(**data)


class LegalHoldLiftSchema(Schema):
    """Input of why a legal hold is lifted; it loads into the code."""

    reason = fields.String(
        required=True,
        validate=validate.OneOf(LIFT_REASONS, error="Choose why the hold is lifted."),
        error_messages={"required": "Choose why the hold is lifted."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Return the code."""
        reason: str = data["reason"]
        return reason


class LegalHoldResponseSchema(Schema):
    """A legal hold; `numbers` are those of the client's cases."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    numbers = fields.List(fields.String(), required=True)
    kind = fields.String(required=True)
    placed_at = fields.AwareDateTime(required=True)
    placed_by = fields.UUID(required=True)
    review_on = fields.Date(required=True)
    lifted_at = fields.AwareDateTime(required=True, allow_none=True)
    lifted_by = fields.UUID(required=True, allow_none=True)
    lift_reason = fields.String(required=True, allow_none=True)
