"""Done: cases opened, described, moved from stage to stage, closed and reopened."""

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
from caseapp.core.vault import DataKey, open_data, seal, seal_data
from caseapp.domain.audit.operations import record
from caseapp.domain.cases.facts import APART
from caseapp.domain.cases.models import Attestation, Case, CaseCounter, CaseEvent
from caseapp.domain.cases.queries import CaseHead, always_asked, case_head, gate_of, get_case
from caseapp.domain.cases.stages import following, stage_by_id
from caseapp.domain.clients.operations import join_care_team, must_be_theirs
from caseapp.domain.clients.queries import key_of, lock_client, must_see
from caseapp.domain.followups.operations import demand
from caseapp.domain.practice.queries import today
from caseapp.domain.screening.models import Flag
from caseapp.domain.screening.operations import lower_flag, put_flag
from caseapp.domain.screening.queries import safety_of

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from caseapp.domain.cases.schemas import CaseDetails, Closing, Move


def open_case(actor: Actor, client_id: UUID, details: CaseDetails, *, coach_id: UUID) -> UUID:
    """Open a case in stage `steady`; a client has at most one open.

    Raises NotFound, and RuleBroken when another case of this client is open.
    """
    require(actor, Action.CASE_OPEN)
    must_see(actor, client_id)
    lock_client(client_id)
    must_be_theirs(actor, coach_id)
    if _open_case_of(client_id):
        raise RuleBroken(
            Reason(
                "case_open",
                "This client already has an open case.",
                "Go on in that one, or close it first.",
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
        changed_at=moment,
    )
    key = key_of(client_id)
    _fill(case, details, key)
    db.session.add(case)
    join_care_team(coach_id, client_id)
    db.session.flush()
    _flags_from(actor, case, details.facts)
    _event(actor, case, "opened", None, case.stage, None, key)
    record(actor, Action.CASE_OPEN, "case", case.id, client_id=client_id)
    return case.id


def _open_case_of(client_id: UUID) -> UUID | None:
    return db.session.scalar(
        sa.select(Case.id).where(Case.client_id == client_id, Case.status == "open")
    )


def _next_number(moment: datetime) -> str:
    """Count on within the year; the counter's row makes two cases opened at once wait for each other."""
    insert = postgresql.insert if db.engine.dialect.name == "postgresql" else sqlite.insert
    last = db.session.scalar(
        insert(CaseCounter)
        .values(year=moment.year, last=1)
        .on_conflict_do_update(index_elements=["year"], set_={"last": CaseCounter.last + 1})
        .returning(CaseCounter.last)
    )
    return f"C-{moment.year}-{last:04d}"


def change_case(actor: Actor, case_id: UUID, details: CaseDetails, expected_version: int) -> None:
    """Change a case's facts, goal and review date, whole.

    Raises NotFound, or Stale when somebody saved a newer version first.
    """
    require(actor, Action.CASE_EDIT)
    case = get_case(actor, case_id)
    lock_client(case.client_id)
    key = key_of(case.client_id)
    before = open_data(case, "facts", key) or {}
    set_committed_value(case, "version", expected_version)
    _fill(case, details, key)
    case.changed_at = now()
    db.session.flush()
    _flags_from(actor, case, details.facts)
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


def _fill(case: Case, details: CaseDetails, key: DataKey) -> None:
    if details.goal not in {case.goal, "undecided"}:
        case.goal_chosen_on = today()
    elif details.goal == "undecided" and details.review_date is not None:
        case.goal_chosen_on = case.goal_chosen_on or today()
    case.goal = details.goal
    case.review_date = details.review_date
    case.facts = seal_data(case, "facts", details.facts, key)


def _flags_from(actor: Actor, case: Case, facts: dict[str, Any]) -> None:
    """Set the contact block for an order or for a spouse's clear wish; content map, section (d)."""
    if facts.get("order", "none") != "none" or facts.get("spouse_contact_wish") == "asked_for_none":
        put_flag(actor, case.client_id, "contact_block", source="facts")


def lift_flag(actor: Actor, case_id: UUID, flag_id: UUID, reason: str) -> None:
    """Lower a flag of the case's client with a written reason; a supervisor's decision.

    While an order is in force nobody lifts the contact block; content map, section (d). Raises NotFound, RuleBroken.
    """
    head = case_head(actor, case_id)
    flag = db.session.get(Flag, flag_id)
    if flag is None or flag.client_id != head.case.client_id:
        raise NotFound
    if flag.kind == "contact_block" and head.facts.get("order", "none") != "none":
        raise RuleBroken(
            Reason(
                "order_in_force",
                "An order is in force, so the contact block stays.",
                "Once the order has ended, change it under Details first.",
            )
        )
    lower_flag(actor, flag_id, reason)


def move_case(actor: Actor, case_id: UUID, move: Move, expected_version: int) -> None:
    """Move a case to the next stage when its gate is open, or back to an earlier one with a reason.

    Raises NotFound, RuleBroken with every condition that fails, Stale when the case changed meanwhile.
    """
    require(actor, Action.CASE_MOVE)
    head = case_head(actor, case_id)
    lock_client(head.case.client_id)
    case, here, to = head.case, head.stage, stage_by_id()[move.to]
    if case.status != "open":
        raise RuleBroken(Reason("case_closed", "This case is closed.", "Reopen it first."))
    if to.number == here.number:
        raise RuleBroken(Reason("same_stage", f"The case is already in {here.title}."))
    if to.number > here.number:
        _pass_gate(actor, head, move)
    elif not move.reason:
        raise Invalid({"reason": ["Write why the case moves back."]})
    set_committed_value(case, "version", expected_version)
    case.stage = to.id
    case.stage_since = case.changed_at = now()
    db.session.flush()
    _event(actor, case, "moved", here.id, to.id, move.reason or None, head.key)
    record(
        actor,
        Action.CASE_MOVE,
        "case",
        case.id,
        client_id=case.client_id,
        details={"from": here.id, "to": to.id},
    )


def _pass_gate(actor: Actor, head: CaseHead, move: Move) -> None:
    to = stage_by_id()[move.to]
    if to.id == "close" and head.stage.id != "repair":
        # The ending stage can be entered from any other; only what always holds is asked for.
        if reasons := always_asked(head.safety):
            raise RuleBroken(*reasons)
        return
    if following(head.stage) != to:
        raise RuleBroken(Reason("one_stage_at_a_time", "A case moves forward one stage at a time."))
    gate = gate_of(head, today=today(), evidence=move.evidence)
    assert gate is not None  # noqa: S101 - there is a stage after this one
    reasons = [*gate.blocks]
    reasons += [
        Reason(check.criterion.id, check.criterion.text + ": not yet.", check.criterion.how)
        for check in gate.checks
        if not check.met
    ]
    if reasons:
        raise RuleBroken(*reasons)
    attestable = {check.criterion.id for check in gate.checks if check.attested}
    for criterion, line in move.evidence.items():
        if criterion in attestable:
            attest(actor, head, criterion, line)


def attest(actor: Actor, head: CaseHead, criterion: str, line: str) -> None:
    """Keep a coach's line of evidence for one criterion; a new line replaces the old one."""
    row = db.session.scalar(
        sa.select(Attestation).where(
            Attestation.case_id == head.case.id, Attestation.criterion == criterion
        )
    )
    if row is None:
        row = Attestation(
            id=new_id(),
            case_id=head.case.id,
            client_id=head.case.client_id,
            criterion=criterion,
            evidence=b"",
            at=now(),
            by=actor.id,
        )
        db.session.add(row)
    sealed = seal(row, "evidence", line, head.key)
    assert sealed is not None  # noqa: S101 - a line was given
    row.evidence, row.at, row.by = sealed, now(), actor.id
    db.session.flush()


def close_case(actor: Actor, case_id: UUID, closing: Closing, expected_version: int) -> None:
    """Close a case: outcome, reason, final screening, and the check-ins that follow.

    Never while a safety hold is open, and never without a final screening unless the last level was none or watch;
    after a closing apart the client is screened again within seven days, since loss of hope is a moment of risk.
    Raises NotFound, RuleBroken, Stale.
    """
    require(actor, Action.CASE_CLOSE)
    case = get_case(actor, case_id)
    lock_client(case.client_id)
    if case.status != "open":
        raise RuleBroken(Reason("case_closed", "This case is already closed."))
    safety = safety_of(case.client_id)
    if safety.hold == "safety":
        raise RuleBroken(
            Reason(
                "hold_open",
                "A case is not closed while a safety hold is open.",
                "Finish the hold with your supervisor first.",
            )
        )
    if closing.final_screening == "done" and not (
        safety.last and safety.last.full and safety.recent
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
        and (safety.level or 0) > 1
        and not actor.may(Action.HOLD_CLEAR)
    ):
        raise RuleBroken(
            Reason(
                "supervisor_needed",
                "The last screening was above watch, so a supervisor closes this case.",
                "Ask your supervisor to close it.",
            )
        )
    key = key_of(case.client_id)
    set_committed_value(case, "version", expected_version)
    moment = now()
    came_from = case.stage
    case.status = "closed"
    case.stage = "close"
    case.closed_at = case.changed_at = moment
    case.outcome = closing.outcome
    case.close_reason = closing.reason
    case.final_screening = closing.final_screening
    case.follow_up_on = closing.follow_up_on if closing.follow_up_consent else None
    db.session.flush()
    tasks = {}
    if closing.outcome in APART:
        tasks["close_screening"] = moment + timedelta(days=7)
    if case.follow_up_on:
        tasks["close_check_in"] = moment + (case.follow_up_on - today())
    demand(
        actor,
        case.client_id,
        tasks,
        assigned_to=case.coach_id,
        origin_kind="case",
        origin_id=case.id,
    )
    _event(actor, case, "closed", came_from, "close", closing.why_not_screened or None, key)
    record(
        actor,
        Action.CASE_CLOSE,
        "case",
        case.id,
        client_id=case.client_id,
        details={"outcome": closing.outcome, "reason": closing.reason},
    )


def reopen_case(actor: Actor, case_id: UUID, reason: str, expected_version: int) -> None:
    """Reopen a closed case in stage `steady`; holds and flags were never gone.

    Raises NotFound, RuleBroken when it is open or another case of the client is, Stale.
    """
    require(actor, Action.CASE_REOPEN)
    case = get_case(actor, case_id)
    lock_client(case.client_id)
    if case.status != "closed":
        raise RuleBroken(Reason("case_open", "This case is open."))
    if _open_case_of(case.client_id):
        raise RuleBroken(
            Reason("case_open", "This client already has an open case.", "Go on in that one.")
        )
    key = key_of(case.client_id)
    set_committed_value(case, "version", expected_version)
    moment = now()
    case.status = "open"
    case.stage = "steady"
    case.stage_since = case.changed_at = moment
    case.closed_at = case.outcome = case.close_reason = case.final_screening = None
    case.follow_up_on = None
    db.session.flush()
    _event(actor, case, "reopened", "close", "steady", reason, key)
    record(actor, Action.CASE_REOPEN, "case", case.id, client_id=case.client_id)


def _event(
    actor: Actor,
    case: Case,
    kind: str,
    came_from: str | None,
    to: str | None,
    reason: str | None,
    key: DataKey,
) -> None:
    event = CaseEvent(
        id=new_id(),
        case_id=case.id,
        client_id=case.client_id,
        kind=kind,
        from_stage=came_from,
        to_stage=to,
        at=now(),
        by=actor.id,
    )
    event.reason = seal(event, "reason", reason, key)
    db.session.add(event)
    db.session.flush()
