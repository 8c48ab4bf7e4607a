"""Rules for bringing the plan of the last signed note forward into a draft. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.errors import Reason, refuse_for
from caseapp.domain.notes.codes import ADDENDUM_LABELS
from caseapp.domain.notes.formats import FORMATS
from caseapp.domain.notes.rules import NOTE_ALTERED, list_draft_blockers

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.domain.notes.queries import LockedNote
    from caseapp.domain.notes.records import NoteRecord

NO_PLAN_SECTION = Reason(
    "no_plan_section", "This format has no section for a plan.", "Choose another format."
)
NO_PLAN = Reason(
    "no_plan",
    "There is no signed note with a plan from before this session.",
    "Write the plan yourself.",
)
OTHER_PLAN = Reason(
    "other_plan",
    "Since this page was opened, another note has become the last one before this session.",
    "Read its plan on this page, then bring it forward.",
)


def list_plan_blockers(note: NoteRecord, previous: NoteRecord | None) -> list[Reason]:
    """List why the plan of the `previous` signed note can't be brought into a draft; empty when it can."""
    if "plan" not in FORMATS[note.format]:
        return [NO_PLAN_SECTION]
    if previous is None:
        return [NO_PLAN]
    return [] if previous.is_as_signed else [NOTE_ALTERED]


def check_bring_forward(
    note: LockedNote,
    previous: NoteRecord | None,
    find_day: Callable[[datetime], date],
    shown: UUID | None = None,
) -> str:
    """Check that a plan can be brought forward into a draft, and return the draft's plan with it.

    `find_day` finds the day of a time in the practice's time zone, `shown` is the note whose plan a page has shown.
    Raises RuleBroken, also when it isn't the same any more.
    """
    found = note.record
    refuse_for(list_draft_blockers(note.row, has_signature=note.has_signature))
    refuse_for(list_plan_blockers(found, previous))
    assert previous is not None  # noqa: S101 - the list above names it
    if shown is not None and previous.id != shown:
        refuse_for([OTHER_PLAN])
    return bring_forward(found.sections.get("plan", ""), previous, find_day)


def bring_forward(plan: str, previous: NoteRecord, find_day: Callable[[datetime], date]) -> str:
    """Put the plan of a signed note below that of a draft, marked with its day, and with what its addenda say.

    An addendum may be about another section: only its author could tell. What was brought forward already stays as it
    is, and isn't put there again.
    """
    day = _describe(find_day(previous.actual_session_at))
    parts = [f"Brought forward from the plan of {day}:\n{previous.sections['plan']}"]
    for addendum in previous.addenda:
        if addendum.text:
            day = _describe(find_day(addendum.created_at))
            parts.append(
                f"{ADDENDUM_LABELS[addendum.kind]} of {day} to that note:\n{addendum.text}"
            )
    return "\n\n".join(filter(None, [plan, *(part for part in parts if part not in plan)]))


def _describe(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
