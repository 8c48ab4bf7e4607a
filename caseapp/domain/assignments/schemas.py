"""Request and response data of assignments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, pre_load, validate

from caseapp.core.clock import get_week_start
from caseapp.core.database import max_length
from caseapp.core.schemas import PrintedString, ReasonResponseSchema
from caseapp.domain.handouts.library import STOP_BOX
from caseapp.domain.handouts.models import HandoutVersion
from caseapp.domain.handouts.schemas import HandoutFields

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.domain.suitability.schemas import HandoutOption, Recipient, Recommendation


CHANNEL_LABELS = {
    "portal": "Portal: the client reads it online",
    "print": "Print: you hand it over on paper",
    "in_person": "In person: you read it together",
}
MAX_MESSAGE_LENGTH = 500
MAX_HANDOUTS = 12
MAX_REPLACED = 100
ORDER_RANGE = "Enter a position from 1 to 99."


@dataclass(frozen=True)
class NewAssignments:
    """Several handouts to assign in order, with their channel, message and weeks."""

    slugs: tuple[str, ...]
    channel: str
    message: str
    language: str
    confirmed: bool
    due_on: date | None = None
    spread: bool = False


class AssignHandoutsSchema(Schema):
    """Request to assign several handouts in order; `spread` plans them one after another over the weeks."""

    slugs = fields.List(
        fields.String(validate=validate.Length(3, max_length(HandoutVersion.slug))),
        required=True,
        validate=validate.Length(1, MAX_HANDOUTS, error="Choose at least one handout."),
    )
    channel = fields.String(
        required=True,
        validate=validate.OneOf(CHANNEL_LABELS, error="Choose a channel."),
        error_messages={"required": "Choose a channel."},
    )
    message = PrintedString(load_default="", validate=validate.Length(max=MAX_MESSAGE_LENGTH))
    language = fields.String(load_default="en", validate=validate.OneOf([*STOP_BOX]))
    confirmed = fields.Boolean(load_default=False)
    due_on = fields.Date(
        load_default=None, allow_none=True, error_messages={"invalid": "Choose a day."}
    )
    spread = fields.Boolean(load_default=False)

    @post_load
    def build(self, data: dict[str, Any], **_: object) -> NewAssignments:
        """Build the dataclass."""
        return NewAssignments(
            tuple(dict.fromkeys(data["slugs"])),
            data["channel"],
            data["message"].strip(),
            data["language"],
            data["confirmed"],
            data["due_on"],
            data["spread"],
        )


class AssignHandoutsFormSchema(AssignHandoutsSchema):
    """Form to assign several handouts, each with an optional order number."""

    order = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(
            validate=validate.Range(1, 99, error=ORDER_RANGE),
            error_messages={"invalid": ORDER_RANGE},
        ),
        load_default=dict,
    )

    @pre_load
    def drop_blanks(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Drop empty order numbers."""
        order = {slug: text for slug, text in data.get("order", {}).items() if text.strip()}
        return data | {"order": order}

    @post_load
    def build(self, data: dict[str, Any], **_: object) -> NewAssignments:
        """Build the dataclass; handouts without a number come last, in page order."""
        order, last = data.pop("order"), len(data["slugs"]) + 99
        slugs = sorted(data["slugs"], key=lambda slug: order.get(slug, last))
        made: NewAssignments = super().build(data | {"slugs": slugs})
        return made


@dataclass(frozen=True)
class NewAssignment:
    """One handout to assign."""

    slug: str
    channel: str
    message: str
    language: str
    confirmed: bool
    due_on: date | None


class AssignHandoutSchema(Schema):
    """Request to assign one handout; `confirmed` states that the cautions were read."""

    slug = fields.String(
        required=True, validate=validate.Length(3, max_length(HandoutVersion.slug))
    )
    channel = fields.String(required=True, validate=validate.OneOf(CHANNEL_LABELS))
    message = PrintedString(load_default="", validate=validate.Length(max=MAX_MESSAGE_LENGTH))
    language = fields.String(load_default="en", validate=validate.OneOf([*STOP_BOX]))
    confirmed = fields.Boolean(load_default=False)
    due_on = fields.Date(load_default=None, allow_none=True)

    @post_load
    def build(self, data: dict[str, Any], **_: object) -> NewAssignment:
        """Build the dataclass."""
        return NewAssignment(**{**data, "message": data["message"].strip()})


@dataclass(frozen=True)
class Replacements:
    """The assignments to replace by the newest version, and the message for all."""

    ids: tuple[UUID, ...]
    message: str
    confirmed: bool


