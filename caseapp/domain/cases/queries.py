"""Queries for cases: the caseload, one case with its context, its events and its stage gate."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.pagination import (
    Page,
    Window,
    in_any,
    literal_limit,
    make_page,
    page_newest_first,
)
from caseapp.core.permissions import Action
from caseapp.core.reads import note_shown
from caseapp.core.vault import DataKey, unseal_column, unseal_json
from caseapp.domain.cases.models import EVENT_KINDS, Attestation, Case, CaseEvent
from caseapp.domain.cases.rules import Progress, assess_stage_gate, is_case_number
from caseapp.domain.cases.schemas import CaseListItem
from caseapp.domain.cases.stages import Stage, next_stage, stage_by_id
from caseapp.domain.clients.care_team import list_running_covers
from caseapp.domain.clients.models import Client
from caseapp.domain.clients.queries import (
    ClientRecord,
    LockedClient,
    take_lock_of_owner,
    unseal_client,
)
from caseapp.domain.clients.search import choose_clients
from caseapp.domain.clients.visibility import (
    is_visible_client,
    is_visible_to,
    looks_after_client,
)
from caseapp.domain.followups.queries import list_hold_tasks
from caseapp.domain.followups.rules import is_contact_lost
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_client_key, open_listed_client_key
from caseapp.domain.practice.queries import local_day, today
from caseapp.domain.screening.current import (
    SAFETY_COLUMNS,
    SafetyState,
    join_safety,
    safety_from_row,
)
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.marks import HOLD_KINDS, list_marks
from caseapp.domain.screening.rules import list_episodes
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.core.permissions import Role
    from caseapp.domain.cases.rules import StageGate


@dataclass(frozen=True)
class CaseFilter:
    """Filters of the caseload; None means any."""

    stage: str | None = None
    status: str | None = None
    coach_id: UUID | None = None
    hold: str | None = None
    q: str | None = None
    updated_since: datetime | None = None


MAX_CASE_EVENTS = 200
C = TypeVar("C", bound="CaseContext")
LIST_COLUMNS = (
    Case.id,
    Case.number,
    Case.client_id,
    Client.name,
    Case.coach_id,
    Case.status,
    Case.stage,
    Case.opened_at,
    Case.updated_at,
    Client.consent_withdrawn_on,
)


def list_cases(
    actor: Actor, filters: CaseFilter, cursor: str | None, limit: int
) -> Page[CaseListItem]:
    """List the cases an actor may see, newest first, in one statement."""
    require(actor, Action.CASE_READ)
    page = _page_of_cases(actor, filters, cursor, limit).subquery("page")
    rows = db.session.execute(
        join_safety(
            sa.select(*LIST_COLUMNS, ClientKey.wrapped, *SAFETY_COLUMNS)
            .join(page, page.c.id == Case.id)
            .join(Client, Client.id == Case.client_id)
            .outerjoin(ClientKey, ClientKey.client_id == Case.client_id)
        ).order_by(page.c.opened_at.desc(), page.c.id.desc())
    ).all()
    listed = make_page(rows, limit, lambda row: (row.opened_at, row.id))
    note_shown(row.client_id for row in listed.items)
    return listed.map(_list_item)


def _list_item(row: Any) -> CaseListItem:  # noqa: ANN401 - a result row
    """Build a listed case; a client whose key was destroyed has no hold that anybody could read."""
    hold = None
    if row.wrapped is not None:
        hold = safety_from_row(row, open_listed_client_key(row.wrapped, row.client_id)).hold
    columns = [*row[: len(LIST_COLUMNS)], hold]
    return CaseListItem(*columns)


def select_newest_open_cases(actor: Actor, limit: int) -> sa.Select[UUID]:
    """Select the ids of the newest open cases of the clients who are an actor's work."""
    is_work = looks_after_client(actor, Case.client_id)
    newest = _page_of_cases(actor, CaseFilter(status="open"), None, limit - 1, is_work)
    return sa.select(newest.subquery("newest").c.id)


def _page_of_cases(
    actor: Actor,
    filters: CaseFilter,
    cursor: str | None,
    limit: int,
    *where: sa.ColumnElement[bool],
) -> sa.Select[UUID, datetime]:
    """Select the case ids of one page; the other columns are joined for these rows only."""
    cases = sa.select(Case.id, Case.opened_at).where(*_conditions(actor, filters), *where)
    q = filters.q
    if q and is_case_number(q):
        numbered = cases.where(
            Case.number == q.strip().upper(), is_visible_to(actor, Case.client_id)
        )
        return page_newest_first(numbered, Case.opened_at, Case.id, cursor, limit)
    return choose_clients(actor, q).select_page(cases, Case.client_id, cursor, limit)


