"""Operations on case reports: create an export."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record
from caseapp.domain.reports.models import Export
from caseapp.domain.reports.queries import count_cases

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.reports.schemas import ReportFilter


def create_export(actor: Actor, filters: ReportFilter, fmt: str) -> UUID:
    """Create an export of the whole practice's cases, in coded values, and return its id.

    `visible_to` does not apply: an admin sees no clients or notes, and the report has no names. Clients whom the actor
    must not see, and those who have withdrawn consent, are left out all the same.
    """
    require(actor, Action.REPORT_EXPORT)
    rows = count_cases(actor, filters)
    export = Export(
        format=fmt, filters=filters.to_codes(), rows=rows, created_at=now(), created_by=actor.id
    )
    db.session.add(export)
    db.session.flush()
    record(
        actor,
        Action.REPORT_EXPORT,
        "export",
        export.id,
        details={"format": fmt, "rows": rows, **filters.to_codes()},
    )
    return export.id
