"""Asked: the caseload, one case, its history, and what its gates say."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.orm import aliased

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason
from caseapp.core.pagination import Page, after, at_most, page_of
from caseapp.core.permissions import Action, Role
from caseapp.core.vault import DataKey, open_data, open_row, unwrap
from caseapp.domain.cases.models import Attestation, Case, CaseEvent
from caseapp.domain.cases.schemas import CaseInList
from caseapp.domain.cases.stages import Criterion, Stage, criteria_between, following, stage_by_id
from caseapp.domain.clients.models import Client, ClientKey
from caseapp.domain.clients.queries import ClientRecord, found_by, opened, seen_by, visible_to
from caseapp.domain.screening.models import Hold
from caseapp.domain.screening.protocol import ITEM, VALID_FOR
from caseapp.domain.screening.queries import (
    SAFETY,
    Safety,
    recent_screenings,
    safety_in,
    two_steady,
    with_safety,
)
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime
    from uuid import UUID


@dataclass(frozen=True)
class CaseFilter:
    """Narrow the caseload; None means any."""

    stage: str | None = None
    status: str | None = None
    coach_id: UUID | None = None
    hold: str | None = None
    q: str | None = None
    updated_since: datetime | None = None


STRICTEST_HOLD = (
    # 'safety' sorts after 'care', so the strictest open hold is the greatest.
    sa.select(sa.func.max(Hold.kind))
    .where(Hold.client_id == Case.client_id, Hold.cleared_at.is_(None))
    .scalar_subquery()
)
LINE = (
    Case.id,
    Case.number,
    Case.client_id,
    Client.name,
    Case.coach_id,
    Case.status,
    Case.stage,
    Case.opened_at,
    Case.changed_at,
    STRICTEST_HOLD,
)


def list_cases(
    actor: Actor, wanted: CaseFilter, cursor: str | None, limit: int
) -> Page[CaseInList]:
    """List the cases an actor may see, newest first, in one statement whatever the number."""
    require(actor, Action.CASE_READ)
    page = _page_of_cases(actor, wanted, cursor, limit).subquery("page")
    rows = db.session.execute(
        sa.select(*LINE)
        .join(page, page.c.id == Case.id)
        .join(Client, Client.id == Case.client_id)
        .order_by(page.c.opened_at.desc(), page.c.id.desc())
    ).all()
    items = [CaseInList(*row) for row in rows]
    return page_of(items, limit, lambda item: (item.opened_at, item.id))


def _page_of_cases(
    actor: Actor, wanted: CaseFilter, cursor: str | None, limit: int
) -> sa.Select[UUID, datetime]:
    """Select the ids of one page; everything else is looked up for these rows alone.

    A coach has few of the practice's cases, so theirs are gathered first and then put in order. A supervisor has many,
    so the order is walked and each case asked after. Either way round walks whole tables for the other, and no planner
    can be trusted to know which of them asks.
    """
    seen = sa.select(Case.id, Case.opened_at).where(*_conditions(wanted))
    if actor.role is Role.SUPERVISOR:
        theirs = seen.where(seen_by(actor, Case.client_id))
        return after(theirs, Case.opened_at, Case.id, cursor, limit)
    mine = seen.where(Case.client_id.in_(visible_to(actor))).cte("mine").prefix_with("MATERIALIZED")
    return after(sa.select(mine.c.id, mine.c.opened_at), mine.c.opened_at, mine.c.id, cursor, limit)


def _conditions(wanted: CaseFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if wanted.stage:
        found.append(Case.stage == wanted.stage)
    if wanted.status:
        # Written out, so that a planner finds the index of open cases without looking at parameters each time.
        found.append(Case.status == sa.literal(wanted.status, literal_execute=True))
    if wanted.coach_id:
        found.append(Case.coach_id == wanted.coach_id)
    if wanted.updated_since:
        found.append(Case.changed_at >= wanted.updated_since)
    if wanted.hold:
        held = sa.select(Hold.client_id).where(Hold.cleared_at.is_(None))
        if wanted.hold != "any":
            held = held.where(Hold.kind == wanted.hold)
        found.append(Case.client_id.in_(held))
    if wanted.q and wanted.q.strip():
        by_number = Case.number == wanted.q.strip().upper()
        found.append(sa.or_(by_number, Case.client_id.in_(found_by(wanted.q))))
    return found


@dataclass(frozen=True)
class CaseHead:
    """Hold what every page of a case shows: the case, the client, the key, how safe coaching is now."""

    case: Case
    client: ClientRecord
    coach: str
    safety: Safety
    key: DataKey

    @property
    def stage(self) -> Stage:
        """Give the stage that the case is in."""
        return stage_by_id()[self.case.stage]

    @property
    def facts(self) -> dict[str, Any]:
        """Open the presenting facts."""
        return open_data(self.case, "facts", self.key) or {}


def _heads(actor: Actor, where: sa.ColumnElement[bool]) -> sa.Select[*tuple[Any, ...]]:
    return with_safety(
        sa.select(Case, Client, ClientKey.wrapped, User.name.label("coach"), *SAFETY)
        .join(Client, Client.id == Case.client_id)
        .join(ClientKey, ClientKey.client_id == Case.client_id)
        .join(User, User.id == Case.coach_id)
        .where(where, seen_by(actor, Case.client_id))
    )


def _head(rows: Sequence[Any]) -> CaseHead:
    row = rows[0]
    key = unwrap(row.Case.client_id, row.wrapped)
    return CaseHead(row.Case, opened(row.Client, key), row.coach, safety_in(rows, key), key)


def _only_head(actor: Actor, where: sa.ColumnElement[bool]) -> CaseHead:
    rows = db.session.execute(_heads(actor, where)).all()
    if not rows:
        raise NotFound
    return _head(rows)


def case_head(actor: Actor, case_id: UUID) -> CaseHead:
    """Show a case by its id, in one statement.

    Raises NotFound.
    """
    require(actor, Action.CASE_READ)
    return _only_head(actor, Case.id == case_id)


def case_heads(actor: Actor, case_ids: Iterable[UUID]) -> list[CaseHead]:
    """Show many cases, newest first, in one statement; what the actor may not see is not among them."""
    require(actor, Action.CASE_READ)
    rows = db.session.execute(
        _heads(actor, Case.id.in_(set(case_ids))).order_by(Case.opened_at.desc(), Case.id.desc())
    )
    return [_head([*found]) for _, found in groupby(rows, lambda row: row.Case.id)]


def case_by_number(actor: Actor, number: str) -> CaseHead:
    """Show a case by the number that people use.

    Raises NotFound.
    """
    require(actor, Action.CASE_READ)
    return _only_head(actor, Case.number == number)


def get_case(actor: Actor, case_id: UUID) -> Case:
    """Load a case for a change.

    Raises NotFound.
    """
    found = db.session.scalar(
        sa.select(Case).where(Case.id == case_id, seen_by(actor, Case.client_id))
    )
    if found is None:
        raise NotFound
    return found


def newest_case(client_id: Any) -> sa.ScalarSelect[UUID]:  # noqa: ANN401 - a column or a value
    """Select the newest case of a client."""
    newest = aliased(Case)
    return (
        sa.select(newest.id)
        .where(newest.client_id == client_id)
        .order_by(newest.opened_at.desc(), newest.id.desc())
        .limit(at_most(1))
        .scalar_subquery()
    )


def newest_case_of(client_id: UUID) -> Case | None:
    """Give a client's newest case, for those who have already been let in."""
    return db.session.scalar(sa.select(Case).where(Case.id == newest_case(client_id)))


