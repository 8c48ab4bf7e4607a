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
from caseapp.core.schemas import explain_too_short
from caseapp.domain.cases.facts import OUTCOMES_APART
from caseapp.domain.cases.schemas import ASK_MOVE_REASON, LEAST_REASON, StageMove
from caseapp.domain.cases.stages import (
    criteria_between,
    first_stage_with_contact,
    next_stage,
    stage_by_id,
    stages,
)
from caseapp.domain.clients.rules import CONTACT_BARRING_FLAGS
from caseapp.domain.screening.protocol import (
    FEAR_AT_HOME,
    ITEMS,
    ITEMS_BY_KEY,
    SCREENING_VALIDITY,
    Level,
)
from caseapp.domain.screening.rules import has_two_steady_screenings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from caseapp.core.actor import Actor
    from caseapp.domain.cases.queries import CaseContext, LockedCase
    from caseapp.domain.cases.schemas import CaseClosing
    from caseapp.domain.cases.stages import Criterion, Stage
    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.screening.current import SafetyState
    from caseapp.domain.screening.records import ScreeningRecord


CASE_NUMBER = re.compile(r"C-\d{4}-\d{4,}", re.ASCII | re.IGNORECASE)
SCREENING_OF_THE_DAY = Reason(
    "screening_of_the_day",
    "The couple stays apart, and the client has not been screened today. Risk is higher when a client loses hope.",
    "Record a full screening today, then close the case. If you can’t reach the client, choose “Lost contact”.",
)
FEAR_NOT_ALONE = Reason(
    "fear_not_alone",
    "The client was not alone when you last asked about fear at home, so the answer doesn’t count.",
    "Ask about it again when the client is alone, and record the screening as asked alone.",
)
CASE_CLOSED = Reason("case_closed", "This case is closed.", "Reopen it first.")


@dataclass(frozen=True)
class Progress:
    """What a stage gate looks at besides the case: the screenings, and the coach's evidence by criterion.

    The screenings are in the order of recording, newest first.
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

    Two conditions apply to every move: no open hold, and every question asked at most 14 days ago, fear at home when
    the client was alone. The other criteria belong to the stages.
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


CONTACT_BARRED_REASON = "Contact with the spouse is blocked for now."


def propose_move_back(context: CaseContext) -> StageMove | None:
    """Propose a move back when contact is barred and the case is in a stage about contact; None otherwise.

    The reason says nothing about why contact is barred. Content map, section (d), stages 4 to 6.
    """
    first = first_stage_with_contact()
    if context.case.status != "open" or not first.number <= context.stage.number < len(stages()):
        return None
    if CONTACT_BARRING_FLAGS.isdisjoint(context.safety.flags):
        return None
    before = stages()[first.number - 2]
    return StageMove(before.id, CONTACT_BARRED_REASON, {})


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
        raise Invalid({"reason": [explain_too_short("", ASK_MOVE_REASON, LEAST_REASON)]})


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
    context: CaseContext,
    closing: CaseClosing,
    *,
    may_release_holds: bool,
    screened_today: bool,
    is_contact_lost: bool = False,
    is_coach: bool = True,
) -> list[Reason]:
    """List why a case can't be closed this way; `screened_today` tells whether there is a full screening of today.

    It can't while a safety hold is open, unless a supervisor has decided that contact is lost: then a supervisor who is
    not the case's coach closes it, and the hold stays open. Every question must have been asked in the last 14 days;
    where that is not possible, only somebody who may release holds can close a case with a level above watch. A closing
    apart needs a full screening of the same day, since loss of hope is a risk moment, and a second one within seven
    days, which is a required action. Content map, section (d), stage 7. Awaiting clinical sign-off.
    """
    if context.case.status != "open":
        return [
            Reason(
                "case_closed",
                "This case is already closed.",
                "To change how it was closed, reopen it first.",
            )
        ]
    safety = context.safety
    reasons: list[Reason] = []
    if safety.hold == "safety":
        is_second_person = may_release_holds and not is_coach
        reasons += _list_hold_blockers(
            closing, is_second_person=is_second_person, is_contact_lost=is_contact_lost
        )
    if closing.outcome in OUTCOMES_APART and not screened_today:
        reasons.append(SCREENING_OF_THE_DAY)
    elif closing.final_screening == "done" and not safety.is_complete:
        missing = [*safety.unasked, *safety.outdated]
        reasons.append(
            Reason(
                "final_screening",
                _describe_outdated(missing) if missing else FEAR_NOT_ALONE.message,
                "Record the final screening, or say why it is not possible.",
            )
        )
    above_watch = (safety.highest_level or 0) > Level.WATCH
    if closing.final_screening == "not_possible" and above_watch and not may_release_holds:
        reasons.append(
            Reason(
                "supervisor_needed",
                "At least one level is above Watch, so only a supervisor can close this case.",
                "Ask your supervisor to close it.",
            )
        )
    return reasons


def _list_hold_blockers(
    closing: CaseClosing, *, is_second_person: bool, is_contact_lost: bool
) -> Iterator[Reason]:
    """List why a case with an open safety hold can't be closed this way."""
    if closing.outcome != "lost_contact":
        yield Reason(
            "hold_open",
            "A case can’t be closed while a safety hold is open.",
            "Ask your supervisor to release the hold first. If you have lost contact with the client, a supervisor "
            "can close the case for that reason.",
        )
        return
    if not is_contact_lost:
        yield Reason(
            "contact_not_lost",
            "No supervisor has decided yet that contact with this client is lost.",
            "Keep trying to reach the client. After a welfare check and three more attempts, a supervisor can record "
            "it under Required actions.",
        )
    if closing.final_screening != "not_possible":
        yield Reason(
            "contact_lost",
            "When contact is lost, a final screening isn’t possible.",
            "Under Final screening, choose “Not possible”, and write why.",
        )
    if not is_second_person:
        yield Reason(
            "second_person_needed",
            "While a safety hold is open, a case must be closed by a supervisor who isn’t its coach.",
            "Ask another supervisor to close it.",
        )


