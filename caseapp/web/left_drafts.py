"""Pages for drafts of people who have left: which there are, and the page on which a supervisor reads and files one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request, url_for

from caseapp.core.clock import now
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.notes.codes import FORMAT_LABELS, MODALITIES
from caseapp.domain.notes.left_draft_operations import file_draft
from caseapp.domain.notes.left_draft_queries import (
    LockedLeftDraft,
    get_left_draft,
    list_left_drafts,
    lock_left_draft,
)
from caseapp.domain.notes.left_draft_rules import list_filing_blockers
from caseapp.domain.notes.left_draft_schemas import MAX_FILING_REASON, FilingSchema
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor, needs

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.notes.records import NoteRecord

blueprint = Blueprint("left_drafts", __name__)


@blueprint.get("/notes/left")
@needs(Action.DRAFT_READ)
def draft_list() -> ResponseReturnValue:
    """List the drafts of people who have left."""
    page = list_left_drafts(current_actor(), request.args.get("cursor"), PAGE_SIZE)
    return render_template("notes/left_drafts.html", page=page)


def load_left_draft(left_draft_id: UUID) -> NoteRecord:
    """Load the draft of somebody who has left, and record that it was read.

    Raises NotFound.
    """
    return get_left_draft(current_actor(), left_draft_id)


filing = FormPage(
    blueprint,
    "/notes/left/<uuid:left_draft_id>",
    Action.DRAFT_READ,
    load_left_draft,
    client_of=lambda note: note.client_id,
    only_asks=True,
)


@filing.show
def left_draft(note: NoteRecord, forms: Forms) -> str:
    """Show the draft of somebody who has left, and the form that files it."""
    return render_template(
        "notes/left_draft.html",
        note=note,
        context=get_case_context(current_actor(), note.case_id),
        blockers=list_filing_blockers(note, now()),
        forms=forms,
        modalities=MODALITIES,
        format_labels=FORMAT_LABELS,
        max_reason=MAX_FILING_REASON,
    )


@filing.form(
    Action.DRAFT_FILE,
    Body(FilingSchema, str),
    lock=lock_left_draft,
    refused="The draft was not filed",
)
def file(draft: LockedLeftDraft, reason: str, sent: Sent) -> Done:
    """File the draft of somebody who has left."""
    before = draft.note.row.screening_id
    note = file_draft(sent.actor, draft, reason, sent.version)
    message = "draft_filed" if note.screening_id == before else "draft_filed screening_recorded"
    return Done(url_for("notes.note_page", note_id=note.id), message)
