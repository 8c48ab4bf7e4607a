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
from caseapp.domain.screening.protocol import LEVEL_RULES, Level
from caseapp.domain.screening.records import CLOCK_SKEW, Answer
from caseapp.domain.screening.rules import derive_flags
from caseapp.domain.screening.state import fold, list_screenings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from caseapp.core.actor import Actor
    from caseapp.domain.screening.events import RecordedEvent
    from caseapp.domain.screening.history import SafetyHistory
    from caseapp.domain.screening.queries import LockedScreening
    from caseapp.domain.screening.records import Hold, ScreeningRecord
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
    f"You did not record this screening within the last {OWN_CORRECTION.seconds // 60} minutes.",
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
    oldest first, and `episodes` those that start an episode of the holds that stay. `restored` are, by kind of hold,
    the answers that count again and demand one that isn't open because of them: it was released after an answer that
    no longer counts. `flags_to_set` are, by kind, the screenings whose answers set flags that aren't active. What
    `asked_again` has are answers that count again and demand something, but no hold: the one in error had taken their
    place.
    """

    before: DerivedState
    holds: list[UUID]
    flags: list[UUID]
    later: list[ScreeningRecord]
    episodes: set[UUID]
    restored: dict[str, dict[str, Answer]]
    flags_to_set: dict[str, UUID]
    asked_again: dict[str, Answer]


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
    # A recording in the future was made by a clock that ran ahead: nobody knows how long ago that was.
    if not -CLOCK_SKEW <= moment - screening.recorded_at <= OWN_CORRECTION:
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
    """Derive what ends when a screening counts for nothing any more, and what has to begin.

    Afterwards the client's state is as strict as the answers that count then demand.
    """
    before = fold(history.events, screening.id)
    standing = {hold.id: _list_standing(hold, screening.id) for hold in before.holds}
    errors = {screening.id, *(each.id for each in history.all_screenings if each.in_error)}
    counting = [
        each
        for _, each in reversed(list_screenings(history.events, errors))
        if each.id not in errors
    ]
    levels = {item: answer.level for item, answer in before.answers.items()}
    setters = {
        flag_id: seq
        for flag_id, (setter, seq) in _find_setters(history.events).items()
        if setter in errors
    }
    flags = [
        flag
        for flag in before.flags
        if flag.id in setters
        and not flag.stands_alone
        and flag.kind not in derive_flags(levels)
        and not any(
            flag.kind in derive_flags(each.counting)
            for each in counting
            if each.seq > setters[flag.id]
        )
    ]
    return Correction(
        before,
        [hold_id for hold_id, reasons in standing.items() if not reasons],
        [flag.id for flag in flags],
        [each for each in reversed(counting) if each.seq > screening.seq],
        _list_episodes(standing.values()),
        _list_restored(before, standing, _list_raised_first(history, counting)),
        _list_flags_to_set(before),
        _list_asked_again(before, fold(history.events), screening.id),
    )


def _list_raised_first(
    history: SafetyHistory, counting: Iterable[ScreeningRecord]
) -> dict[str, Answer]:
    """List the levels, by item, that a circumstance which never expires raises in a later screening than until now."""
    before = {each.id: each.at_least for each in history.screenings}
    return {
        item: Answer(level, each.session_at, each.asked_alone, each.id)
        for each in counting
        for item, level in each.at_least.items()
        if level > before[each.id].get(item, Level.NONE)
    }


def _list_restored(
    state: DerivedState,
    standing: Mapping[UUID, list[tuple[UUID, str, int]]],
    raised: Mapping[str, Answer],
) -> dict[str, dict[str, Answer]]:
    """List, by kind of hold, the answers that demand it and are not among its reasons, at this level or above.

    `raised` are levels that were raised before and now are so by another screening; a later answer may have lowered
    them since, as it would have then.
    """
    demanded = {
        (hold.kind, item, level)
        for hold in state.holds
        for _, item, highest in standing[hold.id]
        for level in range(highest + 1)
    }
    found: dict[str, dict[str, Answer]] = {}
    for item, answer in (*raised.items(), *state.answers.items()):
        kind = LEVEL_RULES[item, answer.level].hold
        if kind and (kind, item, answer.level) not in demanded:
            of_kind = found.setdefault(kind, {})
            if item not in of_kind or answer.level >= of_kind[item].level:
                of_kind[item] = answer
    return found


def _list_asked_again(
    before: DerivedState, after: DerivedState, screening_id: UUID
) -> dict[str, Answer]:
    """List the answers, by item, that count again without a screening and demand follow-ups, but no hold."""
    replaced = [
        item for item, answer in after.answers.items() if answer.screening_id == screening_id
    ]
    found = {item: before.answers[item] for item in replaced if item in before.answers}
    return {
        item: answer
        for item, answer in found.items()
        if LEVEL_RULES[item, answer.level].actions and not LEVEL_RULES[item, answer.level].hold
    }


def _list_flags_to_set(state: DerivedState) -> dict[str, UUID]:
    """List the flags that the answers that count set and that aren't active, each with the screening of an answer."""
    active = {flag.kind for flag in state.flags}
    return {
        kind: answer.screening_id
        for item, answer in state.answers.items()
        for kind in derive_flags({item: answer.level}) - active
    }


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


def _find_setters(events: Iterable[RecordedEvent]) -> dict[UUID, tuple[UUID, int]]:
    """Find, by flag, the screening whose answers set it, and when, by the number of the event.

    The events of what a screening set follow it at once; a flag that was set again after a correction names it.
    """
    found: dict[UUID, tuple[UUID, int]] = {}
    screening: RecordedEvent | None = None
    for event in events:
        if isinstance(event.fact, FlagSet) and event.fact.screening_id:
            found[event.id] = (event.fact.screening_id, event.seq)
        elif isinstance(event.fact, ScreeningRecorded):
            screening = event
        elif not isinstance(event.fact, FlagSet | HoldOpened | HoldRenewed):
            screening = None
        elif screening and isinstance(event.fact, FlagSet) and event.fact.source == "screening":
            found[event.id] = (screening.id, event.seq)
    return found
