"""Done: a case report asked for, and recorded with its filters and its number of rows."""

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


def create_export(actor: Actor, wanted: ReportFilter, fmt: str) -> UUID:
    """Make an export of the whole practice's cases, coded; its file is read when it is fetched.

    Whoever may export sees no client and no note elsewhere, so `visible_to` has no say here: the report has no names.
    """
    require(actor, Action.REPORT_EXPORT)
    rows = count_cases(wanted)
    export = Export(format=fmt, filters=wanted.to_codes(), rows=rows, created_at=now(), created_by=actor.id)
    db.session.add(export)
    db.session.flush()
    record(
        actor,
        Action.REPORT_EXPORT,
        "export",
        export.id,
        details={"format": fmt, "rows": rows, **wanted.to_codes()},
    )
    return export.id
