"""Data about disclosures, and their schemas."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from marshmallow import Schema, fields, post_load

from caseapp.core.i18n import lazy_gettext
from caseapp.core.schemas import RequiredText, WrittenReason

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

MAX_RECIPIENT = 200
MAX_WORDS = 400
"""The most characters of to whom something was given, and of what and why."""


@dataclass(frozen=True)
class DisclosureRecord:
    """An entry of the disclosure log, opened."""

    id: UUID
    client_id: UUID
    disclosed_on: date
    recipient: str = field(repr=False)
    what: str = field(repr=False)
    why: str = field(repr=False)
    recorded_at: datetime
    recorded_by: UUID
    recorded_by_name: str


@dataclass(frozen=True)
class NewDisclosure:
    """What of a client's record was given to whom on a day, and why."""

    disclosed_on: date
    recipient: str = field(repr=False)
    what: str = field(repr=False)
    why: str = field(repr=False)


class NewDisclosureSchema(Schema):
    """Input of an entry of the disclosure log."""

    disclosed_on = fields.Date(required=True)
    recipient = RequiredText(lazy_gettext("Write who it was given to"), MAX_RECIPIENT, least=2)
    what = RequiredText(lazy_gettext("Write what was given"), MAX_WORDS, least=3)
    why = WrittenReason(lazy_gettext("Write why it was given"), 3, MAX_WORDS)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewDisclosure:
        """Build the dataclass."""
        return NewDisclosure(**data)


class DisclosureResponseSchema(Schema):
    """An entry of the disclosure log."""

    id = fields.UUID(required=True)
    client_id = fields.UUID(required=True)
    disclosed_on = fields.Date(required=True)
    recipient = fields.String(required=True)
    what = fields.String(required=True)
    why = fields.String(required=True)
    recorded_at = fields.AwareDateTime(required=True)
    recorded_by = fields.UUID(required=True)
