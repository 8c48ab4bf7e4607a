"""Pages for notes that need a co-signature: which ones, and the page on which a supervisor co-signs or returns one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template, request

from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.notes.amendment_queries import get_amendments_of
from caseapp.domain.notes.amendment_rules import find_open
from caseapp.domain.notes.cosign_operations import cosign_note, return_note
from caseapp.domain.notes.cosign_queries import get_review_of, list_reviews
from caseapp.domain.notes.cosign_rules import list_cosign_blockers, list_return_blockers
from caseapp.domain.notes.cosign_schemas import MAX_COMMENT, ReturnSchema
from caseapp.domain.notes.queries import LockedNote, lock_note
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor, needs
from caseapp.web.addenda import load_signed_note, note_page_of, render_signed_note

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.core.errors import Reason
    from caseapp.domain.notes.amendment_records import AmendmentRequest, NoteAmendments
    from caseapp.domain.notes.records import NoteRecord, NoteReviewRecord

blueprint = Blueprint("cosigning", __name__)


@blueprint.get("/notes/co-signing")
@needs(Action.NOTE_READ)
def review_list() -> ResponseReturnValue:
    """List the notes that need a co-signature."""
    page = list_reviews(current_actor(), request.args.get("cursor"), PAGE_SIZE)
    return render_template("notes/review_list.html", page=page)


@dataclass(frozen=True)
class CosignView:
    """A signed note, what became of it so far, and why the reader can neither co-sign nor return it.

    `amendments` is what the client wants corrected in it.
    """

    note: NoteRecord
    review: NoteReviewRecord
    amendments: NoteAmendments
    blockers: list[Reason]
    return_blockers: list[Reason]

    @property
    def open(self) -> AmendmentRequest | None:
        """The request that waits for an answer."""
        return find_open(self.amendments.requests)


def load_for_cosigning(signed_note_id: UUID) -> CosignView:
    """Load a signed note and what became of it, and record that it was read.

    Raises NotFound, also for a draft.
    """
    note, actor_id = load_signed_note(signed_note_id), current_actor().id
    amendments = get_amendments_of(note)
    return CosignView(
        note,
        get_review_of(note),
        amendments,
        list_cosign_blockers(note, amendments.requests, actor_id),
        list_return_blockers(note, actor_id),
    )


cosigning = FormPage(
    blueprint,
    "/note/<uuid:signed_note_id>/co-sign",
    Action.NOTE_COSIGN,
    load_for_cosigning,
    client_of=lambda view: view.note.client_id,
    only_asks=True,
)


@cosigning.show
def cosign_page(view: CosignView, forms: Forms) -> str:
    """Show a signed note, and the forms that co-sign it or return it to its author."""
    return render_signed_note(
        "notes/cosign.html", view.note, view=view, forms=forms, max_comment=MAX_COMMENT
    )


@cosigning.form(Action.NOTE_COSIGN, BUTTON, lock=lock_note, refused="The note was not co-signed")
def cosign(note: LockedNote, _body: dict[str, Any], sent: Sent) -> Done:
    """Co-sign a note."""
    cosign_note(sent.actor, note, sent.version)
    return Done(note_page_of(sent), "note_cosigned")


@cosigning.form(
    Action.NOTE_RETURN,
    Body(ReturnSchema, str),
    lock=lock_note,
    rule="/note/<uuid:signed_note_id>/return",
    refused="The note was not returned",
)
def send_back(note: LockedNote, comment: str, sent: Sent) -> Done:
    """Return a note to its author."""
    return_note(sent.actor, note, comment, sent.version)
    return Done(note_page_of(sent), "note_returned")
