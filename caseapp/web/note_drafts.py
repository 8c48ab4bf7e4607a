"""What else the editor of a note does with a draft: bring the last plan forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import url_for

from caseapp.core.permissions import Action
from caseapp.domain.notes.operations import save_draft
from caseapp.domain.notes.plan_operations import bring_plan_forward
from caseapp.domain.notes.queries import LockedNote, lock_note
from caseapp.http.forms import Done, Sent
from caseapp.web.notes import DRAFT, blueprint, draft_values, editor, section_labels

if TYPE_CHECKING:
    from caseapp.domain.notes.schemas import DraftChange

__all__ = ["blueprint"]


@editor.form(
    Action.NOTE_WRITE,
    DRAFT,
    lock=lock_note,
    rule="/note/<uuid:note_id>/plan",
    values=draft_values,
    labels=section_labels,
    refused="The plan was not brought forward",
    part_of="save",
)
def bring_plan(note: LockedNote, change: DraftChange, sent: Sent) -> Done:
    """Save the draft, and put the plan of the last signed note into it."""
    before = note.row.screening_id
    saved = save_draft(sent.actor, note, change, sent.version)
    bring_plan_forward(sent.actor, note, saved)
    page = url_for("notes.note_page", **sent.args, _anchor="plan")
    return Done(page, "plan_brought" if note.row.screening_id == before else "draft_opened_hold")
