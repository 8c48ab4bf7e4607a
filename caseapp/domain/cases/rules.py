"""Rules about cases: stage gates and moves, closing, reopening and flags. Pure functions.

A `list_…` function names the reasons for a page, from any context. A `check_…` function decides a change, so it takes a
locked record: what it decides by can't change before the change is committed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from caseapp.core.errors import Invalid, Reason, refuse_for
from caseapp.core.permissions import Action
from caseapp.domain.cases.facts import OUTCOMES_APART
from caseapp.domain.cases.stages import criteria_between, next_stage, stage_by_id
from caseapp.domain.clients.rules import CONTACT_BARRING_FLAGS
from caseapp.domain.screening.protocol import ITEMS_BY_KEY, SCREENING_VALIDITY, Level
from caseapp.domain.screening.rules import has_two_steady_screenings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from caseapp.core.actor import Actor
    from caseapp.domain.cases.queries import CaseContext, LockedCase
    from caseapp.domain.cases.schemas import CaseClosing, StageMove
    from caseapp.domain.cases.stages import Criterion, Stage
    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.screening.queries import SafetyState
    from caseapp.domain.screening.schemas import ScreeningRecord


CASE_NUMBER = re.compile(r"C-\d{4}-\d{4,}", re.ASCII | re.IGNORECASE)
SCREENING_OF_THE_DAY = Reason(
    "screening_of_the_day",
    "The couple stays apart, and the client has not been screened today. Risk is higher when a client loses hope.",
    "Record a full screening today, then close the case. If you can’t reach the client, choose “Lost contact”.",
)
CASE_CLOSED = Reason("case_closed", "This case is closed.", "Reopen it first.")


@dataclass(frozen=True)
class Progress:
    """What a stage gate looks at besides the case: the latest screenings, and the coach's evidence by criterion.

    The screenings are newest first.
    """

    screenings: tuple[ScreeningRecord, ...]
    evidence: Mapping[str, str]


@dataclass(frozen=True)
class CriterionCheck:
    """A criterion with its result, and the coach's evidence where a coach attests it."""

    criterion: Criterion
    met: bool
    evidence: str = ""

    @property
    def attested(self) -> bool:
        """Tell whether a coach attests this criterion; the others are computed."""
        return not self.criterion.check


@dataclass(frozen=True)
class StageGate:
    """What a move to the next stage requires, and what is still missing."""

    to: Stage
    checks: tuple[CriterionCheck, ...]
    blockers: tuple[Reason, ...]

    @property
    def is_open(self) -> bool:
        """Tell whether the case can move on."""
        return not self.blockers and all(check.met for check in self.checks)


def make_case_number(year: int, serial: int) -> str:
    """Make the number of a year's so many-eth case, such as C-2026-0042."""
    return f"C-{year}-{serial:04d}"


def is_case_number(text: str) -> bool:
    """Tell whether a search is for a case number; case and spaces around it don't matter."""
    return CASE_NUMBER.fullmatch(text.strip()) is not None


def assess_stage_gate(
    context: CaseContext, to: Stage, progress: Progress, today: date
) -> StageGate:
    """Assess each criterion of a move forward to `to`.

    Three conditions apply to every move: no open hold, a screening at most 14 days old, and no question of it left
    unasked. The other criteria belong to the stages.
    """
    checks = []
    for criterion in criteria_between(context.stage, to):
        if criterion.check:
            met = is_criterion_met(criterion.check, context, progress.screenings, today)
            checks.append(CriterionCheck(criterion, met))
        else:
            text = progress.evidence.get(criterion.id, "")
            checks.append(CriterionCheck(criterion, bool(text), text))
    return StageGate(to, tuple(checks), tuple(list_common_blockers(context.safety)))


