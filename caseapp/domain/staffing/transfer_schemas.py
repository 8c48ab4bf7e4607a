"""Data about offering cases to a colleague, and the schemas of the forms and of the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.domain.assignments.schemas import AssignmentResponseSchema
from caseapp.domain.clients.codes import TRANSFER_REASONS, TRANSFER_STATES
from caseapp.domain.consent.codes import STATES
from caseapp.domain.followups.schemas import FollowUpResponseSchema
from caseapp.domain.notes.schemas import NoteResponseSchema
from caseapp.domain.screening.response_schemas import HoldResponseSchema
from caseapp.domain.staffing.cover_schemas import ChosenClientsSchema, require_clients

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


@dataclass(frozen=True)
class TransferRecord:
    """An offer of a case to a colleague, as one reader may see it.

    `client` is the name, `followups` and `due` count the follow-ups that are open, and those due within a week, and
    `unread` the handouts that the client has not read; they are None for whoever doesn't see the client and has nothing
    to decide. `reason` is a code of TRANSFER_REASONS, None for whoever doesn't see the client, and for the colleague
    until they have accepted. What the reader may do now is in `may_decide`, `may_withdraw` and `may_undo`, though
    accepting and undoing are refused where nobody could then release an open hold. `has_brief` says that they can open
    the brief of the case.
    """

    id: UUID
    number: str
    client: str | None = field(repr=False)
    from_id: UUID
    coach: str
    to_id: UUID
    colleague: str
    reason: str | None = field(repr=False)
    state: str
    offered_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    followups: int | None
    due: int | None
    unread: int | None
    may_decide: bool
    may_withdraw: bool
    may_undo: bool
    has_brief: bool


@dataclass(frozen=True)
class NewTransfer:
    """To whom which clients are offered, and why: a code of TRANSFER_REASONS."""

    to_id: UUID
    reason: str = field(repr=False)
    clients: tuple[UUID, ...]
    all: bool


class TransferSchema(ChosenClientsSchema):
    """Input of an offer; `all` means every client of the coach who isn't offered yet."""

    to_id = fields.UUID(
        required=True,
        error_messages={
            "required": "Choose a colleague.",
            "invalid_uuid": "Choose a colleague.",
        },
    )
    reason = fields.String(
        required=True,
        validate=validate.OneOf(TRANSFER_REASONS, error="Choose a reason."),
        error_messages={"required": "Choose a reason."},
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewTransfer:
        """Build the dataclass; raise ValidationError when no client is chosen."""
        return NewTransfer(**require_clients(data))


class TransferResponseSchema(Schema):
    """An offer of a case; name, counts and reason are null for whoever may not read them."""

    id = fields.UUID(required=True)
    number = fields.String(required=True)
    client = fields.String(required=True, allow_none=True)
    from_id = fields.UUID(required=True)
    coach = fields.String(required=True)
    to_id = fields.UUID(required=True)
    colleague = fields.String(required=True)
    reason = fields.String(required=True, allow_none=True)
    state = fields.String(required=True, validate=validate.OneOf(TRANSFER_STATES))
    offered_at = fields.AwareDateTime(required=True)
    expires_at = fields.AwareDateTime(required=True)
    decided_at = fields.AwareDateTime(required=True, allow_none=True)
    followups = fields.Integer(required=True, allow_none=True)
    due = fields.Integer(required=True, allow_none=True)
    unread = fields.Integer(required=True, allow_none=True)
    may_decide = fields.Boolean(required=True)
    may_withdraw = fields.Boolean(required=True)
    may_undo = fields.Boolean(required=True)
    has_brief = fields.Boolean(required=True)


class BriefResponseSchema(Schema):
    """What the new coach of a transferred client has to know; `plan` is the newest signed note that has a plan.

    `due` are the follow-ups due within a week, `drafts` when the former coach began each note that isn't signed, and
    `unread` the handouts that the client hasn't read.
    """

    id = fields.UUID(required=True)
    case_id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    number = fields.String(required=True)
    former = fields.String(required=True)
    accepted_at = fields.AwareDateTime(required=True)
    readable_until = fields.AwareDateTime(required=True)
    holds = fields.List(fields.Nested(HoldResponseSchema), required=True)
    flags = fields.List(fields.String(), required=True)
    consent = fields.String(required=True, validate=validate.OneOf(STATES))
    consent_withdrawn_on = fields.Date(required=True, allow_none=True)
    due = fields.List(fields.Nested(FollowUpResponseSchema), required=True)
    drafts = fields.List(fields.AwareDateTime(), required=True)
    unread = fields.List(fields.Nested(AssignmentResponseSchema), required=True)
    plan = fields.Nested(NoteResponseSchema, required=True, allow_none=True)


@dataclass(frozen=True)
class MadeOffers:
    """Whose cases were offered to whom."""

    coach_id: UUID
    to_id: UUID


class MadeOffersResponseSchema(Schema):
    """Whose cases were offered to whom; the list of transfers has each of them."""

    coach_id = fields.UUID(required=True)
    to_id = fields.UUID(required=True)


@dataclass(frozen=True)
class DecidedTransfer:
    """What became of an offer: a code of TRANSFER_STATES."""

    id: UUID
    state: str


class DecidedTransferResponseSchema(Schema):
    """What became of an offer."""

    id = fields.UUID(required=True)
    state = fields.String(required=True, validate=validate.OneOf(TRANSFER_STATES))
