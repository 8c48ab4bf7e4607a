"""Response schemas of screenings, holds, flags and proposals."""

from __future__ import annotations

from marshmallow import Schema, fields

from caseapp.core.schemas import ReasonResponseSchema
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.schemas import level_field


class LevelsSchema(Schema):
    """The level of each item."""


LevelsResponseSchema = LevelsSchema.from_dict(
    {item.key: level_field() for item in ITEMS}, name="LevelsResponseSchema"
)


class InErrorResponseSchema(Schema):
    """That a screening was recorded in error: none of its answers counts."""

    marked_at = fields.AwareDateTime(required=True)
    marked_by = fields.UUID(required=True)
    reason = fields.String(required=True)


class ScreeningResponseSchema(Schema):
    """A screening."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    recorded_at = fields.AwareDateTime(required=True)
    recorded_by = fields.UUID(required=True)
    levels = fields.Nested(LevelsResponseSchema, required=True)
    asked_alone = fields.Boolean(required=True)
    actions_taken = fields.List(fields.String(), required=True)
    comment = fields.String(required=True)
    circumstances = fields.List(fields.String(), required=True)
    at_least = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    below_reason = fields.String(required=True)
    protocol = fields.Integer(required=True)
    lasting_since = fields.Dict(keys=fields.String(), values=fields.Date(), required=True)
    in_error = fields.Nested(InErrorResponseSchema, required=True, allow_none=True)


class EndedResponseSchema(Schema):
    """That a circumstance has ended, and why."""

    ended_at = fields.AwareDateTime(required=True)
    ended_by = fields.UUID(required=True)
    reason = fields.String(required=True)


class CircumstanceResponseSchema(Schema):
    """A circumstance that was ticked; `ended` is null while it is current."""

    circumstance = fields.String(required=True)
    mentioned_at = fields.AwareDateTime(required=True)
    ended = fields.Nested(EndedResponseSchema, required=True, allow_none=True)


class HoldResponseSchema(Schema):
    """A hold; one that ended `in_error` at `released_at` had no reason left and was not released."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    kind = fields.String(required=True)
    opened_at = fields.AwareDateTime(required=True)
    opened_by = fields.UUID(required=True)
    reasons = fields.List(fields.Dict(), required=True)
    released_at = fields.AwareDateTime(required=True, allow_none=True)
    released_by = fields.UUID(required=True, allow_none=True)
    in_error = fields.Boolean(required=True)
    second_person_id = fields.UUID(required=True, allow_none=True)
    allowed_handout = fields.String(required=True)
    allowed_case_id = fields.UUID(required=True, allow_none=True)
    version = fields.Integer(required=True)


class HoldDetailResponseSchema(HoldResponseSchema):
    """A hold with what still blocks its release."""

    blockers = fields.List(fields.Nested(ReasonResponseSchema), required=True)


class ProposalResponseSchema(Schema):
    """An item that is proposed as a concern."""

    item = fields.String(required=True)
    lasts_since = fields.AwareDateTime(required=True)
    proposed_at = fields.AwareDateTime(required=True)


class FlagResponseSchema(Schema):
    """An active flag."""

    id = fields.UUID(required=True)
    kind = fields.String(required=True)
    source = fields.String(required=True)
    set_at = fields.AwareDateTime(required=True)
