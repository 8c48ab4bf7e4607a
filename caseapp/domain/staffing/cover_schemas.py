"""Data about cover, and the schemas of its forms and of the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from caseapp.domain.followups.schemas import FollowUpResponseSchema

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.domain.alerts.schemas import StaffMember
    from caseapp.domain.followups.schemas import FollowUpRecord

MAX_CLIENTS = 200
TOO_MANY = f"Choose at most {MAX_CLIENTS} clients, or all of them."
MAX_LINE_LENGTH = 300


@dataclass(frozen=True)
class CoverableClient:
    """A client whom a coach coaches now."""

    client_id: UUID
    client: str = field(repr=False)
    number: str


@dataclass(frozen=True)
class Caseload:
    """A coach, their clients, and the colleagues who may cover for them."""

    coach: StaffMember
    clients: tuple[CoverableClient, ...]
    colleagues: tuple[StaffMember, ...]


@dataclass(frozen=True)
class CoverSummary:
    """A cover: who covers for whom, and from when until when."""

    id: UUID
    coach_id: UUID
    coach: str
    user_id: UUID
    colleague: str
    starts_at: datetime
    ends_at: datetime
    clients: int
    state: str
    """`coming`, `running`, `ended`, or `left`: whoever covers has left before the day until which it was arranged."""


@dataclass(frozen=True)
class CoveredClientView:
    """What somebody has to know who covers a client, or comes back to one.

    `is_current` says that there was a session, or is something to do, within a week. `notes`, `tasks_done` and
    `safety_records` count what was recorded while the cover ran.
    """

    id: UUID
    client_id: UUID
    client: str = field(repr=False)
    number: str
    holds: tuple[str, ...]
    flags: int
    last_session: datetime | None
    due: tuple[FollowUpRecord, ...]
    is_current: bool
    line: str = field(repr=False)
    version: int
    notes: int
    tasks_done: int
    safety_records: int


@dataclass(frozen=True)
class CoverView:
    """A cover with those of its clients whom the reader sees now; `may_change` says that it is theirs to change."""

    cover: CoverSummary
    clients: tuple[CoveredClientView, ...]
    may_change: bool


@dataclass(frozen=True)
class NewCover:
    """Who covers for whom: for which clients, and from which day until which day, both included."""

    user_id: UUID
    starts_on: date
    ends_on: date
    clients: tuple[UUID, ...]
    all: bool


class ChosenClientsSchema(Schema):
    """Which clients of a coach are chosen: some of them, or `all`."""

    clients = fields.List(
        fields.UUID(),
        load_default=list,
        validate=validate.Length(max=MAX_CLIENTS, error=TOO_MANY),
    )
    all = fields.Boolean(load_default=False)


def require_clients(data: dict[str, Any]) -> dict[str, Any]:
    """Return loaded input with the chosen clients as a tuple; raise ValidationError when none is chosen."""
    if not (data["clients"] or data["all"]):
        raise ValidationError("Choose at least one client.", "clients")
    return {**data, "clients": tuple(data["clients"])}


class CoverSchema(ChosenClientsSchema):
    """Input of a cover; `all` means every client of the coach."""

    user_id = fields.UUID(
        required=True,
        error_messages={
            "required": "Choose who covers.",
            "invalid_uuid": "Choose who covers.",
        },
    )
    starts_on = fields.Date(
        required=True, error_messages={"required": "Choose a day.", "invalid": "Choose a day."}
    )
    ends_on = fields.Date(
        required=True, error_messages={"required": "Choose a day.", "invalid": "Choose a day."}
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewCover:
        """Build the dataclass; raise ValidationError when no client is chosen."""
        return NewCover(**require_clients(data))


@dataclass(frozen=True)
class NewLine:
    """What a coach tells whoever covers about one client; empty for nothing."""

    line: str = field(repr=False)


class LineSchema(Schema):
    """Input of a coach's line about one client."""

    line = fields.String(
        load_default="",
        validate=validate.Length(
            max=MAX_LINE_LENGTH, error=f"Write at most {MAX_LINE_LENGTH} characters."
        ),
    )

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewLine:
        """Build the dataclass."""
        return NewLine(data["line"].strip())


class CoverResponseSchema(Schema):
    """A cover; `clients` counts its clients who weren’t handed over. `left` says that whoever covers can’t any more."""

    id = fields.UUID(required=True)
    coach_id = fields.UUID(required=True)
    coach = fields.String(required=True)
    user_id = fields.UUID(required=True)
    colleague = fields.String(required=True)
    starts_at = fields.AwareDateTime(required=True)
    ends_at = fields.AwareDateTime(required=True)
    clients = fields.Integer(required=True)
    state = fields.String(required=True)


class CoveredClientResponseSchema(Schema):
    """What somebody has to know who covers a client, or comes back to one; counts are of what was done meanwhile."""

    client_id = fields.UUID(required=True)
    client = fields.String(required=True)
    number = fields.String(required=True)
    holds = fields.List(fields.String(), required=True)
    flags = fields.Integer(required=True)
    last_session = fields.AwareDateTime(required=True, allow_none=True)
    due = fields.List(fields.Nested(FollowUpResponseSchema), required=True)
    is_current = fields.Boolean(required=True)
    line = fields.String(required=True)
    notes = fields.Integer(required=True)
    tasks_done = fields.Integer(required=True)
    safety_records = fields.Integer(required=True)
    version = fields.Integer(required=True)
