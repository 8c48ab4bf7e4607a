"""Data about follow-ups, their schemas, and the labels of the protocol's tasks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load, validate

if TYPE_CHECKING:
    from uuid import UUID

# A time outside these years is a typing error, and some cannot be converted to UTC.
PLAUSIBLE_TIME = validate.Range(
    datetime(2000, 1, 1, tzinfo=UTC),
    datetime(2100, 1, 1, tzinfo=UTC),
    error="Enter a date between 2000 and 2099.",
)


@dataclass(frozen=True)
class NewFollowUp:
    """A task that a person adds."""

    title: str
    due_at: datetime


class NewFollowUpSchema(Schema):
    """Input of a task that a person adds."""

    title = fields.String(required=True, validate=validate.Length(1, 160))
    due_at = fields.AwareDateTime(required=True, validate=PLAUSIBLE_TIME)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewFollowUp:
        """Build the dataclass."""
        return NewFollowUp(**data)


@dataclass(frozen=True)
class ClientFollowUp:
    """A new task and its client."""

    client_id: UUID
    task: NewFollowUp


class ClientFollowUpSchema(NewFollowUpSchema):
    """Input of a new task and its client."""

    client_id = fields.UUID(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> ClientFollowUp:
        """Build the dataclass."""
        return ClientFollowUp(data.pop("client_id"), super().make(data))


class OutcomeSchema(Schema):
    """Input of an outcome; it is required, so that a tick alone cannot complete a safety check."""

    outcome = fields.String(
        required=True,
        validate=validate.Length(1, 2000),
        error_messages={
            "required": "Write the outcome. A tick alone doesn’t complete a safety check."
        },
    )


@dataclass(frozen=True)
class FollowUpRecord:
    """A task with its sealed texts opened."""

    id: UUID
    client_id: UUID
    client: str
    kind: str
    title: str
    due_at: datetime
    assigned_to: UUID
    completed_at: datetime | None
    completed_by: UUID | None
    outcome: str | None
    created_at: datetime
    version: int
    origin_id: UUID | None
    completed_by_name: str = ""


class FollowUpResponseSchema(Schema):
    """A task."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    client = fields.String(required=True)
    kind = fields.String(required=True)
    title = fields.String(required=True)
    due_at = fields.AwareDateTime(required=True)
    assigned_to = fields.UUID(required=True)
    completed_at = fields.AwareDateTime(required=True, allow_none=True)
    outcome = fields.String(required=True, allow_none=True)
    version = fields.Integer(required=True)
