"""Rules about screenings that were recorded in error: who may mark one, and what ends with it. Pure functions.

The time limit and who may correct what are product proposals, awaiting sign-off by a licensed clinician.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from caseapp.core.errors import Reason, refuse_for
from caseapp.core.permissions import Action
from caseapp.domain.screening.events import FlagSet, HoldOpened, HoldRenewed, ScreeningRecorded
from caseapp.domain.screening.protocol import Level
from caseapp.domain.screening.rules import derive_flags
from caseapp.domain.screening.state import fold

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from caseapp.core.actor import Actor
    from caseapp.domain.screening.events import RecordedEvent
    from caseapp.domain.screening.queries import LockedScreening, SafetyHistory
    from caseapp.domain.screening.schemas import Hold, ScreeningRecord
    from caseapp.domain.screening.state import DerivedState

OWN_CORRECTION = timedelta(minutes=60)
"""How long after recording a screening the person who did may still mark it as recorded in error."""

ALREADY_IN_ERROR = Reason(
    "already_in_error",
    "This screening is already marked as recorded in error.",
    "Record a new screening with the right answers.",
)
NOT_OWN = Reason(
    "recorded_by_somebody_else",
    "Somebody else recorded this screening.",
    "Ask the person who recorded it, or a supervisor.",
)
TOO_LATE = Reason(
    "correction_too_late",
    f"You recorded this screening more than {OWN_CORRECTION.seconds // 60} minutes ago.",
    "Ask a supervisor who did not record it.",
)
HAS_RESULT = Reason(
    "action_has_result",
    "A required action of this screening already has a result.",
    "Ask a supervisor who did not record it.",
)


@dataclass(frozen=True)
class Correction:
    """What follows when a screening turns out to be recorded in error.

    `before` is the state without its answers. `holds` and `flags` end with it. `later` are the screenings after it, the
    oldest first, and `episodes` those that start an episode of the holds that stay.
    """

    before: DerivedState
    holds: list[UUID]
    flags: list[UUID]
    later: list[ScreeningRecord]
    episodes: set[UUID]


def correction_blockers(
    screening: ScreeningRecord,
    actor_id: UUID,
    moment: datetime,
    *,
    is_supervisor: bool,
    has_result: bool,
) -> list[Reason]:
    """List why somebody can't mark a screening as recorded in error at a moment; empty when they can.

    Whoever recorded it may do so for an hour, as long as no required action of its episode has a result; a supervisor
    who did not record it may do so at any time.
    """
    if screening.in_error:
        return [ALREADY_IN_ERROR]
    if screening.recorded_by != actor_id:
        return [] if is_supervisor else [NOT_OWN]
    reasons = [HAS_RESULT] if has_result else []
    if moment - screening.recorded_at > OWN_CORRECTION:
        reasons.append(TOO_LATE)
    return reasons


def check_correction(actor: Actor, locked: LockedScreening, moment: datetime) -> None:
    """Check that the actor can mark a screening as recorded in error at a moment.

    Raises RuleBroken.
    """
    refuse_for(
        correction_blockers(
            locked.screening,
            actor.id,
            moment,
            is_supervisor=actor.may(Action.HOLD_RELEASE),
            has_result=locked.has_result,
        )
    )


def derive_correction(history: SafetyHistory, screening: ScreeningRecord) -> Correction:
    """Derive what ends when a screening counts for nothing any more, and what has to begin."""
    before = fold(history.events, screening.id)
    standing = {hold.id: _list_standing(hold, screening.id) for hold in before.holds}
    counting = [each for each in history.screenings if each.id != screening.id]
    levels = {item: answer.level for item, answer in before.answers.items()}
    errors = {screening.id, *(each.id for each in history.all_screenings if each.in_error)}
    setters = {
        flag_id: setter.seq
        for flag_id, setter in _find_setters(history.events).items()
        if setter.id in errors
    }
    return Correction(
        before,
        [hold_id for hold_id, reasons in standing.items() if not reasons],
        [
            flag.id
            for flag in before.flags
            if flag.id in setters
            and not flag.stands_alone
            and flag.kind not in derive_flags(levels)
            and not any(
                flag.kind in derive_flags(each.counting)
                for each in counting
                if each.seq > setters[flag.id]
            )
        ],
        [each for each in reversed(counting) if each.seq > screening.seq],
        _list_episodes(standing.values()),
    )


def _list_standing(hold: Hold, screening_id: UUID) -> list[tuple[UUID, str, int]]:
    """List the reasons of a hold that stand without a screening: its id, the item and the level of each."""
    reasons = [(UUID(each["screening"]), each["item"], each["level"]) for each in hold.standing]
    return [reason for reason in reasons if reason[0] != screening_id]


def _list_episodes(holds: Iterable[list[tuple[UUID, str, int]]]) -> set[UUID]:
    """List the screenings that start an episode, by the reasons of the holds in their order."""
    found: set[UUID] = set()
    for reasons in holds:
        known: dict[str, UUID] = {}
        for screening_id, item, level in reasons:
            first = known.setdefault(item, screening_id)
            if level == Level.URGENT or first == screening_id:
                found.add(screening_id)
    return found


def _find_setters(events: Iterable[RecordedEvent]) -> dict[UUID, RecordedEvent]:
    """Find, by flag, the screening whose answers set it: the events of what it set follow it at once."""
    found: dict[UUID, RecordedEvent] = {}
    screening: RecordedEvent | None = None
    for event in events:
        if isinstance(event.fact, ScreeningRecorded):
            screening = event
        elif not isinstance(event.fact, FlagSet | HoldOpened | HoldRenewed):
            screening = None
        elif screening and isinstance(event.fact, FlagSet) and event.fact.source == "screening":
            found[event.id] = screening
    return found
