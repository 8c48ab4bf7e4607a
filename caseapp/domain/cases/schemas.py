"""Data about cases, and their request and response schemas."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from caseapp.core.i18n import lazy_gettext
from caseapp.core.schemas import RequiredText, WholeNumber, WrittenReason, explain_too_short
from caseapp.domain.cases.facts import CLOSE_REASONS, FACTS, FINAL_SCREENING, GOALS, OUTCOMES, Fact
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.clients.schemas import EnteredClient, EnteredClientSchema
from caseapp.domain.consent.codes import STATES

if TYPE_CHECKING:
    from uuid import UUID

MAX_CHILDREN = 30
LEAST_REASON = 3
"""The least number of characters of a reason for a move, a closing without a screening, or a reopening."""


def _field(fact: Fact) -> fields.Field[Any]:
    if fact.kind == "multiple":
        return fields.List(fields.String(validate=validate.OneOf(fact.options)), load_default=list)
    if fact.kind == "number":
        return WholeNumber(
            load_default=None, allow_none=True, validate=validate.Range(0, MAX_CHILDREN)
        )
    if fact.kind == "date":
        return fields.Date(load_default=None, allow_none=True)
    if fact.kind == "month":
        return fields.String(
            load_default=None,
            allow_none=True,
            validate=validate.Regexp(
                r"^(19|20)\d\d-(0[1-9]|1[0-2])$", error="Enter the year and month, such as 2026-03."
            ),
        )
    if fact.kind == "text":
        return fields.String(load_default=None, allow_none=True, validate=validate.Length(max=60))
    return fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf(list(fact.options))
    )


@dataclass(frozen=True)
class CaseDetails:
    """What a coach records about a case: facts, goal and review date."""

    facts: dict[str, Any]
    goal: str
    review_date: date | None


class _Details(Schema):
    goal = fields.String(load_default="undecided", validate=validate.OneOf(GOALS))
    review_date = fields.Date(load_default=None, allow_none=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> CaseDetails:
        """Build the dataclass; dates in the facts become ISO strings, because facts are sealed as JSON."""
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


CaseDetailsSchema = _Details.from_dict(
    {fact.name: _field(fact) for fact in FACTS}, name="CaseDetailsSchema"
)


def dump_case(details: CaseDetails) -> dict[str, Any]:
    """Return what is recorded about a case by the fields of `CaseDetailsSchema`, with dates as ISO texts."""
    empty: dict[str, Any] = {fact.name: [] if fact.kind == "multiple" else None for fact in FACTS}
    review = details.review_date.isoformat() if details.review_date else None
    return empty | details.facts | {"goal": details.goal, "review_date": review}


@dataclass(frozen=True)
class NewCase:
    """A case to open for an existing or a new client; without `coach_id` the actor coaches it."""

    client_id: UUID | None
    client: EnteredClient | None
    coach_id: UUID | None
    details: CaseDetails


class _NewCase(_Details):
    """Input of a new case; a new client is nested in `client`."""

    client_id = fields.UUID(load_default=None, allow_none=True)
    client = fields.Nested(EnteredClientSchema, load_default=None, allow_none=True)
    coach_id = fields.UUID(load_default=None, allow_none=True)

    @validates_schema
    def _one_client(self, data: dict[str, Any], **_: object) -> None:
        if bool(data.get("client_id")) == bool(data.get("client")):
            raise ValidationError("Send either the id of a client or a new client.", "client_id")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewCase:
        """Build the dataclass."""
        details = super().make(data)
        return NewCase(data["client_id"], data["client"], data["coach_id"], details)


NewCaseSchema = _NewCase.from_dict(
    {fact.name: _field(fact) for fact in FACTS}, name="NewCaseSchema"
)


@dataclass(frozen=True)
class StageMove:
    """A requested move of a case to another stage."""

    to: str
    reason: str
    evidence: dict[str, str]


def _known_stage(value: str) -> None:
    if value not in stage_by_id():
        raise ValidationError("Choose one of the seven stages.")


ASK_MOVE_REASON = lazy_gettext("Write why you are moving the case")


class StageMoveSchema(Schema):
    """Input of a move; `evidence` has a text for each criterion that the coach attests."""

    to = fields.String(required=True, validate=_known_stage, metadata={"enum": list(stage_by_id())})
    reason = WrittenReason(ASK_MOVE_REASON, LEAST_REASON, 2000, load_default="")
    evidence = fields.Dict(
        keys=fields.String(validate=validate.Length(max=60)),
        values=RequiredText(lazy_gettext("Write how this is met"), 500, load_default=""),
        load_default=dict,
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> StageMove:
        """Build the dataclass."""
        evidence = {key: text for key, text in data["evidence"].items() if text}
        return StageMove(data["to"], data["reason"], evidence)


@dataclass(frozen=True)
class CaseClosing:
    """How a case is closed."""

    outcome: str
    reason: str
    final_screening: str
    not_screened_reason: str
    follow_up_consent: bool
    follow_up_on: date | None


ASK_NOT_SCREENED = lazy_gettext("Write why the final screening was not possible")


class CaseClosingSchema(Schema):
    """Input of a closing."""

    outcome = fields.String(required=True, validate=validate.OneOf(list(OUTCOMES)))
    reason = fields.String(required=True, validate=validate.OneOf(list(CLOSE_REASONS)))
    final_screening = fields.String(required=True, validate=validate.OneOf(FINAL_SCREENING))
    not_screened_reason = WrittenReason(ASK_NOT_SCREENED, LEAST_REASON, 500, load_default="")
    follow_up_consent = fields.Boolean(load_default=False)
    follow_up_on = fields.Date(load_default=None, allow_none=True)

    @validates_schema
    def _require_consistency(self, data: dict[str, Any], **_: object) -> None:
        if data.get("final_screening") == "not_possible" and not data.get("not_screened_reason"):
            raise ValidationError(
                explain_too_short("", ASK_NOT_SCREENED, LEAST_REASON), "not_screened_reason"
            )
        if data.get("follow_up_consent") and not data.get("follow_up_on"):
            raise ValidationError("Choose the date of the follow-up.", "follow_up_on")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> CaseClosing:
        """Build the dataclass."""
        return CaseClosing(**data)


class ReopenSchema(Schema):
    """Input of the reason for reopening a case."""

    reason = WrittenReason(lazy_gettext("Write why the case is reopened"), LEAST_REASON, 2000)


@dataclass(frozen=True)
class CaseListItem:
    """A case in a list."""

    id: UUID
    number: str
    client_id: UUID
    client: str
    coach_id: UUID
    status: str
    stage: str
    opened_at: datetime
    updated_at: datetime
    consent_withdrawn_on: date | None
    hold: str | None


class CaseListItemResponseSchema(Schema):
    """A case in a list."""

    id = fields.UUID(required=True)
    number = fields.String(required=True)
    client_id = fields.UUID(required=True)
    client = fields.String(required=True)
    coach_id = fields.UUID(required=True)
    status = fields.String(required=True)
    stage = fields.String(required=True)
    opened_at = fields.AwareDateTime(required=True)
    updated_at = fields.AwareDateTime(required=True)
    consent_withdrawn_on = fields.Date(
        required=True,
        allow_none=True,
        metadata={"description": "When the client withdrew consent, until they give it again."},
    )
    hold = fields.String(required=True, allow_none=True)
    sessions = fields.Integer(required=True)
    session_minutes = fields.Integer(required=True)
    last_session_at = fields.AwareDateTime(required=True, allow_none=True)


class _CaseResponse(CaseListItemResponseSchema):
    """A case in full; the presenting facts are fields beside the others, with the names used in requests."""

    coach = fields.String(required=True)
    no_shows = fields.Integer(required=True)
    cancelled_sessions = fields.Integer(required=True)
    consent = fields.String(
        required=True,
        validate=validate.OneOf(STATES),
        metadata={
            "description": "The state of the client’s consent: `given`, given to an `earlier_text` than the practice’s "
            "current one, `missing` or `withdrawn`."
        },
    )
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


CaseResponseSchema = _CaseResponse.from_dict(
    {fact.name: _field(fact) for fact in FACTS}, name="CaseResponseSchema"
)


class CriterionResponseSchema(Schema):
    """A criterion of a stage; `check` is empty when a coach attests it with evidence."""

    id = fields.String(required=True)
    text = fields.String(required=True)
    guidance = fields.String(required=True)
    check = fields.String(required=True)


class StageResponseSchema(Schema):
    """A stage with its titles for staff and clients and its entry and exit criteria."""

    id = fields.String(required=True)
    number = fields.Integer(required=True)
    title = fields.String(required=True)
    client_title = fields.String(required=True)
    purpose = fields.String(required=True)
    weeks = fields.List(fields.Integer(), required=True)
    entry = fields.List(fields.Nested(CriterionResponseSchema), required=True)
    exit = fields.List(fields.Nested(CriterionResponseSchema), required=True)
    not_here = fields.List(fields.String(), required=True)