def list_move_blockers(
    context: CaseContext, progress: Progress, move: StageMove, today: date
) -> list[Reason]:
    """List why a case can't be moved; a move back to an earlier stage is always possible.

    The last stage can be entered from any other; only the common conditions apply then.
    """
    here, to = context.stage, stage_by_id()[move.to]
    if context.case.status != "open":
        return [CASE_CLOSED]
    if to == here:
        return [
            Reason("same_stage", f"The case is already in {here.title}.", "Choose another stage.")
        ]
    if to.number < here.number:
        return []
    if to != next_stage(here):
        if to.id == "close":
            return list_common_blockers(context.safety)
        return [
            Reason(
                "one_stage_at_a_time",
                "A case moves forward one stage at a time.",
                "Choose the next stage.",
            )
        ]
    progress = replace(progress, evidence={**progress.evidence, **move.evidence})
    gate = assess_stage_gate(context, to, progress, today)
    return [
        *gate.blockers,
        *(
            Reason(
                check.criterion.id,
                f"Not met yet: {check.criterion.text}",
                check.criterion.guidance,
            )
            for check in gate.checks
            if not check.met
        ),
    ]


def check_move(case: LockedCase, progress: Progress, move: StageMove, today: date) -> None:
    """Check that a case can be moved.

    Raises RuleBroken with every unmet condition, and Invalid for a move back without a reason.
    """
    refuse_for(list_move_blockers(case, progress, move, today))
    if stage_by_id()[move.to].number < case.stage.number and not move.reason:
        raise Invalid({"reason": ["Say why you are moving the case back."]})


def list_attested(case: CaseContext, move: StageMove) -> dict[str, str]:
    """Return the coach's evidence for the criteria of a move to the next stage; other texts are left out."""
    to = stage_by_id()[move.to]
    if to != next_stage(case.stage):
        return {}
    return {
        criterion.id: move.evidence[criterion.id]
        for criterion in criteria_between(case.stage, to)
        if not criterion.check and criterion.id in move.evidence
    }


def check_open(_client: LockedClient, *, has_open_case: bool) -> None:
    """Check that a case can be opened for a client.

    Raises RuleBroken when they have an open one.
    """
    if has_open_case:
        refuse_for(
            [
                Reason(
                    "case_open",
                    "This client already has an open case.",
                    "Continue in that case, or close it first.",
                )
            ]
        )


def list_closing_blockers(
    context: CaseContext, closing: CaseClosing, *, may_release_holds: bool, screened_today: bool
) -> list[Reason]:
    """List why a case can't be closed this way; `screened_today` tells whether there is a full screening of today.

    It can't while a safety hold is open. It needs a full screening of the last 14 days; where none is possible, only
    somebody who may release holds can close a case whose last screening was above watch. A closing apart needs a full
    screening of the same day, since loss of hope is a risk moment, and a second one within seven days, which is a
    required action. Content map, section (d), stage 7. Awaiting clinical sign-off.
    """
    if context.case.status != "open":
        return [
            Reason(
                "case_closed", "This case is already closed.", "Reopen it to close it another way."
            )
        ]
    safety, reasons = context.safety, []
    if safety.hold == "safety":
        reasons.append(
            Reason(
                "hold_open",
                "A case can't be closed while a safety hold is open.",
                "Ask your supervisor to release the hold first.",
            )
        )
    if closing.outcome in OUTCOMES_APART:
        if not screened_today:
            reasons.append(SCREENING_OF_THE_DAY)
    elif closing.final_screening == "done" and not has_final_screening(safety):
        reasons.append(
            Reason(
                "final_screening",
                "There is no full screening from the last 14 days.",
                "Record the final screening, or say why it is not possible.",
            )
        )
    above_watch = (safety.highest_level or 0) > Level.WATCH
    if closing.final_screening == "not_possible" and above_watch and not may_release_holds:
        reasons.append(
            Reason(
                "supervisor_needed",
                "In the last screening, at least one level was above Watch, so only a supervisor can "
                "close this case.",
                "Ask your supervisor to close it.",
            )
        )
    return reasons


def check_close(
    actor: Actor, case: LockedCase, closing: CaseClosing, *, screened_today: bool
) -> None:
    """Check that the actor can close a case this way.

    Raises RuleBroken with every reason.
    """
    may_release_holds = actor.may(Action.HOLD_RELEASE)
    refuse_for(
        list_closing_blockers(
            case, closing, may_release_holds=may_release_holds, screened_today=screened_today
        )
    )


