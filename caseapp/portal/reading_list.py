"""The client's reading list: neutral titles and short descriptions, the coach's name and help lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

from flask import url_for

from caseapp.core.clock import get_week_start, now
from caseapp.core.i18n import format_day, gettext, lazy_gettext
from caseapp.domain.cases.queries import find_coach_name, has_open_case
from caseapp.domain.clients.coach_changes import find_new_coach
from caseapp.domain.handouts.printing import get_language_tag
from caseapp.domain.handouts.rendering import list_help_line_entries, plain_text
from caseapp.domain.practice.queries import get_practice_info
from caseapp.http.template_helpers import today

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from caseapp.core.actor import Actor
    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.handouts.rendering import HelpLineEntry
    from caseapp.domain.practice.queries import HelpLines

MIN_TO_READ = 3
"""A list with fewer handouts to read says who adds to it, so that nothing new is said when some have left."""
ROOM_TO_WRITE = lazy_gettext("With space to write")
KIND_LABELS = {
    "worksheet": ROOM_TO_WRITE,
    "journal": ROOM_TO_WRITE,
    "conversation-practice": ROOM_TO_WRITE,
    "checklist": lazy_gettext("With a checklist"),
}


@dataclass(frozen=True)
class ReadingListEntry:
    """One handout on the list; `number_label` is set where another has the same title."""

    position: int
    title: str
    summary: str
    meta: tuple[str, ...]
    pdf: str
    read_at: datetime | None
    language: str
    number_label: str = ""


@dataclass(frozen=True)
class ReadingList:
    """The handouts to read and those read."""

    to_read: tuple[ReadingListEntry, ...]
    read: tuple[ReadingListEntry, ...]

    @property
    def total(self) -> int:
        """Count all handouts on the list."""
        return len(self.to_read) + len(self.read)

    @property
    def is_short(self) -> bool:
        """Tell whether there is little left to read."""
        return len(self.to_read) < MIN_TO_READ


def build_reading_list(records: Iterable[AssignmentRecord]) -> ReadingList:
    """Sort a client's handouts by their week."""
    entries = build_entries(sorted(records, key=lambda record: current_week(record) or date.min))
    return ReadingList(
        tuple(entry for entry in entries if not entry.read_at),
        tuple(entry for entry in entries if entry.read_at),
    )


def build_entries(records: Iterable[AssignmentRecord]) -> list[ReadingListEntry]:
    """Describe handouts in their order; those with the same title also show their number."""
    records = list(records)
    titles = Counter(record.handout.neutral_title for record in records)
    entries = []
    for record in records:
        entry = build_entry(record)
        if titles[record.handout.neutral_title] > 1:
            number = gettext("No. %(number)s", number=record.position)
            entry = replace(entry, number_label=number, meta=(number, *entry.meta))
        entries.append(entry)
    return entries


def build_entry(record: AssignmentRecord) -> ReadingListEntry:
    """Describe one handout; the summary is left out when the handout has a neutral alias."""
    handout = record.handout
    week = current_week(record)
    meta = (
        gettext("For the week of %(day)s", day=format_day(week)) if week else "",
        gettext("About %(minutes)s minutes", minutes=handout.minutes),
        str(KIND_LABELS.get(handout.kind, "")),
    )
    return ReadingListEntry(
        position=record.position,
        title=plain_text(handout.neutral_title),
        summary="" if handout.alias else plain_text(handout.summary),
        meta=tuple(text for text in meta if text),
        pdf=url_for(
            "portal_handouts.handout_pdf",
            position=record.position,
            number=format_position(record.position),
        ),
        read_at=record.read_at,
        language=get_language_tag(handout.language),
    )


def current_week(record: AssignmentRecord) -> date | None:
    """Return the week a handout is meant for, or None once it is over, so nothing is shown as late."""
    week = record.week
    return week if week and week >= get_week_start(today()) else None


def format_position(position: int) -> str:
    """Format a position for the neutral file names."""
    return f"{position:02}"


def get_coach_name(actor: Actor) -> str:
    """Return the first name of the client's coach; empty without one."""
    name = find_coach_name(actor.id)
    return name.split(maxsplit=1)[0] if name else ""


def get_new_coach_name(actor: Actor) -> str:
    """Return the first name of whoever coaches the client instead of somebody else; empty if nobody says so now.

    Nobody does once no case of the client is open.
    """
    if not get_practice_info().practice.tells_new_coach:
        return ""
    coach = find_new_coach(actor.id)
    if coach is None or not coach.is_shown_at(now()) or not has_open_case(actor.id):
        return ""
    return coach.name.split(maxsplit=1)[0]


def list_help_lines(block: str, known: HelpLines) -> list[HelpLineEntry]:
    """List a block's help lines without the emergency number, which every page shows separately."""
    return [
        line for line in list_help_line_entries(block, known) if line.phone != known.emergency.phone
    ]