def check_close(
    actor: Actor,
    case: LockedCase,
    closing: CaseClosing,
    *,
    screened_today: bool,
    is_contact_lost: bool = False,
) -> None:
    """Check that the actor can close a case this way.

    Raises RuleBroken with every reason.
    """
    may_release_holds = actor.may(Action.HOLD_RELEASE)
    refuse_for(
        list_closing_blockers(
            case,
            closing,
            may_release_holds=may_release_holds,
            screened_today=screened_today,
            is_contact_lost=is_contact_lost,
            is_coach=actor.id == case.case.coach_id,
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
                    f"The contact block can’t be cleared while an order is in force (case {number}).",
                    "When the order has ended, update it under Details of that case first.",
                )
            )
        if _is_no_contact_asked(found):
            reasons.append(
                Reason(
                    "no_contact_asked",
                    f"The contact block can’t be cleared while the spouse wants no contact (case {number}).",
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
    """List which of the conditions for every move forward are not met; a reason names the items it is about.

    Content map, section (e), "What the app must enforce", number 3.
    """
    reasons = []
    if safety.hold:
        reasons.append(
            Reason(
                "hold_open",
                f"A {safety.hold} hold is open, so coaching is paused.",
                "The hold page lists what is still to do.",
            )
        )
    if not safety.answers:
        reasons.append(
            Reason("never_screened", "There is no screening yet.", "Record a full screening.")
        )
        return reasons
    if safety.unasked:
        reasons.append(
            Reason(
                "screening_incomplete",
                f"Not asked yet: {_list_labels(safety.unasked)}.",
                "Ask these questions and record the screening.",
            )
        )
    if FEAR_AT_HOME in safety.answers and not safety.fear_known:
        reasons.append(FEAR_NOT_ALONE)
    if safety.outdated:
        reasons.append(
            Reason(
                "screening_old",
                _describe_outdated(safety.outdated),
                "Ask these questions again and record the screening.",
            )
        )
    return reasons


def _list_labels(keys: Sequence[str]) -> str:
    return ", ".join(ITEMS_BY_KEY[key].label for key in keys)


def _describe_outdated(keys: Sequence[str]) -> str:
    if len(keys) == len(ITEMS):
        return f"No question was asked in the last {SCREENING_VALIDITY.days} days."
    return f"Not asked in the last {SCREENING_VALIDITY.days} days: {_list_labels(keys)}."


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
        return has_two_steady_screenings(screenings, safety.as_of)
    if check == "goal_chosen":
        return case.goal_chosen_on is not None and (
            case.goal != "undecided" or case.review_date is not None
        )
    if check == "review_date_set":
        return case.review_date is not None and case.review_date >= today
    if check == "private_safety_screen":
        return safety.fear_known and safety.answers[FEAR_AT_HOME].is_current(safety.as_of)
    if check == "no_contact_block":
        return CONTACT_BARRING_FLAGS.isdisjoint(safety.flags)
    if check == "spouse_contact_open":
        return bool(context.facts.get("spouse_contact_wish") == "open")
    if check == "final_screening":
        return safety.is_complete
    raise LookupError(f"There is no criterion named {check}.")
