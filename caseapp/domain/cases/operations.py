"""Operations on cases: open, update, move between stages, close and reopen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import DataKey, seal, seal_json
from caseapp.domain.alerts.operations import readdress_alerts
from caseapp.domain.audit.operations import record
from caseapp.domain.cases.facts import OUTCOMES_APART
from caseapp.domain.cases.models import Attestation, Case, CaseCounter, CaseEvent
from caseapp.domain.cases.queries import (
    get_progress,
    has_lost_contact,
    has_open_case,
    is_screened_today,
    list_client_facts,
    newest_case_id,
)
from caseapp.domain.cases.rules import (
    check_clear_case_flag,
    check_close,
    check_move,
    check_open,
    check_reopen,
    list_attested,
    make_case_number,
    sets_contact_block,
)
from caseapp.domain.clients.memberships import join_care_team
from caseapp.domain.clients.operations import require_assignable_coach
from caseapp.domain.followups.assignees import choose_assignee
from caseapp.domain.followups.operations import (
    ask_again,
    create_required_followups,
    end_hold_followups,
)
from caseapp.domain.practice.queries import local_now, today
from caseapp.domain.protocol.rules import due_at
from caseapp.domain.screening.current import get_current_safety
from caseapp.domain.screening.operations import clear_flag, ensure_flag
from caseapp.domain.screening.queries import get_flag
from caseapp.domain.screening.rules import list_episodes
from caseapp.domain.screening.stream import mark_open_holds, remove_proposal_marks

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.cases.queries import LockedCase
    from caseapp.domain.cases.schemas import CaseClosing, CaseDetails, StageMove
    from caseapp.domain.clients.queries import LockedClient


def open_case(actor: Actor, client: LockedClient, details: CaseDetails, *, coach_id: UUID) -> UUID:
    """Open a case in stage `steady` and return its id.

    Raises Invalid for a coach the actor can't assign, or RuleBroken when the client already has an open case.
    """
    require(actor, Action.CASE_OPEN)
    require_assignable_coach(actor, coach_id)
    check_open(client, has_open_case=has_open_case(client.id))
    moment = now()
    case = Case(
        id=new_id(),
        number=_next_number(moment),
        client_id=client.id,
        coach_id=coach_id,
        stage_since=moment,
        opened_at=moment,
        updated_at=moment,
    )
    _apply_details(case, details, client.key)
    db.session.add(case)
    if join_care_team(actor, client, coach_id):
        readdress_alerts(actor, client.id)
    mark_open_holds(client)
    _resume_holds(actor, client, coach_id)
    _set_flags_from_facts(actor, client, details.facts)
    _record_event(actor, case, "opened", None, case.stage, None, client.key)
    record(actor, Action.CASE_OPEN, "case", case.id, client_id=client.id)
    return case.id


def _next_number(moment: datetime) -> str:
    """Take the next case number of the year; the counter's row lock serialises cases opened at the same time."""
    insert = postgresql.insert if db.engine.dialect.name == "postgresql" else sqlite.insert
    last = db.session.execute(
        insert(CaseCounter)
        .values(year=moment.year, last=1)
        .on_conflict_do_update(index_elements=["year"], set_={"last": CaseCounter.last + 1})
        .returning(CaseCounter.last)
    ).scalar_one()
    return make_case_number(moment.year, last)


def update_case(actor: Actor, case: LockedCase, details: CaseDetails, version: int) -> None:
    """Replace a case's facts, goal and review date.

    Raises Stale when somebody saved a newer version than `version`.
    """
    require(actor, Action.CASE_EDIT)
    row, before = case.case, case.facts
    set_committed_value(row, "version", version)
    _apply_details(row, details, case.key)
    row.updated_at = now()
    db.session.flush()
    _set_flags_from_facts(actor, case.locked_client, details.facts)
    changed = sorted(
        name
        for name in before.keys() | details.facts
        if before.get(name) != details.facts.get(name)
    )
    record(
        actor,
        Action.CASE_EDIT,
        "case",
        row.id,
        client_id=row.client_id,
        details={"fields": changed},
    )


def _apply_details(case: Case, details: CaseDetails, key: DataKey) -> None:
    if details.goal not in {case.goal, "undecided"}:
        case.goal_chosen_on = today()
    elif details.goal == "undecided" and details.review_date is not None:
        case.goal_chosen_on = case.goal_chosen_on or today()
    case.goal = details.goal
    case.review_date = details.review_date
    case.facts = seal_json(case, "facts", details.facts, key)


def _set_flags_from_facts(actor: Actor, client: LockedClient, facts: dict[str, Any]) -> None:
    if sets_contact_block(facts):
        ensure_flag(actor, client, "contact_block", source="facts")


def clear_case_flag(actor: Actor, case: LockedCase, flag_id: UUID, reason: str) -> None:
    """Clear a flag of the case's client with a written reason; supervisors only.

    Raises NotFound, or RuleBroken when it is already cleared or what has set it still stands.
    """
    require(actor, Action.FLAG_CLEAR)
    kind = get_flag(case.case.client_id, flag_id).kind
    check_clear_case_flag(case, kind, list_client_facts(case.locked_client))
    clear_flag(actor, case.locked_client, flag_id, reason)


def move_case(actor: Actor, case: LockedCase, move: StageMove, version: int) -> None:
    """Move a case to the next stage when its gate is open, or back to an earlier stage with a reason.

    Raises RuleBroken with every unmet condition, Invalid without a reason, or Stale when the case has changed since
    `version`.
    """
    require(actor, Action.CASE_MOVE)
    check_move(case, get_progress(case), move, today())
    for criterion, evidence in list_attested(case, move).items():
        attest_criterion(actor, case, criterion, evidence)
    row, from_stage = case.case, case.case.stage
    set_committed_value(row, "version", version)
    row.stage = move.to
    row.stage_since = row.updated_at = now()
    db.session.flush()
    _record_event(actor, row, "moved", from_stage, row.stage, move.reason or None, case.key)
    record(
        actor,
        Action.CASE_MOVE,
        "case",
        row.id,
        client_id=row.client_id,
        details={"from": from_stage, "to": row.stage},
    )


