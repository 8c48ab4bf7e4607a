"""Pace: how much a client reads in a week, what to give next, and why; pure functions over what is known.

The numbers and the order stand here alone. Nobody reads long when they hardly sleep or eat: content map, sections (d)
and (e), put rest and meals before any exercise. Awaiting clinical sign-off.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from caseapp.core.clock import week_of
from caseapp.domain.assignments.suitability import CAREFUL, IN_PERSON, REFUSE
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.screening.protocol import ITEM, LEVEL_WORDS, Level

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from caseapp.domain.assignments.schemas import Offer
    from caseapp.domain.handouts.library import Handout

# An hour a week is two or three sheets, each with time to write and to try one thing between two sessions.
MINUTES_A_WEEK = 60
# Half of it while sleep or food is short, or nobody knows: attention goes first, and an unread pile weighs on a person.
MINUTES_A_GENTLE_WEEK = 30
LOWERED_BY = ("sleep", "eating")
MOST_SUGGESTED = 3
# Who is given something late in a week starts with the next one; half a year ahead nobody knows what suits.
LAST_DAY_TO_START = 3
FURTHEST = timedelta(weeks=26)
WEEK = timedelta(weeks=1)

SAFETY_SHEET = "safety-sheet"
HELP_FIRST = "help-right-now"
# What answers each question of the screening from watch upwards; content map, section (f), H02 to H06 and H09.
ANSWERS = {
    "self_harm": "my-safety-plan",
    "harm_to_others": "my-safety-plan",
    "fear_at_home": "a-private-check",
    "substances": "drink-pills-drugs",
    "sleep": "better-nights",
    "eating": "enough-to-eat",
    "caring": "keep-the-day-running",
    "work": "keep-the-day-running",
    "household": "keep-the-day-running",
}


@dataclass(frozen=True)
class Reading:
    """Say how much a client reads in a week and how much of that is still open."""

    budget: int
    open: int
    because: str = ""

    @property
    def left(self) -> int:
        """Give the minutes that are left this week."""
        return max(self.budget - self.open, 0)

    @property
    def words(self) -> str:
        """Say it in a sentence or two."""
        begin = f"{self.open} of about {self.budget} minutes a week are still unread."
        return f"{begin} {self.because}".strip()


@dataclass(frozen=True)
class Suggestion:
    """Propose one handout and say why."""

    offer: Offer
    why: str


@dataclass(frozen=True)
class Advice:
    """Propose what to give next, at most three handouts, beside what is still to be read."""

    reading: Reading
    suggestions: tuple[Suggestion, ...] = ()


def counts(handout: Handout) -> bool:
    """Tell whether a sheet counts as reading: a safety sheet is there for when it is needed and fills no week."""
    return handout.kind != SAFETY_SHEET


def reading_of(levels: Mapping[str, int | None], unread: Iterable[Handout]) -> Reading:
    """Work out a client's week from the last screening and from what they were given and have not read."""
    low = [
        key for key in LOWERED_BY if levels.get(key) is None or (levels[key] or 0) >= Level.WATCH
    ]
    minutes = sum(handout.minutes for handout in unread if counts(handout))
    if not low:
        return Reading(MINUTES_A_WEEK, minutes)
    said = " and ".join(f"{ITEM[key].label.lower()} is {_level(levels.get(key))}" for key in low)
    return Reading(MINUTES_A_GENTLE_WEEK, minutes, f"Lowered from {MINUTES_A_WEEK}: {said}.")


def _level(level: int | None) -> str:
    return "not known" if level is None else f"at {LEVEL_WORDS[Level(level)].lower()}"


def first_week(today: date) -> date:
    """Give the week in which something given today can still be read: this one until Wednesday, then the next."""
    this = week_of(today)
    return this if today.isoweekday() <= LAST_DAY_TO_START else this + WEEK


