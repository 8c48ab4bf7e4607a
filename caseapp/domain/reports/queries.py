"""Queries for case reports: exports, their files, and the rows they are built from."""

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
from caseapp.core.pagination import Page, make_page, page_newest_first
from caseapp.core.pdf import render
from caseapp.core.permissions import Action
from caseapp.core.reads import List, note_list
from caseapp.core.vault import unseal_text
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.cases.facts import GOALS, OUTCOMES
from caseapp.domain.cases.models import Case, CaseEvent
from caseapp.domain.cases.stages import stage_by_id, stages
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.visibility import select_denied_clients
from caseapp.domain.contacts.codes import CANCELLED, NO_SHOW
from caseapp.domain.contacts.models import Contact
from caseapp.domain.contacts.queries import select_missed
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key
from caseapp.domain.notes.models import Note
from caseapp.domain.notes.sessions import NO_SESSIONS, count_sessions, select_filed, select_sessions
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.reports import pdf_tables
from caseapp.domain.reports.csv_table import EXPORTED_ITEMS, ReportRow, coach_code, write_csv
from caseapp.domain.reports.models import Export
from caseapp.domain.reports.schemas import STATUSES, ExportRecord, ReportFilter
from caseapp.domain.screening.history import list_safety_histories

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import date
    from uuid import UUID

