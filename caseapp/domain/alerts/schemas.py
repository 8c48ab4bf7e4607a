"""Data about alerts, and the schemas of their settings and answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from caseapp.core.database import max_length
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.core.vault import DataKey
    from caseapp.domain.clients.queries import ClientRecord

MAX_MINUTES = 24 * 60
MAX_WORKING_DAYS = 10


@dataclass(frozen=True)
class AlertTimes:
    """When deputy and manager are alerted: minutes for a safety hold, working days for a care hold.

    Without a number of days, a care hold alerts the manager only when nobody else can be reached.
    """

    safety_deputy_minutes: int
    safety_manager_minutes: int
    care_deputy_days: int
    care_manager_days: int | None


@dataclass(frozen=True)
class StaffMember:
    """A member of staff whom an alert may reach."""

    id: UUID
    name: str
    role: str
    phone: str
    hours: str
    is_active: bool


@dataclass(frozen=True)
class TeamMember:
    """A member of a client's care team with their supervisor and that supervisor's deputy."""

    coach: StaffMember
    supervisor: StaffMember | None
    deputy: StaffMember | None


@dataclass(frozen=True)
class WaitingAlerts:
    """How many alerts wait for somebody, and since when the oldest does.

    `reading_until` is when their emergency access to a record ends, if they have one, and `only_read` are the clients
    whose records they read by one and can't change.
    """

    count: int
    since: datetime | None
    reading_until: datetime | None
    only_read: frozenset[UUID] = frozenset()


@dataclass(frozen=True)
class ClientAlert:
    """Whom to ring about a client's hold, in order and with their part, and who was alerted and knows.

    There is no alert (`opened_at` is None) about a hold that an older release opened.
    """

    people: tuple[tuple[str, StaffMember], ...]
    opened_at: datetime | None
    addressed_to: tuple[str, ...]
    acknowledged_at: datetime | None
    acknowledged_by_name: str


@dataclass(frozen=True)
class AlertRecord:
    """An alert as somebody may see it; `own_acknowledged_at` is when they acknowledged it themselves.

    For a person outside the care team (`is_member` is false) there is neither client nor kind any more, 7 days after it
    was acknowledged.
    """

    id: UUID
    client_id: UUID | None
    client: str = field(repr=False)
    kind: str | None
    opened_at: datetime
    opened_by: UUID
    opened_by_name: str
    opened_by_phone: str
    step: str
    addressed_to: tuple[str, ...]
    acknowledged_at: datetime | None
    acknowledged_by: UUID | None
    acknowledged_by_name: str
    own_acknowledged_at: datetime | None
    is_member: bool


@dataclass(frozen=True)
class AlertedClient:
    """An alert with the client whom it is about, for whoever it has reached."""

    alert: AlertRecord
    client: ClientRecord
    key: DataKey


@dataclass(frozen=True)
class AlertSettingsChange:
    """The settings of alerts that hold for the whole practice."""

    manager_id: UUID | None
    times: AlertTimes


class AlertSettingsSchema(Schema):
    """Input of the settings of alerts."""

    manager_id = fields.UUID(load_default=None, allow_none=True)
    safety_deputy_minutes = fields.Integer(required=True, validate=validate.Range(1, MAX_MINUTES))
    safety_manager_minutes = fields.Integer(required=True, validate=validate.Range(1, MAX_MINUTES))
    care_deputy_days = fields.Integer(required=True, validate=validate.Range(1, MAX_WORKING_DAYS))
    care_manager_days = fields.Integer(
        load_default=None, allow_none=True, validate=validate.Range(1, MAX_WORKING_DAYS)
    )

    @validates_schema
    def _deputy_first(self, data: dict[str, Any], **_: object) -> None:
        error = "The manager can’t be alerted before the deputy."
        if data["safety_manager_minutes"] < data["safety_deputy_minutes"]:
            raise ValidationError(error, "safety_manager_minutes")
        if (data["care_manager_days"] or MAX_WORKING_DAYS) < data["care_deputy_days"]:
            raise ValidationError(error, "care_manager_days")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> AlertSettingsChange:
        """Build the dataclass."""
        return AlertSettingsChange(data.pop("manager_id"), AlertTimes(**data))


@dataclass(frozen=True)
class StaffContact:
    """How a member of staff is reached in an emergency, and who stands in for them."""

    phone: str
    on_call_hours: str
    deputy_id: UUID | None


class StaffContactSchema(Schema):
    """Input of how a member of staff is reached."""

    phone = fields.String(
        load_default="",
        validate=[
            validate.Length(max=max_length(User.phone)),
            validate.Regexp(
                r"^(?=(.*\d){3})[0-9+() /.\-]*$|^$",
                error="Enter a phone number: digits, spaces and + ( ) / . - only.",
            ),
        ],
    )
    on_call_hours = fields.String(
        load_default="", validate=validate.Length(max=max_length(User.on_call_hours))
    )
    deputy_id = fields.UUID(load_default=None, allow_none=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> StaffContact:
        """Build the dataclass."""
        return StaffContact(**data)


class AlertResponseSchema(Schema):
    """An alert; for somebody outside the care team, client, case and kind are empty later."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True, allow_none=True)
    case_number = fields.String(required=True, allow_none=True)
    kind = fields.String(required=True, allow_none=True)
    opened_at = fields.AwareDateTime(required=True)
    step = fields.String(required=True)
    addressed_to = fields.List(fields.String(), required=True)
    acknowledged_at = fields.AwareDateTime(required=True, allow_none=True)
    acknowledged_by = fields.UUID(required=True, allow_none=True)
    own_acknowledged_at = fields.AwareDateTime(required=True, allow_none=True)