def spread(
    chosen: Iterable[Handout], *, budget: int, taken: Mapping[date, int], start: date
) -> list[date | None]:
    """Lay sheets into weeks one after another, within the budget, in the order chosen; give the Monday of each.

    A safety sheet has no week, since it is there for when it is needed. A sheet longer than a whole week gets a week
    of its own. `taken` holds the minutes that are in a week already.
    """
    full, week = Counter(taken), week_of(start)
    found: list[date | None] = []
    for handout in chosen:
        if not counts(handout):
            found.append(None)
            continue
        while full[week] and full[week] + handout.minutes > budget:
            week += WEEK
        full[week] += handout.minutes
        found.append(week)
    return found


def suggest(
    offers: Sequence[Offer],
    *,
    stage: str,
    levels: Mapping[str, int | None],
    unread: Sequence[Handout],
) -> Advice:
    """Choose what to give next out of a judged library; never what is refused, nor what was given before.

    The numbers to ring come first, then what answers the last screening, the highest level first, whatever else is
    still unread; then sheets of the case's stage and those that also fit it, as far as the week has room. A sheet that
    is longer than a whole week is proposed only when nothing else is unread.
    """
    reading = reading_of(levels, unread)
    free = {
        offer.handout.id: offer
        for offer in offers
        if not offer.given and offer.verdict.outcome != REFUSE
    }
    stand_ins = {offer.handout.based_on: offer.handout.id for offer in offers}
    stand_ins |= {offer.handout.id: offer.handout.id for offer in offers}
    chosen: list[Suggestion] = []
    for slug, why in _answers(levels):
        # Where the practice hides a sheet, its own edition of it answers in its place.
        if offer := free.pop(stand_ins.get(slug, slug), None):
            chosen.append(Suggestion(offer, _said(offer, why)))
    left = reading.left - sum(c.offer.handout.minutes for c in chosen if counts(c.offer.handout))
    fitting = _of_the_stage([*free.values()], stage)
    within = [offer for offer in fitting if offer.handout.minutes <= left]
    if not within and not reading.open and left == reading.budget:
        within = fitting[:1]
    for offer in within:
        minutes = offer.handout.minutes
        if minutes <= left:
            time = f"{minutes} minutes, and {left} are left this week."
        elif left == reading.budget:
            time = f"{minutes} minutes are more than a week of reading; let it take two."
        else:
            continue
        chosen.append(Suggestion(offer, _said(offer, f"{_belongs(offer.handout, stage)} {time}")))
        left -= minutes
    return Advice(reading, tuple(chosen[:MOST_SUGGESTED]))


def _answers(levels: Mapping[str, int | None]) -> Iterator[tuple[str, str]]:
    """Name what comes before all reading by stage, in its order, each sheet once, with the reason."""
    yield HELP_FIRST, "Everybody has the numbers to ring, before anything else."
    raised = [(level, key) for key in ANSWERS if (level := levels.get(key) or 0) >= Level.WATCH]
    order = [*ANSWERS]
    for level, key in sorted(raised, key=lambda found: (-found[0], order.index(found[1]))):
        yield ANSWERS[key], f"{ITEM[key].label} is {_level(level)}."


def _of_the_stage(offers: list[Offer], stage: str) -> list[Offer]:
    """Keep the reading that fits a stage: its own sheets first, what suits before what asks for care."""
    fitting = [offer for offer in offers if counts(offer.handout) and offer.handout.fits(stage)]
    return sorted(
        fitting,
        key=lambda offer: (
            offer.handout.stage != stage,
            offer.verdict.outcome == CAREFUL,
            offer.handout.code,
        ),
    )


def _belongs(handout: Handout, stage: str) -> str:
    title = stage_by_id()[stage].title
    return f"Belongs to {title}." if handout.stage == stage else f"Also fits {title}."


def _said(offer: Offer, why: str) -> str:
    if offer.verdict.channels == IN_PERSON:
        return f"{why} Only together, in the room."
    return f"{why} Asks for care." if offer.verdict.outcome == CAREFUL else why
