"""Data about retention, and the schema of the list."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from marshmallow import Schema, fields

if TYPE_CHECKING:
    from datetime import date
    from uuid import UUID

SHOWN = {"all": "All", "free": "Without a legal hold", "held": "With a legal hold"}
"""Which of the records that are due a list shows."""


@dataclass(frozen=True)
class RetentionFacts:
    """What the terms of a record depend on, in days of the practice's time zone.

    `last_service` is the last day with a session, contact, a screening or other event of safety or a safety plan, or on
    which a case was opened or closed; of a client without any, the day on which they were added. `had_service` tells
    whether there was a session, an event of safety or a safety plan. A draft of a note counts as a session.
    """

    last_service: date
    had_service: bool
    birth_year: int | None = None
    has_child_at_risk: bool = False
    last_disclosure: date | None = None


@dataclass(frozen=True)
class Term:
    """From when a record may be destroyed, and the code of the period that ends last."""

    due_on: date
    period: str


@dataclass(frozen=True)
class DueRecord:
    """A record that needn't be kept any longer.

    `numbers` are those of the client's cases. `due_on` and `period` are for whoever looks after the client, None for an
    admin: beside the year of a case's number, a late day tells as much about the client's safety as the period.
    """

    client_id: UUID = field(repr=False)
    numbers: tuple[str, ...]
    due_on: date | None
    period: str | None
    has_legal_hold: bool
    is_requested: bool


class DueRecordResponseSchema(Schema):
    """A record that needn't be kept any longer; `due_on` and `period` are null for an admin."""

    client_id = fields.UUID(required=True)
    numbers = fields.List(fields.String(), required=True)
    due_on = fields.Date(required=True, allow_none=True)
    period = fields.String(required=True, allow_none=True)
    has_legal_hold = fields.Boolean(required=True)
    is_requested = fields.Boolean(required=True)
