"""Schemas and records of case reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates_schema

from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.reports.codes import FORMATS

STATUSES = {"open": "Open", "closed": "Closed"}


@dataclass(frozen=True)
class ReportFilter:
    """The filters of a report; None means any. A case counts when it was open on any day of the period.

    In a report `to_share` with people outside the practice, the PDF withholds numbers under five.
    """

    since: date | None = None
    until: date | None = None
    coach: UUID | None = None
    stage: str | None = None
    status: str | None = None
    to_share: bool = False

    def to_codes(self) -> dict[str, str]:
        """Return the chosen filters as texts, for the stored export and the audit log."""
        return {
            name: str(value) for name, value in vars(self).items() if value not in {None, False}
        }

    @classmethod
    def from_codes(cls, codes: dict[str, str]) -> ReportFilter:
        """Read filters from what `to_codes` returned."""
        since, until, coach = codes.get("since"), codes.get("until"), codes.get("coach")
        return cls(
            since=date.fromisoformat(since) if since else None,
            until=date.fromisoformat(until) if until else None,
            coach=UUID(coach) if coach else None,
            stage=codes.get("stage"),
            status=codes.get("status"),
            to_share="to_share" in codes,
        )


@dataclass(frozen=True)
class NewExport:
    """A report to be made."""

    filters: ReportFilter
    format: str


class ExportSchema(Schema):
    """Input for a report, from the form and the API."""

    format = fields.String(required=True, validate=validate.OneOf(list(FORMATS)))
    since = fields.Date(load_default=None, allow_none=True)
    until = fields.Date(load_default=None, allow_none=True)
    coach = fields.UUID(load_default=None, allow_none=True)
    stage = fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf(list(stage_by_id()))
    )
    status = fields.String(
        load_default=None, allow_none=True, validate=validate.OneOf(list(STATUSES))
    )
    to_share = fields.Boolean(load_default=False)

    @validates_schema
    def _period(self, data: dict[str, Any], **_: object) -> None:
        since, until = data.get("since"), data.get("until")
        if since and until and until < since:
            raise ValidationError("The last day is before the first day.", "until")
        if until == date.max:
            raise ValidationError("Choose an earlier day.", "until")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewExport:
        """Build the value."""
        kind = data.pop("format")
        return NewExport(ReportFilter(**data), kind)


@dataclass(frozen=True)
class ExportRecord:
    """An export."""

    id: UUID
    format: str
    filters: ReportFilter
    rows: int
    created_at: datetime
    created_by: UUID

    @property
    def file_name(self) -> str:
        """Return a file name that does not reveal what the practice does."""
        return f"report-{self.created_at:%Y-%m-%d}-{self.id.hex[-6:]}.{self.format}"


class ExportFilterResponseSchema(Schema):
    """The filters of an export in API responses."""

    since = fields.Date(required=True, allow_none=True)
    until = fields.Date(required=True, allow_none=True)
    coach = fields.UUID(required=True, allow_none=True)
    stage = fields.String(required=True, allow_none=True)
    status = fields.String(required=True, allow_none=True)
    to_share = fields.Boolean(required=True)


class ExportResponseSchema(Schema):
    """An export in API responses."""

    id = fields.UUID(required=True)
    format = fields.String(required=True)
    filters = fields.Nested(ExportFilterResponseSchema, required=True)
    rows = fields.Integer(required=True)
    created_at = fields.AwareDateTime(required=True)
    created_by = fields.UUID(required=True)
