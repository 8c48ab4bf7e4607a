"""Rules about screenings: required actions, holds, flags and the release of a hold. Pure functions.

Every level and time limit awaits sign-off by a licensed clinician; see `protocol`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.domain.clients.rules import is_contact_frozen
from caseapp.domain.followups.codes import TASK_LABELS
from caseapp.domain.screening.protocol import (
    IMMEDIATE_STEPS,
    ITEMS_BY_KEY,
    SAFETY_ITEMS,
    STEADY_INTERVAL,
    Level,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.screening.models import Flag, Hold
    from caseapp.domain.screening.queries import LockedHold, OpenHold
    from caseapp.domain.screening.schemas import ScreeningRecord


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


CONTACT_NOT_CONFIRMED = Reason(
    "contact_not_confirmed",
    "This flag can’t be cleared before the client has confirmed in person which ways of contact are safe.",
    "Ask the client in person and alone, and confirm the safe ways of contact under Details.",
)


@dataclass
class RequiredActions:
    """What a screening requires: holds with the items that open them, flags to set, tasks with due times."""

    holds: dict[str, list[str]] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    tasks: dict[str, datetime] = field(default_factory=dict)

    def add_task(self, kind: str, due_at: datetime) -> None:
        """Add a task; of two due times for one kind the earlier counts."""
        self.tasks[kind] = min(due_at, self.tasks.get(kind, due_at))


def add_working_days(moment: datetime, days: int) -> datetime:
    """Add working days, Monday to Friday, to a moment."""
    while days:
        moment += timedelta(days=1)
        if moment.weekday() < 5:  # noqa: PLR2004 - Saturday is 5
            days -= 1
    return moment


def derive_required_actions(levels: Mapping[str, int | None], moment: datetime) -> RequiredActions:
    """Derive what the protocol requires for these levels; `moment` is when the screening is recorded.

    Concern in sleep, eating, daily life or substances opens a care hold. Urgent in any item, or concern in one of the
    three safety items, opens a safety hold; one report is enough. Watch requires a recheck within seven days. Content
    map, section (e), "Protocol by level".
    """
    required = RequiredActions()
    urgent = any(level == Level.URGENT for level in levels.values())
    for key, level in levels.items():
        if level is None or level == Level.NONE:
            continue
        if level == Level.WATCH:
            required.add_task("recheck", moment + timedelta(days=7))
        elif opens_safety_hold(key, level):
            required.holds.setdefault("safety", []).append(key)
        else:
            required.holds.setdefault("care", []).append(key)
    required.flags = derive_flags(levels)
    if required.holds:
        required.add_task("referral", add_working_days(moment, 2))
        required.add_task("recheck", moment + timedelta(days=7))
        required.add_task("referral_outcome", moment + timedelta(days=14))
    if "safety" in required.holds:
        required.add_task("tell_supervisor", moment)
        required.add_task("safety_plan", moment + timedelta(hours=8))
        required.add_task("safety_24h", moment + timedelta(hours=24))
        required.add_task("safety_72h", moment + timedelta(hours=72))
        required.add_task("safety_7d", moment + timedelta(days=7))
    if urgent:
        required.add_task("emergency_steps", moment)
        required.add_task("duty_check", moment)
    return required


def derive_flags(levels: Mapping[str, int | None]) -> set[str]:
    """Derive the flags that these levels set."""
    self_harm, others, fear = (levels.get(key) or 0 for key in SAFETY_ITEMS)
    flags = set()
    if self_harm >= Level.WATCH:
        flags.add("self_harm_flag")
    if others >= Level.CONCERN:
        flags |= {"contact_block", "client_harm_flag"}
    if fear >= Level.CONCERN:
        flags |= {"contact_block", "violence_flag", "unsafe_delivery"}
    return flags


def opens_safety_hold(key: str, level: int | None) -> bool:
    """Tell whether this answer alone opens a safety hold."""
    threshold = Level.CONCERN if ITEMS_BY_KEY[key].safety else Level.URGENT
    return level is not None and level >= threshold


def list_immediate_steps(levels: Mapping[str, int | None]) -> list[str]:
    """List what to do at once for answers that open a safety hold, safety items first."""
    keys = [key for key, level in levels.items() if opens_safety_hold(key, level)]
    found: list[str] = []
    for key in sorted(keys, key=lambda key: not ITEMS_BY_KEY[key].safety):
        steps = IMMEDIATE_STEPS.get(key, IMMEDIATE_STEPS[""])
        found += [step for step in steps if step not in found]
    return found


def highest_level(levels: Mapping[str, int | None]) -> int | None:
    """Return the highest answered level, or None when nothing was asked."""
    return max((level for level in levels.values() if level is not None), default=None)


def has_two_steady_screenings(screenings: Sequence[ScreeningRecord]) -> bool:
    """Tell whether two steady screenings at least seven days apart exist with nothing above watch since the first.

    `screenings` are newest first.
    """
    steady: list[ScreeningRecord] = []
    for screening in screenings:
        if any((level or 0) > Level.WATCH for level in screening.levels.values()):
            break
        if screening.steady:
            steady.append(screening)
    return bool(steady) and steady[0].recorded_at - steady[-1].recorded_at >= STEADY_INTERVAL


def check_release(actor: Actor, locked: LockedHold) -> None:
    """Check that the actor can release a hold.

    Raises RuleBroken with every blocker.
    """
    if locked.hold.released_at is not None:
        refuse_for([ALREADY_RELEASED])
    refuse_for(release_blockers(locked.hold, locked.screenings, locked.open_kinds, actor.id))


def check_clear_flag(client: LockedClient, flag: Flag) -> None:
    """Check that a client's flag can be cleared.

    One that makes sending unsafe can't be before the safe ways of contact are confirmed: clearing it would let mail and
    links go out again. Raises RuleBroken.
    """
    if flag.cleared_at is not None:
        refuse_for([ALREADY_CLEARED])
    if is_contact_frozen({flag.kind}, client.record.contact_confirmed_at):
        refuse_for([CONTACT_NOT_CONFIRMED])


def release_blockers(
    hold: Hold | OpenHold,
    since: Sequence[ScreeningRecord],
    open_kinds: Iterable[str],
    actor_id: UUID,
) -> list[Reason]:
    """List what still has to happen before this actor can release a hold.

    `since` are the screenings recorded after the hold opened, newest first; `open_kinds` the hold's tasks that are not
    completed. Required are a full screening at none or watch after the hold opened and every task completed; for a care
    hold two such screenings a week apart; for a safety hold a second person, who neither opened it nor recorded the
    last screening. A hold never ends by time or by the client's choice. Content map, section (d), "The hold".
    """
    reasons = []
    if not since or not since[0].steady:
        reasons.append(
            Reason(
                "screening_not_steady",
                "There has been no full screening with every level at None or Watch since the hold opened.",
                "Ask every question again, in private, and record the screening.",
            )
        )
    elif hold.kind == "care" and not has_two_steady_screenings(since):
        reasons.append(
            Reason(
                "only_one_steady_screening",
                "Before a care hold can be released, you need two full screenings with every level at None or "
                "Watch, at least seven days apart.",
                "Screen again a week after the first one.",
            )
        )
    reasons += [
        Reason(
            "task_open",
            f"Still open: {TASK_LABELS[kind]}.",
            "Record the outcome under Follow-ups.",
        )
        for kind in open_kinds
    ]
    authors = {hold.opened_by, *(screening.recorded_by for screening in since[:1])}
    if hold.kind == "safety" and actor_id in authors:
        reasons.append(
            Reason(
                "second_person_needed",
                "A safety hold must be released by someone who neither opened it nor recorded the last screening.",
                "Ask another supervisor.",
            )
        )
    return reasons