@dataclass(frozen=True)
class CaseStep:
    """Show one step of a case's history."""

    id: UUID
    kind: str
    from_stage: str | None
    to_stage: str | None
    at: datetime
    by: UUID
    reason: str | None


def steps_of(
    head: CaseHead, *, before: tuple[datetime, UUID] | None = None, limit: int = 50
) -> list[CaseStep]:
    """List a case's steps, newest first."""
    query = sa.select(CaseEvent).where(CaseEvent.case_id == head.case.id)
    if before:
        query = query.where(
            sa.tuple_(CaseEvent.at, CaseEvent.id)
            < sa.tuple_(
                sa.literal(before[0], CaseEvent.at.type), sa.literal(before[1], CaseEvent.id.type)
            )
        )
    rows = db.session.scalars(query.order_by(CaseEvent.at.desc(), CaseEvent.id.desc()).limit(limit))
    return [
        CaseStep(
            row.id,
            row.kind,
            row.from_stage,
            row.to_stage,
            row.at,
            row.by,
            open_row(row, "reason", head.key),
        )
        for row in rows
    ]


@dataclass(frozen=True)
class Check:
    """Say of one criterion whether it is met, and what the coach wrote about it."""

    criterion: Criterion
    met: bool
    evidence: str = ""

    @property
    def attested(self) -> bool:
        """Tell whether a coach has to see to it, rather than the program."""
        return not self.criterion.check


