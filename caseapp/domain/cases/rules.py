"""Rules about stages: what every move forward requires and which criteria are met. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from caseapp.core.errors import Reason
from caseapp.domain.cases.stages import criteria_between
from caseapp.domain.screening.protocol import ITEMS_BY_KEY, SCREENING_VALIDITY
from caseapp.domain.screening.rules import has_two_steady_screenings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from caseapp.domain.cases.queries import CaseContext
    from caseapp.domain.cases.stages import Criterion, Stage
    from caseapp.domain.screening.queries import SafetyState
    from caseapp.domain.screening.schemas import ScreeningRecord


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


def check_stage_gate(
    context: CaseContext,
    to: Stage,
    screenings: Sequence[ScreeningRecord],
    evidence: Mapping[str, str],
    today: date,
) -> StageGate:
    """Check each criterion of a move forward to `to`; `screenings` are the client's latest, newest first.

    `evidence` holds the coach's texts by criterion id. Three conditions apply to every move: no open hold, a screening
    at most 14 days old, and no question of it left unasked. The other criteria belong to the stages.
    """
    checks = []
    for criterion in criteria_between(context.stage, to):
        if criterion.check:
            met = is_criterion_met(criterion.check, context, screenings, today)
            checks.append(CriterionCheck(criterion, met))
        else:
            text = evidence.get(criterion.id, "")
            checks.append(CriterionCheck(criterion, bool(text), text))
    return StageGate(to, tuple(checks), tuple(list_common_blockers(context.safety)))


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
        days = (safety.as_of - safety.last_screening.recorded_at).days
        reasons.append(
            Reason(
                "screening_old",
                f"The last screening is {days} days old; the limit is {SCREENING_VALIDITY.days}.",
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
            and safety.as_of - screening.recorded_at <= SCREENING_VALIDITY
            for screening in screenings
        )
    if check == "no_contact_block":
        return "contact_block" not in safety.flags
    if check == "spouse_contact_open":
        return bool(context.facts.get("spouse_contact_wish") == "open")
    if check == "final_screening":
        return safety.last_screening is not None and safety.last_screening.full and safety.is_recent
    raise LookupError(f"There is no criterion named {check}.")
