"""Request and response data of bulk assignments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, pre_load, validate

from caseapp.core.schemas import PrintedString, ReasonResponseSchema, WholeNumber
from caseapp.domain.assignments.schemas import CHANNEL_LABELS, MAX_MESSAGE_LENGTH
from caseapp.domain.handouts.library import STOP_BOX
from caseapp.domain.handouts.schemas import HandoutFields

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.core.errors import Reason

MAX_CASES = 500
CHANNEL_REQUIRED = "Choose a channel."


@dataclass(frozen=True)
class ClientSelection:
    """The clients that a coach selected for a handout, before the confirmation."""

    cases: list[UUID]
    all: bool
    channel: str
    message: str
    due_on: date | None


TOO_MANY = f"Choose at most {MAX_CASES} clients."


class ClientSelectionSchema(Schema):
    """Form to select clients; `all` means everybody on the list that was shown."""

    cases = fields.List(
        fields.UUID(), load_default=list, validate=validate.Length(max=MAX_CASES, error=TOO_MANY)
    )
    all = fields.Boolean(load_default=False)
    channel = fields.String(
        required=True,
        validate=validate.OneOf(CHANNEL_LABELS, error=CHANNEL_REQUIRED),
        error_messages={"required": CHANNEL_REQUIRED},
    )
    message = PrintedString(load_default="", validate=validate.Length(max=MAX_MESSAGE_LENGTH))
    due_on = fields.Date(
        load_default=None, allow_none=True, error_messages={"invalid": "Choose a day."}
    )

    @post_load
    def build(self, data: dict[str, Any], **_: object) -> ClientSelection:
        """Build the dataclass.

        Raises ValidationError when nobody is selected.
        """
        if not (data["cases"] or data["all"]):
            raise ValidationError("Choose at least one client.", "cases")
        return ClientSelection(**{**data, "message": data["message"].strip()})


@dataclass(frozen=True)
class NewBulkAssignment:
    """A handout to assign to several cases; `confirmed` holds the cautions that were read for each case."""

    handout_version: int | None
    language: str
    channel: str
    message: str
    due_on: date | None
    cases: tuple[UUID, ...]
    confirmed: dict[UUID, frozenset[str]]


class BulkAssignmentSchema(Schema):
    """Request to assign one handout to several cases; `handout_version` is the version that the coach read."""

    handout_version = WholeNumber(
        load_default=None, allow_none=True, validate=validate.Range(1, 9999)
    )
    language = fields.String(load_default="en", validate=validate.OneOf([*STOP_BOX]))
    channel = fields.String(
        required=True,
        validate=validate.OneOf(CHANNEL_LABELS, error=CHANNEL_REQUIRED),
        error_messages={"required": CHANNEL_REQUIRED},
    )
    message = PrintedString(load_default="", validate=validate.Length(max=MAX_MESSAGE_LENGTH))
    due_on = fields.Date(
        load_default=None, allow_none=True, error_messages={"invalid": "Choose a day."}
    )
    cases = fields.List(
        fields.UUID(),
        required=True,
        validate=validate.Length(
            1, MAX_CASES, error=f"Choose at least one client, and at most {MAX_CASES}."
        ),
    )
    confirmed = fields.Dict(
        keys=fields.UUID(),
        values=fields.List(fields.String(validate=validate.Length(max=60))),
        load_default=dict,
        validate=validate.Length(max=MAX_CASES, error=TOO_MANY),
        metadata={
            "description": "For each case that needs caution, the codes of the reasons that were read."
        },
    )

    @pre_load
    def split_codes(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Split the codes that a form's checkbox holds in one value."""
        sent = data.get("confirmed")
        if not isinstance(sent, dict):
            return data
        lists = {
            key: codes.split() if isinstance(codes, str) else codes for key, codes in sent.items()
        }
        return data | {"confirmed": lists}

    @post_load
    def build(self, data: dict[str, Any], **_: object) -> NewBulkAssignment:
        """Build the dataclass."""
        return NewBulkAssignment(
            data["handout_version"],
            data["language"],
            data["channel"],
            data["message"].strip(),
            data["due_on"],
            tuple(dict.fromkeys(data["cases"])),
            {case: frozenset(codes) for case, codes in data["confirmed"].items()},
        )


@dataclass(frozen=True)
class BulkAssignmentItemRecord:
    """One case of a bulk assignment: waiting, assigned, or skipped and why."""

    case_id: UUID
    number: str
    client: str
    state: str
    reasons: tuple[Reason, ...]
    assignment_id: UUID | None
    done_at: datetime | None


@dataclass(frozen=True)
class BulkAssignmentRecord(HandoutFields):
    """A bulk assignment and those of its cases that the user may see."""

    id: UUID
    channel: str
    due_on: date | None
    created_at: datetime
    created_by: UUID
    created_by_name: str
    items: list[BulkAssignmentItemRecord]

    def in_state(self, state: str) -> list[BulkAssignmentItemRecord]:
        """List the cases in a state."""
        return [item for item in self.items if item.state == state]

    @property
    def waiting(self) -> int:
        """Count the waiting cases."""
        return len(self.in_state("waiting"))

    @property
    def assigned(self) -> int:
        """Count the cases that were assigned the handout."""
        return len(self.in_state("assigned"))

    @property
    def skipped(self) -> int:
        """Count the skipped cases."""
        return len(self.in_state("skipped"))

    @property
    def done(self) -> bool:
        """Tell whether no case is waiting."""
        return self.waiting == 0


class BulkAssignmentItemResponseSchema(Schema):
    """One case of a bulk assignment; `reasons` says why it was skipped."""

    case_id = fields.UUID(required=True)
    number = fields.String(required=True)
    state = fields.String(
        required=True, validate=validate.OneOf(["waiting", "assigned", "skipped"])
    )
    reasons = fields.List(fields.Nested(ReasonResponseSchema), required=True)
    assignment_id = fields.UUID(required=True, allow_none=True)
    done_at = fields.AwareDateTime(required=True, allow_none=True)


class BulkAssignmentResponseSchema(Schema):
    """The progress of a bulk assignment; `done` when no case is waiting."""

    id = fields.UUID(required=True)
    slug = fields.String(required=True)
    title = fields.String(required=True)
    language = fields.String(required=True)
    handout_version = fields.Integer(required=True)
    channel = fields.String(required=True)
    due_on = fields.Date(required=True, allow_none=True)
    created_at = fields.AwareDateTime(required=True)
    created_by = fields.UUID(required=True)
    done = fields.Boolean(required=True)
    waiting = fields.Integer(required=True)
    assigned = fields.Integer(required=True)
    skipped = fields.Integer(required=True)
    items = fields.List(fields.Nested(BulkAssignmentItemResponseSchema), required=True)