@dataclass(frozen=True)
class Gate:
    """Say what a move forward asks for and what is still missing."""

    to: Stage
    checks: tuple[Check, ...]
    blocks: tuple[Reason, ...]

    @property
    def open(self) -> bool:
        """Tell whether the case may move on."""
        return not self.blocks and all(check.met for check in self.checks)


def gate_of(head: CaseHead, *, today: date, evidence: dict[str, str] | None = None) -> Gate | None:
    """Work out what stands between a case and the next stage; None in the last one.

    Three conditions always hold: no open hold, a screening at most 14 days old, no question left unasked in it. The
    others are those of the stages. `evidence` holds lines that the coach sends along with the move.
    """
    to = following(head.stage)
    if to is None:
        return None
    attested = {
        row.criterion: open_row(row, "evidence", head.key) or ""
        for row in _attestations(head.case.id)
    }
    attested |= evidence or {}
    screenings = recent_screenings(head.case.client_id, 20)
    checks = []
    for criterion in criteria_between(head.stage, to):
        if criterion.check:
            met = _computed(criterion.check, head, screenings, today)
            checks.append(Check(criterion, met))
        else:
            line = attested.get(criterion.id, "")
            checks.append(Check(criterion, bool(line), line))
    return Gate(to, tuple(checks), tuple(always_asked(head.safety)))


def _attestations(case_id: UUID) -> Sequence[Attestation]:
    return db.session.scalars(sa.select(Attestation).where(Attestation.case_id == case_id)).all()


def always_asked(safety: Safety) -> list[Reason]:
    """List which of the three conditions for every move forward fail."""
    reasons = []
    if safety.hold:
        reasons.append(
            Reason(
                "hold_open",
                f"A {safety.hold} hold is open, so coaching is paused.",
                "See under Hold what is still to be done.",
            )
        )
    if safety.last is None:
        reasons.append(
            Reason("never_screened", "There is no screening yet.", "Record a full screening.")
        )
        return reasons
    if not safety.recent:
        days = (safety.at - safety.last.at).days
        reasons.append(
            Reason(
                "screening_old",
                f"The last screening is {days} days old; {VALID_FOR.days} is the limit.",
                "Record a full screening.",
            )
        )
    unknown = [ITEM[key].label for key, level in safety.last.levels.items() if level is None]
    if unknown:
        reasons.append(
            Reason(
                "screening_incomplete",
                f"Not asked the last time: {', '.join(unknown)}.",
                "Ask what was left out and record a full screening.",
            )
        )
    return reasons


def _computed(check: str, head: CaseHead, screenings: Sequence[Any], today: date) -> bool:
    case, safety = head.case, head.safety
    if check == "consent_and_safe_contact":
        return head.client.consent_on is not None and bool(head.client.safe.channels)
    if check == "first_full_screening":
        return any(screening.full for screening in screenings)
    if check == "two_steady_screenings":
        return two_steady(screenings)
    if check == "goal_chosen":
        return case.goal_chosen_on is not None and (
            case.goal != "undecided" or case.review_date is not None
        )
    if check == "review_date_set":
        return case.review_date is not None and case.review_date >= today
    if check == "private_safety_screen":
        return any(
            screening.asked_alone
            and screening.levels["fear_at_home"] is not None
            and now() - screening.at <= VALID_FOR
            for screening in screenings
        )
    if check == "no_contact_block":
        return "contact_block" not in safety.flags
    if check == "spouse_contact_open":
        return bool(head.facts.get("spouse_contact_wish") == "open")
    if check == "final_screening":
        return safety.last is not None and safety.last.full and safety.recent
    raise LookupError(f"No computation is named {check}.")
