"""The page on which a note is started, or a draft of the case gone on with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import render_template, url_for

from caseapp.core.clock import now
from caseapp.core.permissions import Action
from caseapp.domain.notes.codes import FORMAT_LABELS, MODALITIES
from caseapp.domain.notes.formats import FORMATS
from caseapp.domain.notes.operations import create_note
from caseapp.domain.notes.queries import LockedCaseForNote, lock_case_for_note
from caseapp.domain.notes.schemas import NewNote, NewNoteSchema
from caseapp.domain.notes.unsigned import list_case_drafts
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.http.request_parsing import local_minute
from caseapp.http.template_helpers import zone
from caseapp.web.case_header import load_case_context
from caseapp.web.notes import blueprint

if TYPE_CHECKING:
    from caseapp.domain.dashboard.case_page import CasePage
    from caseapp.domain.notes.records import CaseDraft

__all__ = ["blueprint"]


@dataclass(frozen=True)
class NewNotePage:
    """The case of a new note, and the drafts of it that the person can go on with."""

    context: CasePage
    drafts: list[CaseDraft]

    @property
    def has_draft(self) -> bool:
        """Tell whether there is a draft."""
        return bool(self.drafts)


def load_new_note(number: str) -> NewNotePage:
    """Load the page of a new note and record that the case was read.

    Raises NotFound.
    """
    context = load_case_context(number)
    return NewNotePage(context, list_case_drafts(current_actor(), context.case.id))


start = FormPage(
    blueprint,
    "/case/<string:number>/notes/new",
    Action.NOTE_WRITE,
    load_new_note,
    client_of=lambda view: view.context.case.client_id,
    only_asks=True,
)


@start.show
def new_note_page(view: NewNotePage, forms: Forms) -> str:
    """Show the drafts of the case to go on with, and the form for a new note: time, modality, format."""
    return render_template(
        "notes/new.html",
        context=view.context,
        drafts=view.drafts,
        tab="Notes",
        forms=forms,
        formats=FORMAT_LABELS,
        sections=FORMATS,
        modalities=MODALITIES,
    )


def new_note_values(about: NewNotePage | LockedCaseForNote) -> dict[str, object]:
    """Return what the form for a new note shows at first: now, by video, in sections.

    A page that shows a draft to go on with asks for another note.
    """
    return {
        "session_at": local_minute(now(), zone()),
        "modality": "video",
        "format": "dap",
        "another": "yes" if about.has_draft else "",
    }


@start.form(
    Action.NOTE_WRITE,
    Body(NewNoteSchema, NewNote),
    lock=lock_case_for_note,
    values=new_note_values,
    refused="The note was not started",
)
def create(case: LockedCaseForNote, new: NewNote, sent: Sent) -> Done:
    """Start a draft."""
    note_id = create_note(sent.actor, case, new).id
    return Done(url_for("notes.note_page", note_id=note_id))
