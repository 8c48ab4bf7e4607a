"""The page on which a signed note is corrected or added to, and what pages with forms about a signed note share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template, url_for

from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.notes.codes import ADDENDUM_LABELS, CHOSEN_KINDS, FORMAT_LABELS, MODALITIES
from caseapp.domain.notes.operations import add_addendum
from caseapp.domain.notes.queries import LockedNote, list_blockers_of_addenda, lock_note
from caseapp.domain.notes.schemas import AddendumFormSchema, NewAddendum
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.web.notes import load_note

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.notes.records import NoteRecord

blueprint = Blueprint("addenda", __name__)


def load_signed_note(signed_note_id: UUID) -> NoteRecord:
    """Load a signed note and record that it was read.

    Raises NotFound, also for a draft.
    """
    note = load_note(signed_note_id)
    if note.status != "signed":
        raise NotFound
    return note


def render_signed_note(template: str, note: NoteRecord, **more: object) -> str:
    """Render a page that shows a signed note with its addenda, beside a form about it."""
    return render_template(
        template,
        note=note,
        context=get_case_context(current_actor(), note.case_id),
        modalities=MODALITIES,
        format_labels=FORMAT_LABELS,
        addendum_labels=ADDENDUM_LABELS,
        **more,
    )


def note_page_of(sent: Sent) -> str:
    """Return the address of the signed note that a form was about."""
    return url_for("notes.note_page", note_id=sent.args["signed_note_id"])


amending = FormPage(
    blueprint,
    "/note/<uuid:signed_note_id>/addendum",
    Action.NOTE_AMEND,
    load_signed_note,
    client_of=lambda note: note.client_id,
    only_asks=True,
)


@amending.show
def addendum_page(note: NoteRecord, forms: Forms) -> str:
    """Show a signed note and the form that corrects it or adds to it."""
    blockers = list_blockers_of_addenda(current_actor(), note)
    return render_signed_note(
        "notes/addendum.html", note, forms=forms, blockers=blockers, kinds=CHOSEN_KINDS
    )


@amending.form(
    Action.NOTE_AMEND,
    Body(AddendumFormSchema, NewAddendum),
    lock=lock_note,
    refused="The addendum was not signed",
)
def amend(note: LockedNote, new: NewAddendum, sent: Sent) -> Done:
    """Sign an addendum to a signed note."""
    add_addendum(sent.actor, note, new)
    return Done(note_page_of(sent), "addendum_signed")
