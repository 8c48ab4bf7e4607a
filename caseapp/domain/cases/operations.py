"""Operations on cases: open, update, move between stages, close and reopen."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm.attributes import set_committed_value

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import DataKey, seal, seal_json, unseal_json
from caseapp.domain.audit.operations import record
from caseapp.domain.cases.facts import OUTCOMES_APART
from caseapp.domain.cases.models import Attestation, Case, CaseCounter, CaseEvent
from caseapp.domain.cases.queries import CaseContext, get_case, get_case_context, get_stage_gate
from caseapp.domain.cases.rules import list_common_blockers
from caseapp.domain.cases.stages import next_stage, stage_by_id
from caseapp.domain.clients.operations import join_care_team, require_assignable_coach
from caseapp.domain.clients.queries import get_client_key, lock_client, require_visible_client
from caseapp.domain.followups.operations import create_required_followups
from caseapp.domain.practice.queries import today
from caseapp.domain.screening.models import Flag
from caseapp.domain.screening.operations import clear_flag, ensure_flag
from caseapp.domain.screening.queries import get_safety_state

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.cases.schemas import CaseClosing, CaseDetails, StageMove


def open_case(actor: Actor, client_id: UUID, details: CaseDetails, *, coach_id: UUID) -> UUID:
    """Open a case in stage `steady` and return its id.

    Raises NotFound, or RuleBroken when the client already has an open case.
    """
    require(actor, Action.CASE_OPEN)
    require_visible_client(actor, client_id)
    lock_client(client_id)
    require_assignable_coach(actor, coach_id)
    if _find_open_case_id(client_id):
        raise RuleBroken(
            Reason(
                "case_open",
                "This client already has an open case.",
                "Continue in that case, or close it first.",
            )
        )
    moment = now()
    case = Case(
        id=new_id(),
        number=_next_number(moment),
        client_id=client_id,
        coach_id=coach_id,
        stage_since=moment,
        opened_at=moment,
        updated_at=moment,
    )
    key = get_client_key(client_id)
    _apply_details(case, details, key)
    db.session.add(case)
    join_care_team(coach_id, client_id)
    db.session.flush()
    _set_flags_from_facts(actor, case, details.facts)
    _record_event(actor, case, "opened", None, case.stage, None, key)
    record(actor, Action.CASE_OPEN, "case", case.id, client_id=client_id)
    return case.id


def _find_open_case_id(client_id: UUID) -> UUID | None:
    return db.session.scalar(
        sa.select(Case.id).where(Case.client_id == client_id, Case.status == "open")
    )


def _next_number(moment: datetime) -> str:
    """Take the next case number of the year; the counter's row lock serialises cases opened at the same time."""
    insert = postgresql.insert if db.engine.dialect.name == "postgresql" else sqlite.insert
    last = db.session.scalar(
        insert(CaseCounter)
        .values(year=moment.year, last=1)
        .on_conflict_do_update(index_elements=["year"], set_={"last": CaseCounter.last + 1})
        .returning(CaseCounter.last)
    )
    return f"C-{moment.year}-{last:04d}"


