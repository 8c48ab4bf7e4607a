"""What may come in about a case, and what goes out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from caseapp.domain.cases.facts import CLOSE_REASONS, FACTS, GOALS, OUTCOMES, Fact
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.clients.schemas import NewClient, NewClientSchema

if TYPE_CHECKING:
    from uuid import UUID

MOST_CHILDREN = 30


def _field(fact: Fact) -> fields.Field[Any]:
    if fact.kind == "several":
        return fields.List(fields.String(validate=validate.OneOf(fact.options)), load_default=list)
    if fact.kind == "number":
        return fields.Integer(
            load_default=None, allow_none=True, validate=validate.Range(0, MOST_CHILDREN)
        )
    if fact.kind == "date":
        return fields.Date(load_default=None, allow_none=True)
    if fact.kind == "month":
        return fields.String(
            load_default=None,
            allow_none=True,
            validate=validate.Regexp(
                r"^(19|20)\d\d-(0[1-9]|1[0-2])$", error="Write year and month, such as 2026-03."
            ),
        )
    if fact.kind == "text":
        return fields.String(load_default=None, allow_none=True, validate=validate.Length(max=60))
    return fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf(list(fact.options))
    )


@dataclass(frozen=True)
class CaseDetails:
    """Hold what a coach writes about a case: the coded facts, the goal, the review date."""

    facts: dict[str, Any]
    goal: str
    review_date: date | None


class _Details(Schema):
    goal = fields.String(load_default="undecided", validate=validate.OneOf(GOALS))
    review_date = fields.Date(load_default=None, allow_none=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> CaseDetails:
        """Give the plain value; dates inside the facts become texts, since facts are sealed as JSON."""
        facts = {fact.name: data.get(fact.name) for fact in FACTS}
        return CaseDetails(
            {
                name: value.isoformat() if isinstance(value, date) else value
                for name, value in facts.items()
                if value not in (None, [], "")
            },
            data["goal"],
            data["review_date"],
        )


DetailsSchema = _Details.from_dict(
    {fact.name: _field(fact) for fact in FACTS}, name="CaseDetailsSchema"
)


@dataclass(frozen=True)
class NewCase:
    """Hold a case to be opened, for a client who is known or for a new one; without a coach it is the opener's own."""

    client_id: UUID | None
    client: NewClient | None
    coach_id: UUID | None
    details: CaseDetails


class _NewCase(_Details):
    """Check a new case; a new client stands inside `client`."""

    client_id = fields.UUID(load_default=None, allow_none=True)
    client = fields.Nested(NewClientSchema, load_default=None, allow_none=True)
    coach_id = fields.UUID(load_default=None, allow_none=True)

    @validates_schema
    def _one_client(self, data: dict[str, Any], **_: object) -> None:
        if bool(data.get("client_id")) == bool(data.get("client")):
            raise ValidationError("Give either a client's id or a new client.", "client_id")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewCase:
        """Give the plain value."""
        details = super().make(data)
        return NewCase(data["client_id"], data["client"], data["coach_id"], details)


NewCaseSchema = _NewCase.from_dict(
    {fact.name: _field(fact) for fact in FACTS}, name="NewCaseSchema"
)


@dataclass(frozen=True)
class Move:
    """Hold a wish to move a case to another stage."""

    to: str
    reason: str
    evidence: dict[str, str]


def _known_stage(value: str) -> None:
    if value not in stage_by_id():
        raise ValidationError("Choose one of the seven stages.")


