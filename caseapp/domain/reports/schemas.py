"""What may come in about a case report, and what goes out."""

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
    """Narrow a report; None means any. A case counts when it was open on any day of the period.

    A report `to_share` with people outside the practice keeps numbers under five back on paper.
    """

    since: date | None = None
    until: date | None = None
    coach: UUID | None = None
    stage: str | None = None
    status: str | None = None
    to_share: bool = False

    def to_codes(self) -> dict[str, str]:
        """Write what was chosen as plain texts, for the stored export and the audit log."""
        return {
            name: str(value) for name, value in vars(self).items() if value not in {None, False}
        }

    @classmethod
    def of(cls, to_codes: dict[str, str]) -> ReportFilter:
        """Read back what `coded` wrote."""
        since, until, coach = to_codes.get("since"), to_codes.get("until"), to_codes.get("coach")
        return cls(
            since=date.fromisoformat(since) if since else None,
            until=date.fromisoformat(until) if until else None,
            coach=UUID(coach) if coach else None,
            stage=to_codes.get("stage"),
            status=to_codes.get("status"),
            to_share="to_share" in to_codes,
        )


@dataclass(frozen=True)
class NewExport:
    """Hold a wish for a report."""

    filters: ReportFilter
    format: str


class ExportSchema(Schema):
    """Check a wish for a report; the same for the form and the API."""

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
            raise ValidationError("The last day comes before the first.", "until")
        if until == date.max:
            raise ValidationError("Choose an earlier day.", "until")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> NewExport:
        """Give the plain value."""
        kind = data.pop("format")
        return NewExport(ReportFilter(**data), kind)


@dataclass(frozen=True)
class ExportRecord:
    """Show one export that was made."""

    id: UUID
    format: str
    filters: ReportFilter
    rows: int
    created_at: datetime
    created_by: UUID

    @property
    def file_name(self) -> str:
        """Name the file without saying what the practice does."""
        return f"report-{self.created_at:%Y-%m-%d}-{self.id.hex[-6:]}.{self.format}"


class FilterResponseSchema(Schema):
    since = fields.Date(required=True, allow_none=True)
    until = fields.Date(required=True, allow_none=True)
    coach = fields.UUID(required=True, allow_none=True)
    stage = fields.String(required=True, allow_none=True)
    status = fields.String(required=True, allow_none=True)
    to_share = fields.Boolean(required=True)


class ExportResponseSchema(Schema):
    """Show one export."""

    id = fields.UUID(required=True)
    format = fields.String(required=True)
    filters = fields.Nested(FilterResponseSchema, required=True, attribute="wanted")
    rows = fields.Integer(required=True)
    created_at = fields.AwareDateTime(required=True)
    created_by = fields.UUID(required=True)
