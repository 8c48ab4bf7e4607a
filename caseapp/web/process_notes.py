"""The page of a coach's process note about a case, which nobody else can open.

Its views ask for the action of a new session note, and the logs call them what `http.guard.LOGGED_AS` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, url_for

from caseapp.core.permissions import Action
from caseapp.domain.process_notes.operations import save_process_note
from caseapp.domain.process_notes.queries import (
    LockedProcessNote,
    get_process_note,
    lock_process_note,
)
from caseapp.domain.process_notes.schemas import (
    MAX_WORDS,
    ProcessNoteRecord,
    ProcessNoteSchema,
)
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from caseapp.domain.dashboard.case_page import CasePage

blueprint = Blueprint("process_notes", __name__)


@dataclass(frozen=True)
class ProcessNotePage:
    """A case with the reader's own process note about it."""

    context: CasePage
    record: ProcessNoteRecord


def load_page(number: str) -> ProcessNotePage:
    """Load a case and the reader's own process note, and record that the case was read.

    Raises NotFound.
    """
    context = load_case_context(number)
    return ProcessNotePage(context, get_process_note(current_actor(), context))


page = FormPage(
    blueprint,
    "/case/<string:number>/process-notes",
    Action.NOTE_WRITE,
    load_page,
    client_of=lambda view: view.context.case.client_id,
)


@page.show
def process_note(view: ProcessNotePage, forms: Forms) -> str:
    """Show the reader's own process note in its form."""
    return render_template(
        "process_notes/process_note.html",
        context=view.context,
        tab="Notes",
        note=view.record,
        forms=forms,
        longest=MAX_WORDS,
    )


def words_values(view: ProcessNotePage | LockedProcessNote) -> dict[str, object]:
    """Return what the form sends untouched."""
    return {"words": view.record.words}


@page.form(
    Action.NOTE_WRITE,
    Body(ProcessNoteSchema, str),
    lock=lock_process_note,
    values=words_values,
    refused="Nothing was saved",
)
def save(note: LockedProcessNote, words: str, sent: Sent) -> Done:
    """Save the process note."""
    save_process_note(sent.actor, note, words, sent.version)
    return Done(url_for("process_notes.process_note", **sent.args), "own_words_saved")
