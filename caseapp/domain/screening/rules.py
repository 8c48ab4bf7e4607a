"""Rules about screenings: required actions, holds, flags, the release of a hold. Pure functions over the protocol."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from caseapp.core.errors import Reason, refuse_for
from caseapp.domain.clients.rules import MUST_NOT_SEE, is_contact_frozen
from caseapp.domain.followups.codes import TASK_LABELS
from caseapp.domain.protocol.file import PROTOCOL
from caseapp.domain.protocol.rules import due_at, not_before
from caseapp.domain.screening.protocol import (
    CIRCUMSTANCES,
    FEAR_AT_HOME,
    IMMEDIATE_STEPS,
    ITEMS_BY_KEY,
    LEVEL_LABELS,
    LEVEL_RULES,
    SCREENING_VALIDITY,
    SHORTEST_REASON,
    STEADY_INTERVAL,
    STEEP_FALL,
    Level,
)
from caseapp.domain.screening.records import merge_levels

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from caseapp.core.actor import Actor
    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.screening.queries import LockedHold
    from caseapp.domain.screening.records import Answer, Flag, Hold, ScreeningRecord
    from caseapp.domain.screening.schemas import NewScreening
    from caseapp.domain.screening.state import DerivedState

NOTHING: Mapping[str, int] = {}
NO_DELAY = timedelta(0)
NO_DELAYS: Mapping[UUID, timedelta] = {}
SESSION_IN_FUTURE = "This session is in the future. Enter the time when it began."
ALREADY_RELEASED = Reason(
    "already_released",
    "This hold has already been released.",
    "Record a screening if there is a new concern.",
)
ALREADY_CLEARED = Reason(
    "already_cleared",
    "This flag has already been cleared.",
    "Set it again under Details if it still applies.",
)

SET_BY_ANSWERS = Reason(
    "set_by_answers",
    "This flag can’t be cleared yet, because an answer that counts now still requires it.",
    "Ask about it again when the client is alone, and record the screening.",
)
SAFETY_HOLD_OPEN = Reason(
    "safety_hold_open",
    "A flag that was set by a screening can’t be cleared while a safety hold is open.",
    "Release the hold first. The hold page lists what is still to do.",
)
CONTACT_NOT_CONFIRMED = Reason(
    "contact_not_confirmed",
    "This flag can’t be cleared before the client has confirmed in person which ways of contact are safe.",
    "Ask the client in person, with nobody else present, and confirm the safe ways of contact under Details.",
)

NOT_A_SUPERVISOR = Reason(
    "not_a_supervisor",
    "Only a supervisor with an active account can release a hold.",
    "Choose another supervisor.",
)
RECORDED_SCREENING = Reason(
    "recorded_screening",
    "This supervisor recorded one of the screenings that the hold depends on.",
    "Choose another supervisor.",
)


@dataclass(frozen=True)
class HoldScreenings:
    """The screenings that the release of a hold depends on, newest first, and the level of each item that counts now.

    `raising` are those that opened or renewed the hold. `since` are those that were recorded after them, in time, and
    about a session that was not before theirs. `withdrawn` opened or renewed it too, and were recorded in error.
    `restored_at` is when an answer of one of them began to count again, because a later one was recorded in error.
    `delays` say by how much the clock was behind when some of them were recorded.
    """

    raising: tuple[ScreeningRecord, ...]
    since: tuple[ScreeningRecord, ...]
    levels: Mapping[str, int]
    withdrawn: tuple[ScreeningRecord, ...] = ()
    restored_at: datetime | None = None
    delays: Mapping[UUID, timedelta] = field(default_factory=dict)

    @property
    def began_at(self) -> datetime:
        """Return when the last episode began."""
        last = self.raising[0]
        recorded_at = last.recorded_at + self.delays.get(last.id, NO_DELAY)
        return max(recorded_at, self.restored_at) if self.restored_at else recorded_at


@dataclass(frozen=True)
class RequiredActions:
    """What a screening requires: holds with the items that open them, flags to set, tasks with due times."""

    holds: dict[str, list[str]]
    flags: set[str]
    tasks: dict[str, datetime]


def derive_required_actions(levels: Mapping[str, int | None], moment: datetime) -> RequiredActions:
    """Derive what the protocol requires for these levels.

    `moment` is when the screening is recorded, in the practice's time zone, in which working days are counted.

    The protocol says what a level requires. Content map, section (e), "Protocol by level".
    """
    holds: dict[str, list[str]] = {}
    kinds: set[str] = set()
    for key, level in levels.items():
        if level is None:
            continue
        rule = LEVEL_RULES[key, level]
        if rule.hold:
            holds.setdefault(rule.hold, []).append(key)
        kinds.update(rule.actions)
    tasks = {kind: due_at(kind, moment) for kind in TASK_LABELS if kind in kinds}
    return RequiredActions(holds, derive_flags(levels), tasks)


def list_stated(
    new: NewScreening,
    *,
    before: Mapping[str, int] = NOTHING,
    known: Container[str] = (),
    repeats: Container[str] = (),
) -> tuple[dict[str, int], dict[str, int]]:
    """List, by item, the levels that circumstances raise in a screening, and all levels that require something.

    A circumstance also raises an answer that was given `before` and counts until now. `known` are the circumstances
    that were ticked before: one that never expires raises nothing the second time. What the note has recorded already
    requires nothing more; `repeats` names its answers and circumstances.
    """
    answers = merge_levels(new.levels)
    stated = {key: level for key, level in answers.items() if key not in repeats}
    counting = {**before, **answers}
    at_least: dict[str, int] = {}
    required = stated
    for key in new.circumstances:
        is_repeat = key in repeats
        if CIRCUMSTANCES[key].never_expires and key in known and not is_repeat:
            continue
        for rule in CIRCUMSTANCES[key].raises:
            if rule.when is not None and counting.get(rule.item, Level.NONE) < rule.when:
                continue
            level = {rule.item: int(rule.level)}
            at_least = merge_levels(at_least, level)
            if not is_repeat or (rule.when is not None and rule.item in stated):
                required = merge_levels(required, level)
    return at_least, required


def list_ever_at_least(
    new: NewScreening,
    *,
    before: Mapping[str, int] = NOTHING,
    known: Container[str] = (),
    repeats: Container[str] = (),
) -> dict[str, dict[str, int]]:
    """List the levels that circumstances would raise in a screening if they had not been ticked before.

    By circumstance and item, for those that never expire and raise nothing the second time; otherwise as `list_stated`.
    """
    again = [
        key
        for key in new.circumstances
        if CIRCUMSTANCES[key].never_expires and key in known and key not in repeats
    ]
    return {key: list_stated(replace(new, circumstances=(key,)), before=before)[0] for key in again}


def list_steep_falls(
    before: Mapping[str, Answer], after: Mapping[str, Answer]
) -> dict[str, tuple[int, int]]:
    """List the items whose level falls by two steps or more, or from urgent, with the two levels.

    Content map, section (e): "Rating below the anchor needs a written reason". Awaiting clinical sign-off.
    """
    found = {}
    for item, answer in after.items():
        old = before[item].level if item in before else answer.level
        if old - answer.level >= STEEP_FALL or answer.level < old == Level.URGENT:
            found[item] = (old, answer.level)
    return found


def explain_missing_reason(falls: Mapping[str, tuple[int, int]]) -> str:
    """Say for which items a reason is missing, with the levels before and now."""
    named = ", ".join(
        f"{ITEMS_BY_KEY[item].label} (from {LEVEL_LABELS[Level(old)]} to {LEVEL_LABELS[Level(new)]})"
        for item, (old, new) in falls.items()
    )
    return f"Write in {SHORTEST_REASON} characters or more why the level is so much lower than before: {named}."


def starts_episode(
    levels: Mapping[str, int | None],
    holds: Mapping[str, Iterable[str]],
    known: Mapping[str, Collection[str]],
) -> bool:
    """Tell whether answers that open or renew a hold start an episode, with a clock and required actions of its own.

    `holds` are the items that demand each kind of hold, `known` those for which a hold of a kind is open already. An
    urgent answer always starts an episode; a concern does so when it is new.
    """
    return any(
        levels[key] == Level.URGENT or key not in known.get(kind, ())
        for kind, keys in holds.items()
        for key in keys
    )


def list_episodes(hold: Hold) -> set[UUID]:
    """List the screenings that opened or renewed a hold; among them are the episodes inside it, also those in error."""
    return {UUID(reason["screening"]) for reason in hold.reasons}


def derive_flags(levels: Mapping[str, int | None]) -> set[str]:
    """Derive the flags that these levels set."""
    return {
        flag.key
        for flag in PROTOCOL.flags
        if any((levels.get(item) or Level.NONE) >= level for item, level in flag.set_by)
    }


def opens_safety_hold(key: str, level: int | None) -> bool:
    """Tell whether this answer alone opens a safety hold."""
    return level is not None and LEVEL_RULES[key, level].hold == "safety"


def list_opening_circumstances(
    answers: Mapping[str, Answer], known: Container[str] = ()
) -> set[str]:
    """List the circumstances that open a safety hold when they are ticked.

    `answers` are those that count, for circumstances that raise only some levels. `known` were ticked before: one of
    them that never expires raises nothing the second time.
    """
    levels = {item: answer.level for item, answer in answers.items()}
    return {
        key
        for key, found in CIRCUMSTANCES.items()
        if not (found.never_expires and key in known)
        and any(
            opens_safety_hold(rule.item, rule.level)
            for rule in found.raises
            if rule.when is None or levels.get(rule.item, Level.NONE) >= rule.when
        )
    }


def list_immediate_steps(levels: Mapping[str, int | None]) -> list[str]:
    """List what to do at once for answers that open a safety hold, safety items first."""
    keys = [key for key, level in levels.items() if opens_safety_hold(key, level)]
    found: list[str] = []
    for key in sorted(keys, key=lambda key: not ITEMS_BY_KEY[key].safety):
        found += [step for step in IMMEDIATE_STEPS[key] if step not in found]
    return found


def highest_level(levels: Mapping[str, int | None]) -> int | None:
    """Return the highest answered level, or None when nothing was asked."""
    return max((level for level in levels.values() if level is not None), default=None)


def has_two_steady_screenings(
    screenings: Iterable[ScreeningRecord],
    moment: datetime,
    delays: Mapping[UUID, timedelta] = NO_DELAYS,
) -> bool:
    """Tell whether two steady screenings at least seven days apart exist with nothing above watch since the first.

    They are about sessions at least seven days apart, none of them after `moment`. A steady screening counts only when
    it was recorded after every one with a level above watch, and is not about an older session. `delays` say by how
    much the clock was behind when some were recorded. Content map, section (e), "Recovered".
    """
    found = [*screenings]
    bad = [one for one in found if one.above_watch]
    sessions = [
        one.session_at + delays.get(one.id, NO_DELAY)
        for one in found
        if one.steady
        and one.session_at <= moment
        and not any(other.seq > one.seq or one.is_older_than(other.session_at) for other in bad)
    ]
    return bool(sessions) and max(sessions) - min(sessions) >= STEADY_INTERVAL


def find_newest_full(screenings: Sequence[ScreeningRecord]) -> ScreeningRecord | None:
    """Find the full screening about the newest session; `screenings` are those recorded last first."""
    newest: ScreeningRecord | None = None
    for one in reversed(screenings):
        if one.full and (newest is None or not one.is_older_than(newest.session_at)):
            newest = one
    return newest


def check_release(actor: Actor, locked: LockedHold, moment: datetime) -> None:
    """Check that the actor can release a hold at a moment.

    Raises RuleBroken with every blocker.
    """
    if locked.hold.released_at is not None:
        refuse_for([ALREADY_RELEASED])
    refuse_for(
        release_blockers(locked.hold, locked.screenings, locked.open_kinds, actor.id, moment)
    )


def check_clear_flag(client: LockedClient, flag: Flag, state: DerivedState) -> None:
    """Check that a client's flag can be cleared; `state` is the client's current one.

    A flag stays as long as an answer that counts now sets it. One that answers have set stays also while a safety hold
    is open, and so does one that a reason of the hold sets, even if a person had set it before. One that makes sending
    unsafe can't be cleared before the safe ways of contact are confirmed: clearing it would let mail and links go out
    again. Raises RuleBroken.
    """
    if flag.cleared_at is not None:
        refuse_for([ALREADY_CLEARED])
    if flag.kind in derive_flags({item: answer.level for item, answer in state.answers.items()}):
        refuse_for([SET_BY_ANSWERS])
    for hold in state.holds:
        set_by_hold = {
            kind
            for reason in hold.standing
            for kind in derive_flags({reason["item"]: reason["level"]})
        }
        if hold.kind == "safety" and (flag.source == "screening" or flag.kind in set_by_hold):
            refuse_for([SAFETY_HOLD_OPEN])
    if is_contact_frozen({flag.kind}, client.record.contact_confirmed_at):
        refuse_for([CONTACT_NOT_CONFIRMED])


def list_authors(screenings: HoldScreenings) -> set[UUID]:
    """List who recorded a screening that opened or renewed a hold, or the full screening that ends it.

    Whoever marks their own screening as recorded in error stays one of them as long as the hold stands.
    """
    authors = {each.recorded_by for each in (*screenings.raising, *screenings.withdrawn)}
    newest = find_newest_full(screenings.since)
    return authors | {newest.recorded_by} if newest else authors


def can_be_second(hold: Hold, screenings: HoldScreenings, who: UUID) -> bool:
    """Tell whether a supervisor can release a hold as far as its screenings are concerned.

    A safety hold needs a second person, who recorded none of them.
    """
    return hold.kind != "safety" or who not in list_authors(screenings)


def check_name_second_person(
    locked: LockedHold, who: UUID, *, is_supervisor: bool, must_not_see: bool
) -> None:
    """Check that a person can be named to release a hold; `is_supervisor` tells whether they are an active supervisor.

    `must_not_see` tells whether they must not see the client. Raises RuleBroken.
    """
    if locked.hold.released_at is not None:
        refuse_for([ALREADY_RELEASED])
    reasons = [] if is_supervisor else [NOT_A_SUPERVISOR]
    if who in list_authors(locked.screenings):
        reasons.append(RECORDED_SCREENING)
    if must_not_see:
        reasons.append(MUST_NOT_SEE)
    refuse_for(reasons)


def release_blockers(
    hold: Hold,
    screenings: HoldScreenings,
    open_kinds: Iterable[str],
    actor_id: UUID,
    moment: datetime,
) -> list[Reason]:
    """List what still has to happen before this actor can release a hold at a moment.

    `open_kinds` are the tasks that are not completed, of every episode inside the hold. Required are a current full
    screening at none or watch after the hold opened or was last renewed, no answer above watch that counts now, and
    every task completed; for a care hold two such screenings a week apart. A check that asked a few questions changes
    nothing as long as it is not above watch. A safety hold needs more of the full screening, and a second person, who
    recorded neither it nor a screening that opened or renewed the hold. A hold never ends by time or by the client's
    choice. Content map, section (d), "The hold".
    """
    reasons, newest = [], find_newest_full(screenings.since)
    if newest is None or not newest.steady:
        reasons.append(
            Reason(
                "screening_not_steady",
                "There has been no full screening with every level at None or Watch since the hold opened or was "
                "renewed.",
                "Ask every question again, in private, and record the screening.",
            )
        )
    elif hold.kind == "care" and not has_two_steady_screenings(
        screenings.since, moment, screenings.delays
    ):
        reasons.append(
            Reason(
                "only_one_steady_screening",
                "Before a care hold can be released, you need two full screenings with every level at None or "
                "Watch, at least seven days apart.",
                "Screen again a week after the first one.",
            )
        )
    else:
        reasons += _list_screening_blockers(hold, screenings, newest, moment)
    reasons += [
        Reason(
            "task_open",
            f"Still open: {TASK_LABELS[kind]}.",
            "Record its result under Required actions.",
        )
        for kind in open_kinds
    ]
    if not can_be_second(hold, screenings, actor_id):
        reasons.append(
            Reason(
                "second_person_needed",
                "A safety hold must be released by someone who recorded neither the last full screening nor one that "
                "opened or renewed the hold.",
                "Ask another supervisor, or name one under “Who releases it”.",
            )
        )
    return reasons


def _list_screening_blockers(
    hold: Hold, screenings: HoldScreenings, last: ScreeningRecord, moment: datetime
) -> Iterator[Reason]:
    """List what the last full screening, which is steady, still lacks to release a hold.

    It is current, and no answer that counts now is above watch. For a safety hold it is asked alone, and not before the
    72-hour check of the last episode (the 7-day check when fear at home is among the reasons). Product proposal,
    awaiting clinical sign-off.
    """
    if hold.kind == "safety":
        yield from _list_safety_blockers(hold, screenings, last)
    high = [key for key, level in screenings.levels.items() if level > Level.WATCH]
    if high:
        labels = ", ".join(ITEMS_BY_KEY[key].label for key in high)
        yield Reason(
            "level_above_watch",
            f"Still above Watch: {labels}.",
            "Ask again when the client is alone, and record the screening.",
        )
    if not last.is_current(moment):
        yield Reason(
            "screening_not_current",
            f"The last full screening took place more than {SCREENING_VALIDITY.days} days ago.",
            "Ask every question again, in private, and record the screening.",
        )


def _list_safety_blockers(
    hold: Hold, screenings: HoldScreenings, last: ScreeningRecord
) -> Iterator[Reason]:
    if not last.asked_alone:
        yield Reason(
            "screening_not_alone",
            "The client was not alone during the last full screening.",
            "Ask every question again when the client is alone, and record the screening.",
        )
    is_fear = any(reason["item"] == FEAR_AT_HOME for reason in hold.standing)
    check = "safety_7d" if is_fear else "safety_72h"
    earliest = not_before(check, screenings.began_at)
    if earliest and last.session_at < earliest:
        yield Reason(
            "screening_too_early",
            f"The last full screening took place before the {TASK_LABELS[check]} was possible.",
            "Screen again when that check is possible.",
        )
