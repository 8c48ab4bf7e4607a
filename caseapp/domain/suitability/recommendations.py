"""Rules for how much a client can read in a week and what to assign next, with the reasons.

The numbers and their order are defined only here. Nobody reads for long when they hardly sleep or eat: content map,
sections (d) and (e), put rest and meals before any exercise. Awaiting clinical sign-off.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import TYPE_CHECKING

from caseapp.core.clock import get_week_start
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.handouts.library import SAFETY_HANDOUT
from caseapp.domain.screening.protocol import ITEMS_BY_KEY, LEVEL_LABELS, Level
from caseapp.domain.suitability.rules import IN_PERSON
from caseapp.domain.suitability.schemas import (
    BLOCKED,
    CAUTION,
    HandoutOption,
    ReadingPlan,
    Recommendation,
    Suggestion,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from caseapp.domain.handouts.library import Handout

# An hour a week is two or three handouts, with time to write and to try one thing between two sessions.
WEEKLY_MINUTES = 60
# Half of it while sleep or food is short or unknown: attention suffers first, and an unread pile is a burden.
REDUCED_WEEKLY_MINUTES = 30
REDUCED_BY = ("sleep", "eating")
MAX_SUGGESTIONS = 3
# A handout assigned later than this weekday starts with the next week.
LAST_START_DAY = 3
# Nobody knows what will suit a client more than half a year ahead.
MAX_DUE_AHEAD = timedelta(weeks=26)
WEEK = timedelta(weeks=1)

FIRST_HANDOUT = "help-right-now"
# The handout for each screening item that is at watch or above; content map, section (f), H02 to H06 and H09.
HANDOUT_FOR_ITEM = {
    "self_harm": "my-safety-plan",
    "harm_to_others": "my-safety-plan",
    "following": "my-safety-plan",
    "fear_at_home": "a-private-check",
    "substances": "drink-pills-drugs",
    "sleep": "better-nights",
    "eating": "enough-to-eat",
    "caring": "keep-the-day-running",
    "work": "keep-the-day-running",
    "household": "keep-the-day-running",
}


def counts_toward_reading_load(handout: Handout) -> bool:
    """Tell whether a handout counts towards the weekly minutes; a safety sheet is kept for later and doesn't."""
    return handout.kind != SAFETY_HANDOUT


def plan_reading(levels: Mapping[str, int | None], unread: Iterable[Handout]) -> ReadingPlan:
    """Work out a client's weekly reading from the levels that count now and from their unread handouts."""
    low = [
        key for key in REDUCED_BY if levels.get(key) is None or (levels[key] or 0) >= Level.WATCH
    ]
    minutes = sum(handout.minutes for handout in unread if counts_toward_reading_load(handout))
    if not low:
        return ReadingPlan(WEEKLY_MINUTES, minutes)
    causes = " and ".join(
        f"{ITEMS_BY_KEY[key].label.lower()} is {_level(levels.get(key))}" for key in low
    )
    return ReadingPlan(
        REDUCED_WEEKLY_MINUTES, minutes, f"Reduced from {WEEKLY_MINUTES} because {causes}."
    )


def _level(level: int | None) -> str:
    return "not known" if level is None else f"at {LEVEL_LABELS[Level(level)].lower()}"


def first_reading_week(today: date) -> date:
    """Give the Monday of the first week for something assigned today: this week until Wednesday, then the next."""
    this = get_week_start(today)
    return this if today.isoweekday() <= LAST_START_DAY else this + WEEK


def schedule_by_week(
    handouts: Iterable[Handout], *, budget: int, planned: Mapping[date, int], start: date
) -> list[date | None]:
    """Spread handouts over the coming weeks in their order; return the Monday for each.

    `budget` is the minutes per week and `planned` the minutes already planned for each Monday. A safety sheet gets
    None, because it is kept for later. A handout longer than a whole week gets a week of its own.
    """
    minutes, week = Counter(planned), get_week_start(start)
    weeks: list[date | None] = []
    for handout in handouts:
        if not counts_toward_reading_load(handout):
            weeks.append(None)
            continue
        while minutes[week] and minutes[week] + handout.minutes > budget:
            week += WEEK
        minutes[week] += handout.minutes
        weeks.append(week)
    return weeks


def recommend(
    options: Sequence[HandoutOption],
    *,
    stage: str,
    levels: Mapping[str, int | None],
    unread: Sequence[Handout],
) -> Recommendation:
    """Choose up to three handouts to assign next; never one that is blocked or was assigned before.

    The help lines come first, then the handouts for raised screening items, the highest level first, however much is
    still unread. After these come handouts for the case's stage, as far as the week has room. A handout longer than a
    whole week is only recommended when nothing else is unread.
    """
    plan = plan_reading(levels, unread)
    available = {
        option.handout.id: option
        for option in options
        if not option.assigned and option.suitability.outcome != BLOCKED
    }
    stand_ins = {option.handout.based_on: option.handout.id for option in options}
    stand_ins |= {option.handout.id: option.handout.id for option in options}
    chosen: list[Suggestion] = []
    for slug, why in _urgent(levels):
        # Where the practice hides a handout, the practice handout based on it takes its place.
        if option := available.pop(stand_ins.get(slug, slug), None):
            chosen.append(Suggestion(option, _explain(option, why)))
    left = plan.left - sum(
        c.option.handout.minutes for c in chosen if counts_toward_reading_load(c.option.handout)
    )
    fitting = _for_stage([*available.values()], stage)
    within = [option for option in fitting if option.handout.minutes <= left]
    if not within and not plan.unread and left == plan.budget:
        within = fitting[:1]
    for option in within:
        minutes = option.handout.minutes
        if minutes <= left:
            time = f"{minutes} minutes, of {left} left this week."
        elif left == plan.budget:
            time = f"{minutes} minutes, more than a week of reading; allow two weeks."
        else:
            continue
        why = f"{_stage_reason(option.handout, stage)} {time}"
        chosen.append(Suggestion(option, _explain(option, why)))
        left -= minutes
    return Recommendation(plan, tuple(chosen[:MAX_SUGGESTIONS]))


def _urgent(levels: Mapping[str, int | None]) -> Iterator[tuple[str, str]]:
    """Name the handouts that come before the reading for the stage, in order, each with the reason."""
    yield FIRST_HANDOUT, "Every client gets the help lines first."
    raised = [
        (level, key) for key in HANDOUT_FOR_ITEM if (level := levels.get(key) or 0) >= Level.WATCH
    ]
    order = [*HANDOUT_FOR_ITEM]
    for level, key in sorted(raised, key=lambda found: (-found[0], order.index(found[1]))):
        yield HANDOUT_FOR_ITEM[key], f"{ITEMS_BY_KEY[key].label} is {_level(level)}."


def _for_stage(options: list[HandoutOption], stage: str) -> list[HandoutOption]:
    """Keep the reading that fits a stage: its own handouts first, and eligible before caution."""
    fitting = [
        option
        for option in options
        if counts_toward_reading_load(option.handout) and option.handout.fits(stage)
    ]
    return sorted(
        fitting,
        key=lambda option: (
            option.handout.stage != stage,
            option.suitability.outcome == CAUTION,
            option.handout.code,
        ),
    )


def _stage_reason(handout: Handout, stage: str) -> str:
    title = stage_by_id()[stage].title
    return f"Belongs to {title}." if handout.stage == stage else f"Also fits {title}."


def _explain(option: HandoutOption, why: str) -> str:
    if option.suitability.channels == IN_PERSON:
        return f"{why} Use it only in a session, together with the client."
    return f"{why} Needs caution." if option.suitability.outcome == CAUTION else why
