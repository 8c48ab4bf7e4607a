"""Pages that move a note which was filed in the wrong client's record: choose the right case, and confirm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request, url_for

from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.core.transaction import reading_for_change
from caseapp.domain.cases.queries import CaseFilter, get_case_context_by_number, list_cases
from caseapp.domain.notes.move_operations import move_note
from caseapp.domain.notes.move_queries import (
    LockedNoteMove,
    list_blockers_of_move,
    lock_note_move,
)
from caseapp.domain.notes.queries import get_note
from caseapp.domain.notes.schemas import NewNoteMove, NoteMoveSchema
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.core.errors import Reason
    from caseapp.domain.cases.queries import CaseContext
    from caseapp.domain.notes.records import NoteRecord

blueprint = Blueprint("note_moves", __name__)


@blueprint.get("/note/<uuid:note_id>/move")
@needs(Action.NOTE_MOVE)
def choose_record(note_id: UUID) -> ResponseReturnValue:
    """Choose the case to which a note belongs, among the open cases that the person sees."""
    actor = current_actor()
    with reading_for_change():
        note = get_note(actor, note_id)
    case_filter = CaseFilter(status="open", q=request.args.get("q"))
    page = list_cases(actor, case_filter, request.args.get("cursor"), PAGE_SIZE)
    return render_template("notes/choose_record.html", note=note, page=page, q=case_filter.q or "")


@dataclass(frozen=True)
class MoveView:
    """A note, the case to which it is to be moved, and what is in the way."""

    note: NoteRecord
    other: CaseContext
    blockers: list[Reason]


def load_move(note_id: UUID, number: str) -> MoveView:
    """Load a note and the case to which it is to be moved.

    Raises NotFound, also for a case that the person doesn't see.
    """
    actor = current_actor()
    note, other = get_note(actor, note_id), get_case_context_by_number(actor, number)
    return MoveView(note, other, list_blockers_of_move(actor, note, other))


moving = FormPage(
    blueprint,
    "/note/<uuid:note_id>/move/<string:number>",
    Action.NOTE_MOVE,
    load_move,
    client_of=lambda view: view.note.client_id,
    only_asks=True,
)


@moving.show
def move_page(view: MoveView, forms: Forms) -> str:
    """Show from whose record to whose a note is moved, and the form that does it."""
    return render_template("notes/move.html", view=view, note=view.note, forms=forms)


@moving.form(
    Action.NOTE_MOVE,
    Body(NoteMoveSchema, NewNoteMove),
    lock=lock_note_move,
    refused="The note was not moved",
)
def move(locked: LockedNoteMove, new: NewNoteMove, sent: Sent) -> Done:
    """Move a note into another client's record."""
    before = locked.note.row.screening_id
    move_note(sent.actor, locked, new, sent.version)
    opened_hold = locked.note.row.screening_id != before
    page = url_for("notes.note_page", note_id=sent.args["note_id"])
    return Done(page, "note_moved draft_opened_hold" if opened_hold else "note_moved")
