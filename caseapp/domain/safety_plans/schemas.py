"""Data about safety plans, and their schemas."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from caseapp.core.schemas import PrintedString
from caseapp.domain.safety_plans.codes import (
    FORMS,
    MAX_LENGTH,
    MAX_LINES,
    STEP_KEYS,
    TEXT_CHANGES,
    PlanForm,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from uuid import UUID


@dataclass(frozen=True)
class PlanVersion:
    """A version of a plan. `number` counts the versions of the plan of this kind, `seq` those of all plans.

    `shown_on` is the day on which the client said that they want the plan in the portal, or None. `note` says what was
    changed, `change` is its code. `worked_on_at` is when coach and client last wrote or reviewed the plan.
    """

    id: UUID
    plan_id: UUID
    client_id: UUID
    seq: int
    kind: str
    number: int
    change: str
    answers: Mapping[str, str] = field(repr=False)
    note: str = field(repr=False)
    shown_on: date | None
    review_on: date
    created_at: datetime
    created_by: UUID
    worked_on_at: datetime
    created_by_name: str = ""

    @property
    def version(self) -> int:
        """The number, as every record of the API calls it."""
        return self.number

    @property
    def form(self) -> PlanForm:
        """The form of the plan."""
        return FORMS[self.kind]

    @property
    def changes_text(self) -> bool:
        """Tell whether the text differs from that of the version before."""
        return self.change in TEXT_CHANGES


@dataclass(frozen=True)
class NewPlan:
    """The text of a plan; `review_on` is None for the usual interval."""

    answers: dict[str, str] = field(repr=False)
    note: str = field(default="", repr=False)
    review_on: date | None = None


@dataclass(frozen=True)
class NewReview:
    """A review of a plan that changed nothing; `review_on` is None for the usual interval."""

    note: str = field(default="", repr=False)
    review_on: date | None = None


def normalize_step(text: str) -> str:
    """Return a step's text without blanks around it and without empty lines."""
    lines = (re.sub(r"\s+", " ", line).strip() for line in text.splitlines())
    return "\n".join(filter(None, lines))


class StepText(PrintedString):
    """The text of a step: short enough for one printed page."""

    def _deserialize(self, value: Any, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - as in the class above
        text = normalize_step(super()._deserialize(value, *args, **more))
        if len(text) > MAX_LENGTH:
            raise ValidationError(f"Shorten this to {MAX_LENGTH} characters.")
        if text.count("\n") >= MAX_LINES:
            raise ValidationError(f"Shorten this to {MAX_LINES} lines.")
        return text


def _review_on() -> fields.Date:
    return fields.Date(load_default=None, allow_none=True)


def _note() -> fields.String:
    return fields.String(load_default="", validate=validate.Length(max=500))


class AnswersSchema(Schema):
    """The text of each step of a plan."""


PlanAnswersSchema = AnswersSchema.from_dict(
    {key: StepText(load_default="") for key in STEP_KEYS}, name="PlanAnswersSchema"
)


class PlanFormSchema(PlanAnswersSchema):  # type: ignore[misc, valid-type]
    """Input of a plan's page: each step is a field of its own."""

    note = _note()
    review_on = _review_on()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewPlan:
        """Build the dataclass."""
        note, review_on = data.pop("note").strip(), data.pop("review_on")
        return NewPlan(data, note, review_on)


class ReviewSchema(Schema):
    """Input of a review; its fields stand on one page with those of the plan."""

    review_note = _note()
    next_review_on = _review_on()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewReview:
        """Build the dataclass."""
        return NewReview(data["review_note"].strip(), data["next_review_on"])


ASK_FIRST = "Tick this only if the client has said so. Otherwise keep the plan out of the portal."


class PortalWishSchema(Schema):
    """Input of the client's wish to have a plan in the portal."""

    wished = fields.Boolean(
        required=True,
        validate=validate.OneOf([True], error=ASK_FIRST),
        error_messages={"required": ASK_FIRST},
    )


@dataclass(frozen=True)
class ClientPlan:
    """The text of a client's plan of one kind."""

    kind: str
    plan: NewPlan


class ClientPlanSchema(Schema):
    """Input of a plan through the API."""

    kind = fields.String(required=True, validate=validate.OneOf(FORMS))
    answers = fields.Nested(PlanAnswersSchema, required=True)
    note = _note()
    review_on = _review_on()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> ClientPlan:
        """Build the dataclass."""
        plan = NewPlan(data["answers"], data["note"].strip(), data["review_on"])
        return ClientPlan(data["kind"], plan)


class PlanResponseSchema(Schema):
    """A version of a client's plan. `shown_on` is when the client said that they want it in the portal."""

    id = fields.UUID(required=True)
    plan_id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    kind = fields.String(required=True)
    version = fields.Integer(required=True)
    change = fields.String(required=True)
    answers = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    note = fields.String(required=True)
    shown_on = fields.Date(required=True, allow_none=True)
    review_on = fields.Date(required=True)
    created_at = fields.AwareDateTime(required=True)
    created_by = fields.UUID(required=True)