class ReplaceAssignmentsSchema(Schema):
    """Request to replace assignments of older versions."""

    ids = fields.List(
        fields.UUID(),
        required=True,
        validate=validate.Length(1, MAX_REPLACED, error="Choose at least one client."),
    )
    message = PrintedString(load_default="", validate=validate.Length(max=MAX_MESSAGE_LENGTH))
    confirmed = fields.Boolean(load_default=False)

    @post_load
    def build(self, data: dict[str, Any], **_: object) -> Replacements:
        """Build the dataclass."""
        return Replacements(
            tuple(dict.fromkeys(data["ids"])), data["message"].strip(), data["confirmed"]
        )


@dataclass(frozen=True)
class Replacement:
    """The message for one client whose older version is replaced."""

    message: str
    confirmed: bool


class ReplaceAssignmentSchema(Schema):
    """Request to replace one older version; `message` may be empty, and the old message is never carried over."""

    message = PrintedString(required=True, validate=validate.Length(max=MAX_MESSAGE_LENGTH))
    confirmed = fields.Boolean(load_default=False)

    @post_load
    def build(self, data: dict[str, Any], **_: object) -> Replacement:
        """Build the dataclass."""
        return Replacement(data["message"].strip(), data["confirmed"])


@dataclass(frozen=True)
class AssignmentRecord(HandoutFields):
    """An assignment with its handout and its blockers at this moment."""

    id: UUID
    case_id: UUID
    case_number: str
    client_id: UUID
    handout_version_id: UUID
    position: int
    stage: str
    channel: str
    message: str
    due_on: date | None
    assigned_at: datetime
    assigned_by: UUID
    assigned_by_name: str
    opened_at: datetime | None
    read_at: datetime | None
    withdrawn_at: datetime | None
    withdrawn_by: UUID | None
    reviewed: bool
    """Whether a licensed clinician has reviewed this version."""
    blockers: tuple[Reason, ...]
    recipient: Recipient = field(repr=False)
    version: int

    @property
    def unread(self) -> bool:
        """Tell whether the client can read it and hasn't; what is read together in a session doesn't count."""
        return self.read_at is None and self.channel != "in_person" and not self.blockers

    @property
    def week(self) -> date | None:
        """Give the Monday of the planned week."""
        return get_week_start(self.due_on) if self.due_on else None

    @property
    def state(self) -> str:
        """Name the state: the first that applies of withdrawn, recalled, read, suspended, opened and assigned."""
        if self.withdrawn_at:
            return "withdrawn"
        if any(reason.code == "recalled" for reason in self.blockers):
            return "recalled"
        if self.read_at:
            return "read"
        if self.blockers:
            return "suspended"
        return "opened" if self.opened_at else "assigned"


@dataclass(frozen=True)
class AssignedClient:
    """A client who was assigned a handout, and what became of it."""

    id: UUID
    number: str
    client: str
    handout_version: int
    language: str
    assigned_at: datetime
    read_at: datetime | None
    withdrawn_at: datetime | None


@dataclass(frozen=True)
class HandoutChoice:
    """Every handout assessed for a case, and what is recommended next."""

    options: list[HandoutOption]
    recommendation: Recommendation


@dataclass(frozen=True)
class SuspendedCase:
    """An open case and its suspended assignments."""

    case_id: UUID
    client_id: UUID
    number: str
    client: str
    assignments: list[AssignmentRecord]


class AssignmentResponseSchema(Schema):
    """An assignment for staff; `blockers` says why it may not reach the client now."""

    id = fields.UUID(required=True)
    case_id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    slug = fields.String(required=True)
    title = fields.String(required=True)
    neutral_title = fields.String(required=True)
    language = fields.String(required=True)
    handout_version = fields.Integer(required=True)
    position = fields.Integer(required=True)
    stage = fields.String(required=True)
    channel = fields.String(required=True)
    message = fields.String(required=True)
    state = fields.String(required=True)
    due_on = fields.Date(required=True, allow_none=True)
    assigned_at = fields.AwareDateTime(required=True)
    assigned_by = fields.UUID(required=True)
    opened_at = fields.AwareDateTime(required=True, allow_none=True)
    read_at = fields.AwareDateTime(required=True, allow_none=True)
    withdrawn_at = fields.AwareDateTime(required=True, allow_none=True)
    blockers = fields.List(fields.Nested(ReasonResponseSchema), required=True)
    version = fields.Integer(required=True)


class SkippedHandoutResponseSchema(Schema):
    """A handout that was not assigned with the others, and why."""

    slug = fields.String(required=True)
    reasons = fields.List(fields.Nested(ReasonResponseSchema), required=True)


class AssignmentsResponseSchema(Schema):
    """What was assigned in one step, in order, and what was skipped."""

    items = fields.List(fields.Nested(AssignmentResponseSchema), required=True)
    skipped = fields.List(fields.Nested(SkippedHandoutResponseSchema), required=True)


class SuspendedCaseResponseSchema(Schema):
    """A case and its suspended assignments; `blockers` of each says why."""

    case_id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    number = fields.String(required=True)
    assignments = fields.List(fields.Nested(AssignmentResponseSchema), required=True)
