"""What a client's pages show: neutral titles, a few words on each sheet, who put it there, whom to ring."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from flask import url_for

from caseapp.core.clock import week_of
from caseapp.domain.cases.queries import newest_case_of
from caseapp.domain.handouts.labels import WORDS
from caseapp.domain.handouts.printing import spoken
from caseapp.domain.handouts.rendering import number_lines, plain
from caseapp.domain.users.queries import names_of
from caseapp.http.template_helpers import today
from caseapp.portal.phrases import Speech

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from caseapp.core.actor import Actor
    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.cases.models import Case
    from caseapp.domain.handouts.rendering import NumberLine
    from caseapp.domain.practice.queries import Numbers

HELP = "help-right-now"
WRITING = "With room to write"
KIND_WORDS = {
    "worksheet": WRITING,
    "journal": WRITING,
    "conversation-practice": WRITING,
    "checklist": "With a checklist",
}


@dataclass(frozen=True)
class Entry:
    """Show one sheet on the list; `apart` is its number where another one there goes by the same title."""

    place: int
    title: str
    summary: str
    meta: tuple[str, ...]
    pdf: str
    read_at: datetime | None
    language: str
    apart: str = ""


@dataclass(frozen=True)
class Shelf:
    """Hold the list in two halves; with `help_first` the numbers to call stand above it."""

    to_read: tuple[Entry, ...]
    read: tuple[Entry, ...]
    help_first: bool

    @property
    def total(self) -> int:
        """Count all sheets on the list."""
        return len(self.to_read) + len(self.read)


def shelf_of(records: Iterable[AssignmentRecord], *, help_first: bool) -> Shelf:
    """Sort a client's sheets; while coaching rests for safety, Help right now comes first, read or not."""
    records = list(records)
    titles = Counter(record.handout.outside_title for record in records)
    to_read: list[Entry] = []
    read: list[Entry] = []
    weeks = sorted(records, key=lambda record: week_ahead(record) or date.min)
    for record in sorted(weeks, key=lambda record: help_first and record.handout.id != HELP):
        urgent = help_first and record.handout.id == HELP
        entry = entry_of(record)
        if titles[record.handout.outside_title] > 1:
            number = Speech(record.handout.language)("No. {number}", number=record.place)
            entry = replace(entry, apart=number, meta=(number, *entry.meta))
        (read if record.read_at and not urgent else to_read).append(entry)
    return Shelf(tuple(to_read), tuple(read), help_first)


def entry_of(record: AssignmentRecord) -> Entry:
    """Describe one sheet; one that goes by another title outside the room keeps its summary to itself."""
    handout = record.handout
    week, tell = week_ahead(record), Speech(handout.language)
    meta = (
        tell("For the week of {day}", day=WORDS[handout.language].day_of(week)) if week else "",
        tell("About {minutes} minutes", minutes=handout.minutes),
        tell(KIND_WORDS.get(handout.kind, "")),
    )
    return Entry(
        place=record.place,
        title=plain(handout.outside_title),
        summary="" if handout.alias else plain(handout.summary),
        meta=tuple(words for words in meta if words),
        pdf=url_for(
            "portal_reading.sheet_file", place=record.place, number=number_of(record.place)
        ),
        read_at=record.read_at,
        language=spoken(handout.language),
    )


def week_ahead(record: AssignmentRecord) -> date | None:
    """Give the week that a sheet is meant for, until it is over: nothing is ever late here."""
    week = record.week
    return week if week and week >= week_of(today()) else None


def number_of(place: int) -> str:
    """Write a place on the list as it stands in file names, which name nothing else."""
    return f"{place:02}"


def guide_of(actor: Actor, case: Case | None = None) -> str:
    """Give the first name of the client's coach."""
    case = case or newest_case_of(actor.id)
    name = names_of({case.coach_id}).get(case.coach_id, "") if case else ""
    return name.split()[0] if name else "The practice"


def lines_apart(block: str, known: Numbers, language: str = "en") -> list[NumberLine]:
    """List a block's help lines without the emergency number, which has its own place on every page."""
    return [
        line for line in number_lines(block, known, language) if line.phone != known.emergency.phone
    ]