def _conditions(actor: Actor, filters: CaseFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if filters.stage:
        found.append(Case.stage == filters.stage)
    if filters.status:
        # Inlined, so that the planner can use the partial index of open cases with a cached plan.
        found.append(Case.status == sa.literal(filters.status, literal_execute=True))
    if filters.coach_id:
        found.append(Case.coach_id == filters.coach_id)
    if filters.updated_since:
        found.append(Case.updated_at >= filters.updated_since)
    if filters.hold:
        kinds = HOLD_KINDS if filters.hold == "any" else (filters.hold,)
        covered = {cover.coach_id for cover in list_running_covers(actor.id)}
        held = {mark.client_id for mark in list_marks(actor.id, kinds, covered=covered)}
        found.append(Case.client_id.in_(held))
    return found


@dataclass(frozen=True)
class CaseContext:
    """A case with its client, coach, current safety state and the client's data key."""

    case: Case
    client: ClientRecord
    coach: str
    safety: SafetyState
    key: DataKey

    @property
    def stage(self) -> Stage:
        """Return the stage that the case is in."""
        return stage_by_id()[self.case.stage]

    @property
    def facts(self) -> dict[str, Any]:
        """Unseal the presenting facts."""
        return unseal_json(self.case, "facts", self.key) or {}


@dataclass(frozen=True)
class LockedCase(CaseContext):
    """A case whose client is locked until the transaction ends, as read after the lock.

    Only `lock_case` and other `lock_…` functions make one. A rule or an operation that takes one can't be given what
    was read before.
    """

    @property
    def locked_client(self) -> LockedClient:
        """Return the client, for operations on the client's whole record."""
        return LockedClient(self.client, self.key)


def list_client_facts(client: LockedClient) -> dict[str, dict[str, Any]]:
    """Return the presenting facts of every case of a locked client, closed ones too, by the case's number."""
    rows = db.session.scalars(
        sa.select(Case).where(Case.client_id == client.id).order_by(Case.opened_at)
    )
    return {row.number: unseal_json(row, "facts", client.key) or {} for row in rows}


def _select_contexts(*where: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    return join_safety(
        sa.select(Case, Client, ClientKey.wrapped, User.name.label("coach"), *SAFETY_COLUMNS)
        .join(Client, Client.id == Case.client_id)
        .join(ClientKey, ClientKey.client_id == Case.client_id)
        .join(User, User.id == Case.coach_id)
        .where(*where)
    )


@cache
def _select_single_context(role: Role, column: str) -> sa.Select[*tuple[Any, ...]]:
    """Build, once for each role, the query for a visible case by its id or number: most pages and changes begin so."""
    return _select_contexts(
        Case.__table__.c[column] == sa.bindparam("case"),
        is_visible_client(role, sa.bindparam("asks"), Case.client_id),
    )


def _context_from_row(row: Any, kind: type[C]) -> C:  # noqa: ANN401 - a result row
    key = open_client_key(row.wrapped, row.Case.client_id, "case", row.Case.id)
    return kind(row.Case, unseal_client(row.Client, key), row.coach, safety_from_row(row, key), key)


def _get_single_context(actor: Actor, ref: UUID | str, kind: type[C]) -> C:
    query = _select_single_context(actor.role, "number" if isinstance(ref, str) else "id")
    row = db.session.execute(query, {"case": ref, "asks": actor.id}).first()
    if row is None:
        raise NotFound
    return _context_from_row(row, kind)


def lock_case(actor: Actor, ref: UUID | str) -> LockedCase:
    """Lock a case's client, then load the case with its context; `ref` is the id of the case or its number.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.CASE_READ)
    take_lock_of_owner(Case.number if isinstance(ref, str) else Case.id, ref)
    return _get_single_context(actor, ref, LockedCase)


def get_case_context(actor: Actor, case_id: UUID) -> CaseContext:
    """Load a case with its context by its id, in one statement.

    Raises NotFound.
    """
    require(actor, Action.CASE_READ)
    return _get_single_context(actor, case_id, CaseContext)


def list_case_contexts(
    actor: Actor, case_ids: Iterable[UUID] | sa.Select[UUID]
) -> list[CaseContext]:
    """List cases with their context, newest first, in one statement; cases the actor may not see are left out."""
    require(actor, Action.CASE_READ)
    wanted = case_ids if isinstance(case_ids, sa.Select) else set(case_ids)
    rows = db.session.execute(
        _select_contexts(Case.id.in_(wanted), is_visible_to(actor, Case.client_id)).order_by(
            Case.opened_at.desc(), Case.id.desc()
        )
    )
    return [_context_from_row(row, CaseContext) for row in rows]


def get_case_context_by_number(actor: Actor, number: str) -> CaseContext:
    """Load a case with its context by its case number.

    Raises NotFound.
    """
    require(actor, Action.CASE_READ)
    return _get_single_context(actor, number, CaseContext)


def get_case(actor: Actor, case_id: UUID) -> Case:
    """Load a case for an update.

    Raises NotFound.
    """
    found = db.session.scalar(
        sa.select(Case).where(Case.id == case_id, is_visible_to(actor, Case.client_id))
    )
    if found is None:
        raise NotFound
    return found


def newest_case_id(client_id: Any) -> sa.ScalarSelect[UUID]:  # noqa: ANN401 - a column or a value
    """Build a scalar select of the id of a client's newest case."""
    newest = aliased(Case)
    return (
        sa.select(newest.id)
        .where(newest.client_id == client_id)
        .order_by(newest.opened_at.desc(), newest.id.desc())
        .limit(literal_limit(1))
        .scalar_subquery()
    )


def list_case_numbers(client_ids: Iterable[UUID]) -> dict[UUID, tuple[str, ...]]:
    """List the numbers of all cases of clients whom the caller has found for an actor, the oldest case first."""
    found: dict[UUID, tuple[str, ...]] = {}
    rows = db.session.execute(
        sa.select(Case.client_id, Case.number)
        .where(Case.client_id.in_({*client_ids}))
        .order_by(Case.opened_at, Case.id)
    )
    for client_id, number in rows:
        found[client_id] = (*found.get(client_id, ()), number)
    return found


def find_coach_name(client_id: UUID) -> str:
    """Find the name of the coach of a client's newest case, empty without a case; access was already checked."""
    return (
        db.session.scalar(
            sa.select(User.name)
            .join(Case, User.id == Case.coach_id)
            .where(Case.id == newest_case_id(client_id))
        )
        or ""
    )


@dataclass(frozen=True)
class CaseEventRecord:
    """A case event with its reason unsealed, and the names of who recorded it and whom it is about."""

    id: UUID
    kind: str
    from_stage: str | None
    to_stage: str | None
    occurred_at: datetime
    recorded_by: UUID
    recorded_by_name: str
    reason: str | None
    from_coach: str
    to_coach: str


_FromCoach, _ToCoach = aliased(User, name="from_coach"), aliased(User, name="to_coach")
_SELECT_CASE_EVENTS = (
    sa.select(CaseEvent, User.name, _FromCoach.name, _ToCoach.name)
    .outerjoin(User, User.id == CaseEvent.recorded_by)
    .outerjoin(_FromCoach, _FromCoach.id == CaseEvent.from_coach_id)
    .outerjoin(_ToCoach, _ToCoach.id == CaseEvent.to_coach_id)
    .order_by(CaseEvent.occurred_at.desc(), CaseEvent.id.desc())
)


def list_case_events(
    context: CaseContext,
    newest: int = MAX_CASE_EVENTS,
    window: Window | None = None,
    kinds: Collection[str] = EVENT_KINDS,
) -> list[CaseEventRecord]:
    """List so many of the newest events of a case, and those of some kinds in a window, in one statement.

    All of them stand newest first.
    """
    of_case = CaseEvent.case_id == context.case.id
    columns, wanted = (CaseEvent.occurred_at, CaseEvent.id), []
    if newest:
        wanted.append(Window(None, newest).select(*columns, of_case))
    if window:
        of_kinds = [] if len(kinds) == len(EVENT_KINDS) else [CaseEvent.kind.in_(kinds)]
        wanted.append(window.select(*columns, of_case, *of_kinds))
    rows = db.session.execute(_SELECT_CASE_EVENTS.where(in_any(CaseEvent.id, *wanted)))
    return [
        CaseEventRecord(
            row.id,
            row.kind,
            row.from_stage,
            row.to_stage,
            row.occurred_at,
            row.recorded_by,
            name or "",
            unseal_column(row, "reason", context.key),
            from_coach or "",
            to_coach or "",
        )
        for row, name, from_coach, to_coach in rows
    ]


def get_stage_gate(context: CaseContext, *, today: date) -> StageGate | None:
    """Assess what the next stage requires; None when the case is in the last stage."""
    to = next_stage(context.stage)
    return None if to is None else assess_stage_gate(context, to, get_progress(context), today)


def get_progress(context: CaseContext) -> Progress:
    """Load what a stage gate looks at besides the case itself."""
    attestations = db.session.scalars(
        sa.select(Attestation)
        .where(Attestation.case_id == context.case.id)
        .order_by(Attestation.attested_at, Attestation.id)
    )
    # The newest evidence for a criterion comes last, and counts.
    return Progress(
        tuple(get_safety_history(context.case.client_id).screenings),
        {row.criterion: unseal_column(row, "evidence", context.key) or "" for row in attestations},
    )


def is_screened_today(context: CaseContext) -> bool:
    """Tell whether a case's client had a full screening today, in the practice's time zone, and not in the future."""
    screenings = get_safety_history(context.case.client_id).screenings
    return any(
        one.full and one.is_current(now()) and local_day(one.session_at) == today()
        for one in screenings
    )


def has_open_case(client_id: UUID) -> bool:
    """Tell whether a client has an open case; access was already checked."""
    found = sa.select(Case.id).where(Case.client_id == client_id, Case.status == "open")
    return db.session.scalar(found) is not None


def has_lost_contact(context: CaseContext) -> bool:
    """Tell whether a supervisor has decided that contact is lost, and the client was not reached or screened since."""
    holds = {hold.id: list_episodes(hold) for hold in context.safety.holds}
    if not holds:
        return False
    asked = [
        screening.session_at for screening in get_safety_history(context.key.client_id).screenings
    ]
    return is_contact_lost(list_hold_tasks(context.key, holds), asked, now())