def update_case(actor: Actor, case_id: UUID, details: CaseDetails, expected_version: int) -> None:
    """Replace a case's facts, goal and review date.

    Raises NotFound, or Stale when somebody saved a newer version first.
    """
    require(actor, Action.CASE_EDIT)
    case = get_case(actor, case_id)
    lock_client(case.client_id)
    key = get_client_key(case.client_id)
    before = unseal_json(case, "facts", key) or {}
    set_committed_value(case, "version", expected_version)
    _apply_details(case, details, key)
    case.updated_at = now()
    db.session.flush()
    _set_flags_from_facts(actor, case, details.facts)
    changed = sorted(
        name
        for name in before.keys() | details.facts
        if before.get(name) != details.facts.get(name)
    )
    record(
        actor,
        Action.CASE_EDIT,
        "case",
        case.id,
        client_id=case.client_id,
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


def _set_flags_from_facts(actor: Actor, case: Case, facts: dict[str, Any]) -> None:
    """Set the contact block when there is an order or the spouse asked for no contact; content map, section (d)."""
    if facts.get("order", "none") != "none" or facts.get("spouse_contact_wish") == "asked_for_none":
        ensure_flag(actor, case.client_id, "contact_block", source="facts")


def clear_case_flag(actor: Actor, case_id: UUID, flag_id: UUID, reason: str) -> None:
    """Clear a flag of the case's client with a written reason; supervisors only.

    The contact block cannot be cleared while an order is in force; content map, section (d). Raises NotFound or
    RuleBroken.
    """
    context = get_case_context(actor, case_id)
    flag = db.session.get(Flag, flag_id)
    if flag is None or flag.client_id != context.case.client_id:
        raise NotFound
    if flag.kind == "contact_block" and context.facts.get("order", "none") != "none":
        raise RuleBroken(
            Reason(
                "order_in_force",
                "The contact block can't be cleared while an order is in force.",
                "When the order has ended, update it under Details first.",
            )
        )
    clear_flag(actor, flag_id, reason)


def move_case(actor: Actor, case_id: UUID, move: StageMove, expected_version: int) -> None:
    """Move a case to the next stage when its gate is open, or back to an earlier stage with a reason.

    Raises NotFound, RuleBroken with every unmet condition, or Stale when the case has changed.
    """
    require(actor, Action.CASE_MOVE)
    context = get_case_context(actor, case_id)
    lock_client(context.case.client_id)
    case, here, to = context.case, context.stage, stage_by_id()[move.to]
    if case.status != "open":
        raise RuleBroken(Reason("case_closed", "This case is closed.", "Reopen it first."))
    if to.number == here.number:
        raise RuleBroken(Reason("same_stage", f"The case is already in {here.title}."))
    if to.number > here.number:
        _require_open_gate(actor, context, move)
    elif not move.reason:
        raise Invalid({"reason": ["Say why you are moving the case back."]})
    set_committed_value(case, "version", expected_version)
    case.stage = to.id
    case.stage_since = case.updated_at = now()
    db.session.flush()
    _record_event(actor, case, "moved", here.id, to.id, move.reason or None, context.key)
    record(
        actor,
        Action.CASE_MOVE,
        "case",
        case.id,
        client_id=case.client_id,
        details={"from": here.id, "to": to.id},
    )


def _require_open_gate(actor: Actor, context: CaseContext, move: StageMove) -> None:
    to = stage_by_id()[move.to]
    if to.id == "close" and context.stage.id != "repair":
        # The last stage can be entered from any other; only the common conditions apply.
        if reasons := list_common_blockers(context.safety):
            raise RuleBroken(*reasons)
        return
    if next_stage(context.stage) != to:
        raise RuleBroken(Reason("one_stage_at_a_time", "A case moves forward one stage at a time."))
    gate = get_stage_gate(context, today=today(), evidence=move.evidence)
    assert gate is not None  # noqa: S101 - there is a stage after this one
    reasons = [*gate.blockers]
    reasons += [
        Reason(check.criterion.id, f"Not met yet: {check.criterion.text}", check.criterion.guidance)
        for check in gate.checks
        if not check.met
    ]
    if reasons:
        raise RuleBroken(*reasons)
    attestable = {check.criterion.id for check in gate.checks if check.attested}
    for criterion, evidence in move.evidence.items():
        if criterion in attestable:
            attest_criterion(actor, context, criterion, evidence)


def attest_criterion(actor: Actor, context: CaseContext, criterion: str, evidence: str) -> None:
    """Save a coach's evidence for a criterion; it replaces any earlier evidence."""
    row = db.session.scalar(
        sa.select(Attestation).where(
            Attestation.case_id == context.case.id, Attestation.criterion == criterion
        )
    )
    if row is None:
        row = Attestation(
            id=new_id(),
            case_id=context.case.id,
            client_id=context.case.client_id,
            criterion=criterion,
            evidence=b"",
            attested_at=now(),
            attested_by=actor.id,
        )
        db.session.add(row)
    sealed = seal(row, "evidence", evidence, context.key)
    assert sealed is not None  # noqa: S101 - the text is not None
    row.evidence, row.attested_at, row.attested_by = sealed, now(), actor.id
    db.session.flush()


def close_case(actor: Actor, case_id: UUID, closing: CaseClosing, expected_version: int) -> None:
    """Close a case with outcome, reason and final screening, and create the check-ins that follow.

    A case cannot be closed while a safety hold is open. Without a final screening, only a supervisor can close it when
    the last level was above watch. After a closing apart the client must be screened again within seven days, because
    loss of hope is a time of risk. Raises NotFound, RuleBroken or Stale.
    """
    require(actor, Action.CASE_CLOSE)
    case = get_case(actor, case_id)
    lock_client(case.client_id)
    if case.status != "open":
        raise RuleBroken(Reason("case_closed", "This case is already closed."))
    safety = get_safety_state(case.client_id)
    if safety.hold == "safety":
        raise RuleBroken(
            Reason(
                "hold_open",
                "A case can't be closed while a safety hold is open.",
                "Ask your supervisor to release the hold first.",
            )
        )
    if closing.final_screening == "done" and not (
        safety.last_screening and safety.last_screening.full and safety.is_recent
    ):
        raise RuleBroken(
            Reason(
                "final_screening",
                "There is no full screening from the last 14 days.",
                "Record the final screening, or say why it is not possible.",
            )
        )
    if (
        closing.final_screening == "not_possible"
        and (safety.highest_level or 0) > 1
        and not actor.may(Action.HOLD_RELEASE)
    ):
        raise RuleBroken(
            Reason(
                "supervisor_needed",
                "In the last screening, at least one level was above Watch, so only a supervisor can "
                "close this case.",
                "Ask your supervisor to close it.",
            )
        )
    key = get_client_key(case.client_id)
    set_committed_value(case, "version", expected_version)
    moment = now()
    from_stage = case.stage
    case.status = "closed"
    case.stage = "close"
    case.closed_at = case.updated_at = moment
    case.outcome = closing.outcome
    case.close_reason = closing.reason
    case.final_screening = closing.final_screening
    case.follow_up_on = closing.follow_up_on if closing.follow_up_consent else None
    db.session.flush()
    tasks = {}
    if closing.outcome in OUTCOMES_APART:
        tasks["close_screening"] = moment + timedelta(days=7)
    if case.follow_up_on:
        tasks["close_check_in"] = moment + (case.follow_up_on - today())
    create_required_followups(
        actor,
        case.client_id,
        tasks,
        assigned_to=case.coach_id,
        origin_kind="case",
        origin_id=case.id,
    )
    _record_event(
        actor, case, "closed", from_stage, "close", closing.not_screened_reason or None, key
    )
    record(
        actor,
        Action.CASE_CLOSE,
        "case",
        case.id,
        client_id=case.client_id,
        details={"outcome": closing.outcome, "reason": closing.reason},
    )


def reopen_case(actor: Actor, case_id: UUID, reason: str, expected_version: int) -> None:
    """Reopen a closed case in stage `steady`; the client's holds and flags are unchanged.

    Raises NotFound, RuleBroken when the client has an open case, or Stale.
    """
    require(actor, Action.CASE_REOPEN)
    case = get_case(actor, case_id)
    lock_client(case.client_id)
    if case.status != "closed":
        raise RuleBroken(Reason("case_open", "This case is already open."))
    if _find_open_case_id(case.client_id):
        raise RuleBroken(
            Reason("case_open", "This client already has an open case.", "Continue in that case.")
        )
    key = get_client_key(case.client_id)
    set_committed_value(case, "version", expected_version)
    moment = now()
    case.status = "open"
    case.stage = "steady"
    case.stage_since = case.updated_at = moment
    case.closed_at = case.outcome = case.close_reason = case.final_screening = None
    case.follow_up_on = None
    db.session.flush()
    _record_event(actor, case, "reopened", "close", "steady", reason, key)
    record(actor, Action.CASE_REOPEN, "case", case.id, client_id=case.client_id)


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
