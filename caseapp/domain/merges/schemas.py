"""Schemas for merging clients."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load

from caseapp.core.i18n import lazy_gettext
from caseapp.core.schemas import WrittenReason
from caseapp.domain.clients.schemas import ClientResponseSchema
from caseapp.domain.safety_plans.schemas import PlanResponseSchema
from caseapp.domain.screening.response_schemas import (
    CircumstanceResponseSchema,
    FlagResponseSchema,
    HoldResponseSchema,
    ScreeningResponseSchema,
)

if TYPE_CHECKING:
    from uuid import UUID

LEAST_REASON, MAX_REASON = 10, 2000


@dataclass(frozen=True)
class NewMerge:
    """Why two records are about the same client.

    `despite_decision` confirms that they are although somebody has decided about a possible conflict between them.
    """

    reason: str = field(repr=False)
    despite_decision: bool = False


def _make(data: dict[str, Any]) -> NewMerge:
    return NewMerge(data["reason"].replace("\r\n", "\n"), data["despite_decision"])


class MergeSchema(Schema):
    """Input of the form that merges a client's record into another one's."""

    reason = WrittenReason(lazy_gettext("Write the reason"), LEAST_REASON, MAX_REASON)
    despite_decision = fields.Boolean(load_default=False)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewMerge:
        """Build the value."""
        return _make(data)


class EarlierClientResponseSchema(ClientResponseSchema):
    """The details of a client in an earlier record, without what says something about now."""

    class Meta:
        """The fields that are left out."""

        exclude = (
            "id",
            "usable_channels",
            "contact_confirmed_at",
            "contact_confirmed_by",
            "version",
        )


class EarlierHoldResponseSchema(HoldResponseSchema):
    """A hold of an earlier record, with what was written about it."""

    release_reason = fields.String(required=True, allow_none=True)
    allowed_reason = fields.String(required=True)
    allowed_by = fields.UUID(required=True, allow_none=True)


class EarlierFlagResponseSchema(FlagResponseSchema):
    """A flag of an earlier record, active or not when it was merged."""

    set_by = fields.UUID(required=True)
    cleared_at = fields.AwareDateTime(required=True, allow_none=True)
    cleared_by = fields.UUID(required=True, allow_none=True)
    clear_reason = fields.String(required=True, allow_none=True)
    in_error = fields.Boolean(required=True)


class EarlierRecordResponseSchema(Schema):
    """A record that was merged into a client's, in API responses, with what was not merged; it no longer counts.

    The id is the one that the client had in it, and `client` their details there.
    """

    id = fields.UUID(attribute="client.id", required=True)
    merged_at = fields.AwareDateTime(required=True)
    merged_by = fields.String(required=True)
    reason = fields.String(required=True)
    client = fields.Nested(EarlierClientResponseSchema, required=True)
    screenings = fields.List(
        fields.Nested(ScreeningResponseSchema), attribute="history.all_screenings", required=True
    )
    circumstances = fields.List(
        fields.Nested(CircumstanceResponseSchema), attribute="history.circumstances", required=True
    )
    holds = fields.List(fields.Nested(EarlierHoldResponseSchema), required=True)
    flags = fields.List(fields.Nested(EarlierFlagResponseSchema), required=True)
    safety_plans = fields.List(fields.Nested(PlanResponseSchema), attribute="plans", required=True)


@dataclass(frozen=True)
class NewMergeInto:
    """The client whose record is kept, and why both records are about the same client."""

    into_id: UUID
    merge: NewMerge


class MergeIntoSchema(MergeSchema):
    """Input for merging a client's record, which names the client whose record is kept."""

    into_id = fields.UUID(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewMergeInto:
        """Build the value."""
        return NewMergeInto(data["into_id"], _make(data))
