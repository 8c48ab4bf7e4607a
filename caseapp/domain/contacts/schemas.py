"""Data about the contact log, and their schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

from caseapp.core.schemas import WrittenReason
from caseapp.domain.contacts.codes import CANCELLED_BY_LABELS, KIND_LABELS, METHOD_LABELS

if TYPE_CHECKING:
    from uuid import UUID

MAX_WORDS = 500
# A time before 2000 is a typing error, and some cannot be converted to UTC.
NOT_LONG_AGO = validate.Range(
    datetime(2000, 1, 1, tzinfo=UTC),
    datetime(2100, 1, 1, tzinfo=UTC),
    error="Enter a date between 2000 and 2099.",
)


@dataclass(frozen=True)
class NewContact:
    """An entry that a person adds; `happened_at` is None for just now, and is kept to the minute."""

    kind: str
    happened_at: datetime | None = None
    method: str | None = None
    cancelled_by: str | None = None
    words: str = field(default="", repr=False)
    follow_up: bool = False


class NewContactSchema(Schema):
    """Input of an entry; which fields it may have depends on its kind, see `rules.find_contact_faults`."""

    kind = fields.String(
        required=True,
        validate=validate.OneOf(KIND_LABELS),
        error_messages=dict.fromkeys(("required", "null"), "Choose what happened."),
    )
    happened_at = fields.AwareDateTime(load_default=None, allow_none=True, validate=NOT_LONG_AGO)
    method = fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf(METHOD_LABELS)
    )
    cancelled_by = fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf(CANCELLED_BY_LABELS)
    )
    words = fields.String(load_default="", validate=validate.Length(max=MAX_WORDS))
    follow_up = fields.Boolean(load_default=False)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewContact:
        """Build the dataclass; surrounding blanks don't count as text."""
        return NewContact(**data | {"words": data["words"].strip()})


class ContactErrorSchema(Schema):
    """Input of why an entry was recorded in error."""

    reason = WrittenReason("Write what was wrong", 5, MAX_WORDS)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> str:
        """Take the reason alone."""
        reason: str = data["reason"]
        return reason


@dataclass(frozen=True)
class ContactRecord:
    """An entry opened; one that was recorded in error has the time, the person and the reason of that."""

    id: UUID
    client_id: UUID
    kind: str
    happened_at: datetime
    method: str | None
    cancelled_by: str | None
    words: str = field(repr=False)
    recorded_at: datetime
    recorded_by: UUID
    recorded_by_name: str
    in_error_at: datetime | None = None
    in_error_by_name: str = ""
    error_reason: str = field(default="", repr=False)

    @property
    def label(self) -> str:
        """Return what the kind is called."""
        return KIND_LABELS[self.kind]

    @property
    def details(self) -> str:
        """Describe in a sentence how it happened or who cancelled; empty where nothing is recorded."""
        if self.method:
            return f"{METHOD_LABELS[self.method]}."
        if self.cancelled_by:
            return f"Cancelled by {CANCELLED_BY_LABELS[self.cancelled_by].lower()}."
        return ""

    @property
    def details_for_client(self) -> str:
        """Describe to the client who cancelled, without by which way anybody was in touch."""
        if self.method:
            return ""
        return "Cancelled by you." if self.cancelled_by == "client" else self.details


class ContactResponseSchema(Schema):
    """An entry of the contact log."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    kind = fields.String(required=True)
    happened_at = fields.AwareDateTime(required=True)
    method = fields.String(required=True, allow_none=True)
    cancelled_by = fields.String(required=True, allow_none=True)
    words = fields.String(required=True)
    recorded_at = fields.AwareDateTime(required=True)
    recorded_by = fields.UUID(required=True)
    in_error_at = fields.AwareDateTime(required=True, allow_none=True)
    error_reason = fields.String(required=True)