def attest_criterion(actor: Actor, case: LockedCase, criterion: str, evidence: str) -> None:
    """Save a coach's evidence for a criterion, which counts from now on; earlier evidence stays with its move."""
    row = Attestation(
        id=new_id(),
        case_id=case.case.id,
        client_id=case.case.client_id,
        criterion=criterion,
        attested_at=now(),
        attested_by=actor.id,
    )
    sealed = seal(row, "evidence", evidence, case.key)
    assert sealed is not None  # noqa: S101 - the text is not None
    row.evidence = sealed
    db.session.add(row)
    db.session.flush()


def close_case(actor: Actor, case: LockedCase, closing: CaseClosing, version: int) -> None:
    """Close a case with outcome, reason and final screening, and create the check-ins that follow.

    A closing apart needs a full screening of the same day, and the client must be screened again within seven days.
    When contact is lost during a safety hold, the hold stays open, and its actions end with the written reason.
    Raises RuleBroken with every reason why it can't be closed, or Stale when the case has changed since `version`.
    """
    require(actor, Action.CASE_CLOSE)
    check_close(
        actor,
        case,
        closing,
        screened_today=is_screened_today(case),
        is_contact_lost=has_lost_contact(case),
    )
    row, moment, from_stage = case.case, now(), case.case.stage
    set_committed_value(row, "version", version)
    row.status = "closed"
    row.stage = "close"
    row.closed_at = row.updated_at = moment
    row.outcome = closing.outcome
    row.close_reason = closing.reason
    row.final_screening = closing.final_screening
    row.follow_up_on = closing.follow_up_on if closing.follow_up_consent else None
    db.session.flush()
    if case.safety.hold == "safety":
        holds = {hold.id: list_episodes(hold) for hold in case.safety.holds}
        end_hold_followups(actor, case.locked_client, holds, closing.not_screened_reason)
    remove_proposal_marks(case.locked_client)
    tasks = {}
    if closing.outcome in OUTCOMES_APART:
        tasks["close_screening"] = due_at("close_screening", local_now())
    if row.follow_up_on:
        tasks["close_check_in"] = moment + (row.follow_up_on - today())
    create_required_followups(
        actor,
        case.locked_client,
        tasks,
        assigned_to=row.coach_id,
        origin_kind="case",
        origin_id=row.id,
    )
    _record_event(
        actor, row, "closed", from_stage, "close", closing.not_screened_reason or None, case.key
    )
    record(
        actor,
        Action.CASE_CLOSE,
        "case",
        row.id,
        client_id=row.client_id,
        details={"outcome": closing.outcome, "reason": closing.reason},
    )


def reopen_case(actor: Actor, case: LockedCase, reason: str, version: int) -> None:
    """Reopen a closed case in stage `steady`; the client's holds and flags are unchanged.

    Its coach is the one of before, or whoever looks after the client now (see `choose_assignee`), who joins the care
    team.
    What an open hold requires and was ended because contact was lost is required again from now on.

    Raises RuleBroken when the client has an open case, or Stale when the case has changed since `version`.
    """
    require(actor, Action.CASE_REOPEN)
    row = case.case
    check_reopen(case, has_open_case=has_open_case(row.client_id))
    set_committed_value(row, "version", version)
    row.status = "open"
    row.stage = "steady"
    row.stage_since = row.updated_at = now()
    row.closed_at = row.outcome = row.close_reason = row.final_screening = None
    row.follow_up_on = None
    row.coach_id = choose_assignee(row.client_id, [row.coach_id])
    join_care_team(actor, case.locked_client, row.coach_id)
    db.session.flush()
    _resume_holds(actor, case.locked_client, row.coach_id)
    mark_open_holds(case.locked_client)
    _record_event(actor, row, "reopened", "close", "steady", reason, case.key)
    record(actor, Action.CASE_REOPEN, "case", row.id, client_id=row.client_id)


def record_hand_over(actor: Actor, client: LockedClient, from_id: UUID, to_id: UUID) -> None:
    """Record in a client's newest case, if there is one, who is the coach from now on instead of whom."""
    case_id = db.session.scalar(sa.select(newest_case_id(client.id)))
    if case_id is None:
        return
    event = CaseEvent(
        case_id=case_id,
        client_id=client.id,
        kind="handed_over",
        from_coach_id=from_id,
        to_coach_id=to_id,
        occurred_at=now(),
        recorded_by=actor.id,
    )
    db.session.add(event)
    db.session.flush()


def _resume_holds(actor: Actor, client: LockedClient, coach_id: UUID) -> None:
    state = get_current_safety(client.key).state
    for hold in state.holds:
        ask_again(
            actor,
            client,
            hold.id,
            list_episodes(hold),
            assigned_to=coach_id,
            latest_at=state.latest_at,
        )


def _record_event(
    actor: Actor,
    case: Case,
    kind: str,
    from_stage: str | None,
    to: str | None,
    reason: str | None,
    key: DataKey,
) -> None:
    event = CaseEvent(
        id=new_id(),
        case_id=case.id,
        client_id=case.client_id,
        kind=kind,
        from_stage=from_stage,
        to_stage=to,
        occurred_at=now(),
        recorded_by=actor.id,
    )
    event.reason = seal(event, "reason", reason, key)
    db.session.add(event)
    db.session.flush()