BATCH_SIZE = 500
CASE_COLUMNS = (
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
    """List the exports, newest first."""
    require(actor, Action.REPORT_EXPORT)
    query = page_newest_first(sa.select(Export), Export.created_at, Export.id, cursor, limit)
    records = [_record(row) for row in db.session.scalars(query)]
    return make_page(records, limit, lambda record: (record.created_at, record.id))


def get_export(actor: Actor, export_id: UUID) -> ExportRecord:
    """Return one export.

    Raises NotFound.
    """
    require(actor, Action.REPORT_EXPORT)
    found = db.session.get(Export, export_id)
    if found is None:
        raise NotFound
    return _record(found)


def _record(row: Export) -> ExportRecord:
    return ExportRecord(
        row.id,
        row.format,
        ReportFilter.from_codes(row.filters),
        row.rows,
        row.created_at,
        row.created_by,
    )


def build_export_file(actor: Actor, export_id: UUID) -> tuple[Iterator[bytes], str, str]:
    """Build an export's file; return its bytes in chunks, its media type and its name.

    No file is stored, so someone who has lost the right to export can't download an old one. Every download is an event
    that names the clients of its rows; a report of numbers alone names none. Raises NotFound.
    """
    export = get_export(actor, export_id)
    shown = List(set(), "export", export_id, {"format": export.format}, always=True)
    note_list(Action.REPORT_EXPORT, shown)
    if export.format == "pdf":
        return iter([_render_pdf(actor, export.filters)]), "application/pdf", export.file_name
    shown.client_ids |= _list_client_ids(actor, export.filters)
    rows = list_report_rows(actor, export.filters, frozenset(shown.client_ids))
    return write_csv(rows), "text/csv; charset=utf-8", export.file_name


def _list_client_ids(actor: Actor, filters: ReportFilter) -> set[UUID]:
    zone = ZoneInfo(get_practice_info().practice.zone)
    return set(
        db.session.scalars(
            sa.select(Case.client_id).where(*_build_conditions(actor, filters, zone))
        )
    )


def count_cases(actor: Actor, filters: ReportFilter) -> int:
    """Count the cases of a report that an actor makes. The caller has checked the right to export."""
    zone = ZoneInfo(get_practice_info().practice.zone)
    query = (
        sa.select(sa.func.count()).select_from(Case).where(*_build_conditions(actor, filters, zone))
    )
    return db.session.scalar(query) or 0


def _build_conditions(
    actor: Actor, filters: ReportFilter, zone: ZoneInfo
) -> list[sa.ColumnElement[bool]]:
    """Build the conditions for the cases of a report.

    It has no clients whom the actor must not see, and none who have withdrawn consent.
    """
    withdrawn = sa.select(Client.id).where(Client.consent_withdrawn_on.is_not(None))
    conditions: list[sa.ColumnElement[bool]] = [
        Case.client_id.not_in(select_denied_clients(actor.id)),
        Case.client_id.not_in(withdrawn),
    ]
    if filters.since:
        still_open = sa.or_(
            Case.closed_at.is_(None), Case.closed_at >= _start_of_day(filters.since, zone)
        )
        conditions.append(still_open)
    if filters.until:
        conditions.append(Case.opened_at < _start_of_day(filters.until + timedelta(days=1), zone))
    if filters.coach:
        conditions.append(Case.coach_id == filters.coach)
    if filters.stage:
        conditions.append(Case.stage == filters.stage)
    if filters.status:
        conditions.append(Case.status == filters.status)
    return conditions


def _start_of_day(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def list_report_rows(
    actor: Actor, filters: ReportFilter, client_ids: Collection[UUID]
) -> Iterator[ReportRow]:
    """Read a report's rows, newest case first. The caller has checked the right to export.

    Only cases of these clients are read, whom the log names: it is written before the first row leaves.

    Sessions are counted by signed notes, as far as they began in the period, and no-shows and cancelled sessions by the
    contact log. Each batch of BATCH_SIZE cases takes six statements; one batch is in memory at a time.
    """
    zone = ZoneInfo(get_practice_info().practice.zone)
    # A case whose client's key was destroyed still counts; its sealed facts can no longer be read.
    query = (
        sa.select(*CASE_COLUMNS)
        .outerjoin(ClientKey, ClientKey.client_id == Case.client_id)
        .where(*_build_conditions(actor, filters, zone))
    )
    cursor: str | None = None
    while True:
        page = page_newest_first(query, Case.opened_at, Case.id, cursor, BATCH_SIZE)
        found: Page[Any] = make_page(
            db.session.execute(page).all(), BATCH_SIZE, lambda row: (row.opened_at, row.id)
        )
        cases = [case for case in found.items if case.client_id in client_ids]
        yield from _rows(cases, zone, _find_period(filters, zone))
        if found.next is None:
            return
        cursor = found.next


def _find_period(filters: ReportFilter, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """Find the beginning of a report's period and its end, which is no longer part of it; None without one."""
    return (
        _start_of_day(filters.since, zone) if filters.since else None,
        _start_of_day(filters.until + timedelta(days=1), zone) if filters.until else None,
    )


def _rows(
    cases: Sequence[Any], zone: ZoneInfo, period: tuple[datetime | None, datetime | None]
) -> Iterator[ReportRow]:
    ids = [case.id for case in cases]
    clients = {case.client_id for case in cases}
    case_events = _grouped(
        sa.select(CaseEvent.case_id, CaseEvent.occurred_at, CaseEvent.to_stage)
        .where(CaseEvent.case_id.in_(ids), CaseEvent.to_stage.is_not(None))
        .order_by(CaseEvent.occurred_at, CaseEvent.id)
    )
    histories = list_safety_histories(clients)
    assignments = _grouped(
        sa.select(Assignment.case_id, Assignment.read_at).where(
            Assignment.case_id.in_(ids), Assignment.withdrawn_at.is_(None)
        )
    )
    counted = count_sessions(ids, *period)
    filed = Counter(db.session.scalars(select_filed(*period).where(Note.case_id.in_(ids))))
    missed = _grouped(select_missed(*period).where(Contact.client_id.in_(clients)))
    for case in cases:
        history = histories.get(case.client_id)
        screenings = history.screenings[::-1] if history else []
        own = [found for found in screenings if _belongs_to_case(case, found.recorded_at)]
        holds = history.holds.values() if history else ()
        kinds = Counter(hold.kind for hold in holds if _belongs_to_case(case, hold.opened_at))
        assigned = assignments.get(case.id, [])
        not_met = Counter(
            row.kind
            for row in missed.get(case.client_id, [])
            if _belongs_to_case(case, row.happened_at)
        )
        yield ReportRow(
            number=case.number,
            opened_on=_local_day(case.opened_at, zone),
            closed_on=_local_day(case.closed_at, zone) if case.closed_at else None,
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
            facts=_unseal_facts(case),
            stages=tuple(
                (_local_day(row.occurred_at, zone), row.to_stage)
                for row in case_events.get(case.id, [])
            ),
            levels={
                item.key: tuple(
                    (_local_day(found.recorded_at, zone), level)
                    for found in own
                    if (level := found.levels[item.key]) is not None
                )
                for item in EXPORTED_ITEMS
            },
            care_holds=kinds["care"],
            safety_holds=kinds["safety"],
            handouts_assigned=len(assigned),
            handouts_read=sum(row.read_at is not None for row in assigned),
            sessions=counted.get(case.id, NO_SESSIONS).sessions,
            session_minutes=counted.get(case.id, NO_SESSIONS).minutes,
            sessions_filed_unsigned=filed[case.id],
            no_shows=not_met[NO_SHOW],
            cancelled_sessions=not_met[CANCELLED],
        )


def _grouped(query: sa.Select[*tuple[Any, ...]]) -> dict[UUID, list[Any]]:
    """Group rows by their first column."""
    found: dict[UUID, list[Any]] = {}
    for row in db.session.execute(query):
        found.setdefault(row[0], []).append(row)
    return found


def _belongs_to_case(case: Any, moment: datetime) -> bool:  # noqa: ANN401 - a result row
    """Tell whether a moment falls into this case and not into an earlier or later one of the client."""
    return bool(moment >= case.opened_at and (case.closed_at is None or moment <= case.closed_at))


def _local_day(moment: datetime, zone: ZoneInfo) -> date:
    return moment.astimezone(zone).date()


def _unseal_facts(case: Any) -> dict[str, Any]:  # noqa: ANN401 - a result row
    if case.wrapped is None or case.facts is None:
        return {}
    key = open_client_key(case.wrapped, case.client_id, "case", case.id)
    opened = unseal_text(Case.__tablename__, "facts", case.id, case.facts, key)
    facts: dict[str, Any] = json.loads(opened or "{}")
    return facts


def _render_pdf(actor: Actor, filters: ReportFilter) -> bytes:
    practice = get_practice_info().practice
    zone = ZoneInfo(practice.zone)
    count = sa.func.count()
    rows = db.session.execute(
        sa.select(Case.stage, Case.outcome, Case.goal, Case.coach_id, count)
        .where(*_build_conditions(actor, filters, zone))
        .group_by(Case.stage, Case.outcome, Case.goal, Case.coach_id)
    ).all()
    by_stage, by_outcome, by_goal, by_coach = (Counter[Any]() for _ in range(4))
    for stage, outcome, goal, coach_id, cases in rows:
        by_stage[stage] += cases
        by_outcome[outcome] += cases
        by_goal[goal] += cases
        by_coach[coach_code(coach_id)] += cases
    sessions, minutes, _ = db.session.execute(
        select_sessions(*_find_period(filters, zone))
        .join(Case, Case.id == Note.case_id)
        .where(*_build_conditions(actor, filters, zone))
    ).one()
    filed = db.session.scalars(
        select_filed(*_find_period(filters, zone))
        .join(Case, Case.id == Note.case_id)
        .where(*_build_conditions(actor, filters, zone))
    ).all()
    belongs = sa.and_(
        Case.client_id == Contact.client_id,
        Contact.happened_at >= Case.opened_at,
        sa.or_(Case.closed_at.is_(None), Contact.happened_at <= Case.closed_at),
    )
    missed = Counter(
        db.session.scalars(
            select_missed(*_find_period(filters, zone))
            .with_only_columns(Contact.kind)
            .join(Case, belongs)
            .where(*_build_conditions(actor, filters, zone))
        )
    )
    table = partial(pdf_tables.build_table, to_share=filters.to_share)
    tables = (
        table("By stage", [(stage.title, by_stage[stage.id]) for stage in stages()]),
        table(
            "By outcome",
            [
                ("Not closed yet", by_outcome[None]),
                *((label, by_outcome[code]) for code, label in OUTCOMES.items()),
            ],
        ),
        table("By goal", [(label, by_goal[code]) for code, label in GOALS.items()]),
        table("By coach", sorted(by_coach.items())),
    )
    return render(
        pdf_tables.render_page(
            {
                "practice": practice,
                "made_on": _local_day(now(), zone),
                "filters": describe_filters(filters),
                "total": pdf_tables.format_total(by_stage.total(), to_share=filters.to_share),
                "sessions": pdf_tables.format_sessions(
                    sessions, minutes, by_stage.total(), to_share=filters.to_share
                ),
                "filed": pdf_tables.format_filed(
                    len(filed), by_stage.total(), to_share=filters.to_share
                ),
                "missed": pdf_tables.format_missed(
                    missed[NO_SHOW],
                    missed[CANCELLED],
                    by_stage.total(),
                    to_share=filters.to_share,
                ),
                "tables": tables,
                "smallest": pdf_tables.MIN_SHOWN,
                "to_share": filters.to_share,
            }
        ),
        style="report.css",
    )


def describe_filters(filters: ReportFilter) -> list[tuple[str, str]]:
    """Return the filters of a report as labels and values."""
    described = []
    if filters.since:
        described.append(("From", pdf_tables.format_date(filters.since)))
    if filters.until:
        described.append(("To", pdf_tables.format_date(filters.until)))
    if filters.coach:
        described.append(("Coach", coach_code(filters.coach)))
    if filters.stage:
        described.append(("Stage", stage_by_id()[filters.stage].title))
    if filters.status:
        described.append(("Status", STATUSES[filters.status]))
    if filters.to_share:
        described.append(("For", "people outside the practice"))
    return described
