"""Asked: which exports were made, and the file of one of them, read from today's records with today's rights."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import Page, page_newest_first, make_page
from caseapp.core.pdf import render
from caseapp.core.permissions import Action
from caseapp.core.vault import unseal_text, unwrap
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.cases.facts import GOALS, OUTCOMES
from caseapp.domain.cases.models import Case, CaseEvent
from caseapp.domain.cases.stages import stage_by_id, stages
from caseapp.domain.clients.models import ClientKey
from caseapp.domain.practice.queries import get_practice
from caseapp.domain.reports import pdf_tables
from caseapp.domain.reports.csv_table import EXPORTED_ITEMS, ReportRow, coach_code, write_csv
from caseapp.domain.reports.models import Export
from caseapp.domain.reports.schemas import STATUSES, ExportRecord, ReportFilter
from caseapp.domain.screening.models import Hold, Screening

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date
    from uuid import UUID

ROWS_AT_ONCE = 500
CASE = (
    Case.id,
    Case.number,
    Case.client_id,
    Case.coach_id,
    Case.status,
    Case.stage,
    Case.opened_at,
    Case.closed_at,
    Case.goal,
    Case.goal_chosen_on,
    Case.review_date,
    Case.outcome,
    Case.close_reason,
    Case.final_screening,
    Case.follow_up_on,
    Case.facts,
    ClientKey.wrapped,
)


def list_exports(actor: Actor, cursor: str | None, limit: int) -> Page[ExportRecord]:
    """List the exports that were made, newest first."""
    require(actor, Action.REPORT_EXPORT)
    query = page_newest_first(sa.select(Export), Export.created_at, Export.id, cursor, limit)
    records = [_record(row) for row in db.session.scalars(query)]
    return make_page(records, limit, lambda record: (record.created_at, record.id))


def get_export(actor: Actor, export_id: UUID) -> ExportRecord:
    """Show one export.

    Raises NotFound.
    """
    require(actor, Action.REPORT_EXPORT)
    found = db.session.get(Export, export_id)
    if found is None:
        raise NotFound
    return _record(found)


def _record(row: Export) -> ExportRecord:
    return ExportRecord(
        row.id, row.format, ReportFilter.of(row.filters), row.rows, row.created_at, row.created_by
    )


def build_export_file(actor: Actor, export_id: UUID) -> tuple[Iterator[bytes], str, str]:
    """Make an export's file anew: its bytes piece by piece, its type, its name.

    Nothing is kept between two downloads, so whoever lost the right to export finds no old file either. Raises
    NotFound.
    """
    export = get_export(actor, export_id)
    if export.format == "pdf":
        return iter([_paper(export.wanted)]), "application/pdf", export.file_name
    return write_csv(report_rows(export.wanted)), "text/csv; charset=utf-8", export.file_name


def count_cases(wanted: ReportFilter) -> int:
    """Count the cases of a report, for those who may export."""
    zone = ZoneInfo(get_practice().zone)
    query = sa.select(sa.func.count()).select_from(Case).where(*_matching(wanted, zone))
    return db.session.scalar(query) or 0


def _matching(wanted: ReportFilter, zone: ZoneInfo) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    if wanted.since:
        still_open = sa.or_(Case.closed_at.is_(None), Case.closed_at >= _start(wanted.since, zone))
        conditions.append(still_open)
    if wanted.until:
        conditions.append(Case.opened_at < _start(wanted.until + timedelta(days=1), zone))
    if wanted.coach:
        conditions.append(Case.coach_id == wanted.coach)
    if wanted.stage:
        conditions.append(Case.stage == wanted.stage)
    if wanted.status:
        conditions.append(Case.status == wanted.status)
    return conditions


def _start(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def report_rows(wanted: ReportFilter) -> Iterator[ReportRow]:
    """Read a report's rows, newest case first, for those who may export.

    Five statements for each 500 cases; only as many are held in memory at a time.
    """
    zone = ZoneInfo(get_practice().zone)
    # A case whose client's key was destroyed still counts; what was sealed under it is gone.
    query = (
        sa.select(*CASE)
        .outerjoin(ClientKey, ClientKey.client_id == Case.client_id)
        .where(*_matching(wanted, zone))
    )
    cursor: str | None = None
    while True:
        page = page_newest_first(query, Case.opened_at, Case.id, cursor, ROWS_AT_ONCE)
        found: Page[Any] = make_page(
            db.session.execute(page).all(), ROWS_AT_ONCE, lambda row: (row.opened_at, row.id)
        )
        yield from _rows(found.items, zone)
        if found.next is None:
            return
        cursor = found.next


def _rows(cases: Sequence[Any], zone: ZoneInfo) -> Iterator[ReportRow]:
    ids = [case.id for case in cases]
    clients = {case.client_id for case in cases}
    steps = _grouped(
        sa.select(CaseEvent.case_id, CaseEvent.occurred_at, CaseEvent.to_stage)
        .where(CaseEvent.case_id.in_(ids), CaseEvent.to_stage.is_not(None))
        .order_by(CaseEvent.occurred_at, CaseEvent.id)
    )
    levels = [getattr(Screening, item.key) for item in EXPORTED_ITEMS]
    screenings = _grouped(
        sa.select(Screening.client_id, Screening.recorded_at, *levels)
        .where(Screening.client_id.in_(clients))
        .order_by(Screening.recorded_at, Screening.id)
    )
    holds = _grouped(
        sa.select(Hold.client_id, Hold.opened_at, Hold.kind).where(Hold.client_id.in_(clients))
    )
    given = _grouped(
        sa.select(Assignment.case_id, Assignment.read_at).where(
            Assignment.case_id.in_(ids), Assignment.withdrawn_at.is_(None)
        )
    )
    for case in cases:
        own = [row for row in screenings.get(case.client_id, []) if _within(case, row.recorded_at)]
        kinds = Counter(
            row.kind for row in holds.get(case.client_id, []) if _within(case, row.opened_at)
        )
        handouts = given.get(case.id, [])
        yield ReportRow(
            number=case.number,
            opened_on=_day(case.opened_at, zone),
            closed_on=_day(case.closed_at, zone) if case.closed_at else None,
            coach=coach_code(case.coach_id),
            status=case.status,
            stage=case.stage,
            goal=case.goal,
            goal_chosen_on=case.goal_chosen_on,
            review_date=case.review_date,
            outcome=case.outcome,
            close_reason=case.close_reason,
            final_screening=case.final_screening,
            follow_up_on=case.follow_up_on,
            facts=_facts(case),
            stages=tuple((_day(row.occurred_at, zone), row.to_stage) for row in steps.get(case.id, [])),
            levels={
                item.key: tuple(
                    (_day(row.recorded_at, zone), level)
                    for row in own
                    if (level := getattr(row, item.key)) is not None
                )
                for item in EXPORTED_ITEMS
            },
            care_holds=kinds["care"],
            safety_holds=kinds["safety"],
            handouts_given=len(handouts),
            handouts_read=sum(row.read_at is not None for row in handouts),
        )


def _grouped(query: sa.Select[*tuple[Any, ...]]) -> dict[UUID, list[Any]]:
    """Gather rows by their first column."""
    found: dict[UUID, list[Any]] = {}
    for row in db.session.execute(query):
        found.setdefault(row[0], []).append(row)
    return found


def _within(case: Any, moment: datetime) -> bool:  # noqa: ANN401 - a result row
    """Tell whether something about the client belongs to this case and not to an earlier or later one."""
    return bool(moment >= case.opened_at and (case.closed_at is None or moment <= case.closed_at))


def _day(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def _facts(case: Any) -> dict[str, Any]:  # noqa: ANN401 - a result row
    if case.wrapped is None or case.facts is None:
        return {}
    key = unwrap(case.client_id, case.wrapped)
    opened = unseal_text(Case.__tablename__, "facts", case.id, case.facts, key)
    facts: dict[str, Any] = json.loads(opened or "{}")
    return facts


def _paper(wanted: ReportFilter) -> bytes:
    practice = get_practice()
    zone = ZoneInfo(practice.zone)
    count = sa.func.count()
    rows = db.session.execute(
        sa.select(Case.stage, Case.outcome, Case.goal, Case.coach_id, count)
        .where(*_matching(wanted, zone))
        .group_by(Case.stage, Case.outcome, Case.goal, Case.coach_id)
    ).all()
    by_stage, by_outcome, by_goal, by_coach = (Counter[Any]() for _ in range(4))
    for stage, outcome, goal, coach_id, cases in rows:
        by_stage[stage] += cases
        by_outcome[outcome] += cases
        by_goal[goal] += cases
        by_coach[coach_code(coach_id)] += cases
    table = partial(pdf_tables.table, to_share=wanted.to_share)
    tables = (
        table("By stage", [(stage.title, by_stage[stage.id]) for stage in stages()]),
        table(
            "By outcome",
            [
                ("Not closed yet", by_outcome[None]),
                *((words, by_outcome[code]) for code, words in OUTCOMES.items()),
            ],
        ),
        table("By goal", [(words, by_goal[code]) for code, words in GOALS.items()]),
        table("By coach", sorted(by_coach.items())),
    )
    return render(
        pdf_tables.page(
            {
                "practice": practice,
                "made_on": _day(now(), zone),
                "filters": describe_filters(wanted),
                "total": pdf_tables.total_words(by_stage.total(), to_share=wanted.to_share),
                "tables": tables,
                "smallest": pdf_tables.SMALLEST_SHOWN,
                "to_share": wanted.to_share,
            }
        ),
        style="report.css",
    )


def describe_filters(wanted: ReportFilter) -> list[tuple[str, str]]:
    """Say in words what a report was narrowed to."""
    words = []
    if wanted.since:
        words.append(("From", pdf_tables.long_day(wanted.since)))
    if wanted.until:
        words.append(("To", pdf_tables.long_day(wanted.until)))
    if wanted.coach:
        words.append(("Coach", coach_code(wanted.coach)))
    if wanted.stage:
        words.append(("Stage", stage_by_id()[wanted.stage].title))
    if wanted.status:
        words.append(("Status", STATUSES[wanted.status]))
    if wanted.to_share:
        words.append(("For", "people outside the practice"))
    return words