class MoveSchema(Schema):
    """Check a move; `evidence` has one line for each criterion that the coach attests."""

    to = fields.String(required=True, validate=_known_stage, metadata={"enum": list(stage_by_id())})
    reason = fields.String(load_default="", validate=validate.Length(max=2000))
    evidence = fields.Dict(
        keys=fields.String(validate=validate.Length(max=60)),
        values=fields.String(validate=validate.Length(max=500)),
        load_default=dict,
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Move:
        """Give the plain value."""
        evidence = {key: line.strip() for key, line in data["evidence"].items() if line.strip()}
        return Move(data["to"], data["reason"].strip(), evidence)


@dataclass(frozen=True)
class Closing:
    """Hold how a case ends."""

    outcome: str
    reason: str
    final_screening: str
    why_not_screened: str
    follow_up_consent: bool
    follow_up_on: date | None


class ClosingSchema(Schema):
    """Check a closing."""

    outcome = fields.String(required=True, validate=validate.OneOf(list(OUTCOMES)))
    reason = fields.String(required=True, validate=validate.OneOf(list(CLOSE_REASONS)))
    final_screening = fields.String(
        required=True, validate=validate.OneOf(["done", "not_possible"])
    )
    why_not_screened = fields.String(load_default="", validate=validate.Length(max=500))
    follow_up_consent = fields.Boolean(load_default=False)
    follow_up_on = fields.Date(load_default=None, allow_none=True)

    @validates_schema
    def _whole(self, data: dict[str, Any], **_: object) -> None:
        if data.get("final_screening") == "not_possible" and not data.get("why_not_screened"):
            raise ValidationError(
                "Write why the final screening was not possible.", "why_not_screened"
            )
        if data.get("follow_up_consent") and not data.get("follow_up_on"):
            raise ValidationError("Choose the date of the follow-up.", "follow_up_on")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Closing:
        """Give the plain value."""
        return Closing(**data)


class WhySchema(Schema):
    """Check the reason for reopening a case."""

    reason = fields.String(required=True, validate=validate.Length(3, 2000))


@dataclass(frozen=True)
class CaseInList:
    """Show a case in a list."""

    id: UUID
    number: str
    client_id: UUID
    client: str
    coach_id: UUID
    status: str
    stage: str
    opened_at: datetime
    changed_at: datetime
    hold: str | None


class CaseLine(Schema):
    """Show a case in a list."""

    id = fields.UUID(required=True)
    number = fields.String(required=True)
    client_id = fields.UUID(required=True)
    client = fields.String(required=True)
    coach_id = fields.UUID(required=True)
    status = fields.String(required=True)
    stage = fields.String(required=True)
    opened_at = fields.AwareDateTime(required=True)
    changed_at = fields.AwareDateTime(required=True)
    hold = fields.String(required=True, allow_none=True)


class _CaseView(CaseLine):
    """Show a case whole; the presenting facts stand beside the rest, under the names by which they are sent."""

    coach = fields.String(required=True)
    goal = fields.String(required=True)
    goal_chosen_on = fields.Date(required=True, allow_none=True)
    review_date = fields.Date(required=True, allow_none=True)
    stage_since = fields.AwareDateTime(required=True)
    closed_at = fields.AwareDateTime(required=True, allow_none=True)
    outcome = fields.String(required=True, allow_none=True)
    close_reason = fields.String(required=True, allow_none=True)
    final_screening = fields.String(required=True, allow_none=True)
    follow_up_on = fields.Date(required=True, allow_none=True)
    version = fields.Integer(required=True)


CaseView = _CaseView.from_dict({fact.name: _field(fact) for fact in FACTS}, name="CaseView")


class CriterionView(Schema):
    """Show one condition of a stage; `check` is empty where a coach attests it with a line of evidence."""

    id = fields.String(required=True)
    text = fields.String(required=True)
    how = fields.String(required=True)
    check = fields.String(required=True)


class StageView(Schema):
    """Show a stage in the words of staff and of clients, with what it asks for on the way in and out."""

    id = fields.String(required=True)
    number = fields.Integer(required=True)
    title = fields.String(required=True)
    client_title = fields.String(required=True)
    purpose = fields.String(required=True)
    weeks = fields.List(fields.Integer(), required=True)
    entry = fields.List(fields.Nested(CriterionView), required=True)
    exit = fields.List(fields.Nested(CriterionView), required=True)
    not_here = fields.List(fields.String(), required=True)