def check_reopen(case: LockedCase, *, has_open_case: bool) -> None:
    """Check that a closed case can be reopened; `has_open_case` tells whether its client has an open one.

    Raises RuleBroken.
    """
    if case.case.status != "closed":
        refuse_for([Reason("case_open", "This case is already open.", "Continue in it.")])
    if has_open_case:
        refuse_for(
            [Reason("case_open", "This client already has an open case.", "Continue in that case.")]
        )


def check_clear_case_flag(
    _case: LockedCase, kind: str, facts: Mapping[str, Mapping[str, Any]]
) -> None:
    """Check that a flag of this kind can be cleared; content map, section (d).

    `facts` are those of every case of the client, by the case's number, closed ones too: an order doesn't end with a
    case. Raises RuleBroken for the contact block while a case has an order or the spouse's wish for no contact.
    """
    if kind != "contact_block":
        return
    reasons = []
    for number, found in facts.items():
        if _has_order(found):
            reasons.append(
                Reason(
                    "order_in_force",
                    f"The contact block can't be cleared while an order is in force (case {number}).",
                    "When the order has ended, update it under Details of that case first.",
                )
            )
        if _is_no_contact_asked(found):
            reasons.append(
                Reason(
                    "no_contact_asked",
                    f"The contact block can't be cleared while the spouse wants no contact (case {number}).",
                    "If the spouse has said otherwise, update it under Details of that case first.",
                )
            )
    refuse_for(reasons)


def _has_order(facts: Mapping[str, Any]) -> bool:
    return bool(facts.get("order", "none") != "none")


def _is_no_contact_asked(facts: Mapping[str, Any]) -> bool:
    return bool(facts.get("spouse_contact_wish") == "asked_for_none")


def sets_contact_block(facts: Mapping[str, Any]) -> bool:
    """Tell whether a case's facts set the contact block: an order, or the spouse asked for no contact.

    Content map, section (d).
    """
    return _has_order(facts) or _is_no_contact_asked(facts)


def list_common_blockers(safety: SafetyState) -> list[Reason]:
    """List which of the three conditions for every move forward are not met."""
    reasons = []
    if safety.hold:
        reasons.append(
            Reason(
                "hold_open",
                f"A {safety.hold} hold is open, so coaching is paused.",
                "The hold page lists what is still to do.",
            )
        )
    if safety.last_screening is None:
        reasons.append(
            Reason("never_screened", "There is no screening yet.", "Record a full screening.")
        )
        return reasons
    if not safety.is_recent:
        days = (safety.as_of - safety.last_screening.session_at).days
        reasons.append(
            Reason(
                "screening_old",
                f"The last screening is {days} days old; the limit is {SCREENING_VALIDITY.days}."
                if days >= 0
                else "The time of the last screening is in the future.",
                "Record a full screening.",
            )
        )
    unknown = [
        ITEMS_BY_KEY[key].label
        for key, level in safety.last_screening.levels.items()
        if level is None
    ]
    if unknown:
        reasons.append(
            Reason(
                "screening_incomplete",
                f"Not asked in the last screening: {', '.join(unknown)}.",
                "Ask these questions and record a full screening.",
            )
        )
    return reasons


def has_final_screening(safety: SafetyState) -> bool:
    """Tell whether the last screening is full and at most 14 days old."""
    return safety.last_screening is not None and safety.last_screening.full and safety.is_recent


def is_criterion_met(
    check: str, context: CaseContext, screenings: Sequence[ScreeningRecord], today: date
) -> bool:
    """Compute the criterion named `check`.

    Raises LookupError for an unknown name.
    """
    case, safety = context.case, context.safety
    if check == "consent_and_safe_contact":
        return context.client.consent_on is not None and bool(context.client.safe.channels)
    if check == "first_full_screening":
        return any(screening.full for screening in screenings)
    if check == "two_steady_screenings":
        return has_two_steady_screenings(screenings)
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
            and screening.is_current(safety.as_of)
            for screening in screenings
        )
    if check == "no_contact_block":
        return CONTACT_BARRING_FLAGS.isdisjoint(safety.flags)
    if check == "spouse_contact_open":
        return bool(context.facts.get("spouse_contact_wish") == "open")
    if check == "final_screening":
        return has_final_screening(safety)
    raise LookupError(f"There is no criterion named {check}.")
