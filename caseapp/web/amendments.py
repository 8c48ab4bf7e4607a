"""Pages for clients' requests to correct a signed note: which wait, and the page that records and answers one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request

from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.notes.amendment_operations import (
    accept_request,
    decline_request,
    record_request,
)
from caseapp.domain.notes.amendment_queries import (
    get_amendments_of,
    list_blockers_of_answer,
    list_waiting_amendments,
)
from caseapp.domain.notes.amendment_rules import (
    ANSWER_DAYS,
    find_open,
    list_request_blockers,
)
from caseapp.domain.notes.amendment_schemas import (
    MAX_REASON,
    MAX_WORDS,
    AcceptAmendmentSchema,
    DeclineAmendmentSchema,
    NewAmendmentRequest,
    NewAmendmentRequestSchema,
)
from caseapp.domain.notes.queries import LockedNote, lock_note
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor, needs
from caseapp.web.addenda import load_signed_note, note_page_of, render_signed_note

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.core.errors import Reason
    from caseapp.domain.notes.amendment_records import AmendmentRequest, NoteAmendments
    from caseapp.domain.notes.records import NoteRecord

blueprint = Blueprint("amendments", __name__)


@blueprint.get("/notes/corrections")
@needs(Action.NOTE_READ)
def request_list() -> ResponseReturnValue:
    """List the requests that wait for an answer."""
    page = list_waiting_amendments(current_actor(), request.args.get("cursor"), PAGE_SIZE)
    return render_template("notes/amendment_list.html", page=page, answer_days=ANSWER_DAYS)


@dataclass(frozen=True)
class AmendmentView:
    """A signed note, what its client wants corrected, and why the reader can neither record nor answer a request."""

    note: NoteRecord
    amendments: NoteAmendments
    blockers: list[Reason]
    answer_blockers: list[Reason]

    @property
    def open(self) -> AmendmentRequest | None:
        """The request that waits for an answer."""
        return find_open(self.amendments.requests)


def load_amendments(signed_note_id: UUID) -> AmendmentView:
    """Load a signed note and the requests to correct it, and record that it was read.

    Raises NotFound, also for a draft.
    """
    note = load_signed_note(signed_note_id)
    found = get_amendments_of(note)
    return AmendmentView(
        note,
        found,
        list_request_blockers(note, found.requests),
        list_blockers_of_answer(current_actor(), note, found.requests),
    )


page = FormPage(
    blueprint,
    "/note/<uuid:signed_note_id>/correction",
    Action.AMENDMENT_WRITE,
    load_amendments,
    client_of=lambda view: view.note.client_id,
    only_asks=True,
)


@page.show
def amendment_page(view: AmendmentView, forms: Forms) -> str:
    """Show a signed note with the requests to correct it, and the forms that record or answer one."""
    return render_signed_note(
        "notes/amendment.html",
        view.note,
        view=view,
        forms=forms,
        answer_days=ANSWER_DAYS,
        max_words=MAX_WORDS,
        max_reason=MAX_REASON,
    )


@page.form(
    Action.AMENDMENT_WRITE,
    Body(NewAmendmentRequestSchema, NewAmendmentRequest),
    lock=lock_note,
    refused="The request was not recorded",
)
def ask(note: LockedNote, new: NewAmendmentRequest, sent: Sent) -> Done:
    """Record what the client wants corrected."""
    record_request(sent.actor, note, new)
    return Done(note_page_of(sent), "saved")


@page.form(
    Action.NOTE_AMEND,
    Body(AcceptAmendmentSchema, str),
    lock=lock_note,
    rule="/note/<uuid:signed_note_id>/correction/accept",
    refused="The correction was not signed",
)
def accept(note: LockedNote, text: str, sent: Sent) -> Done:
    """Accept the request and sign the correction."""
    accept_request(sent.actor, note, text, sent.version)
    return Done(note_page_of(sent), "addendum_signed")


@page.form(
    Action.AMENDMENT_WRITE,
    Body(DeclineAmendmentSchema, str),
    lock=lock_note,
    rule="/note/<uuid:signed_note_id>/correction/decline",
    refused="The request was not declined",
)
def decline(note: LockedNote, reason: str, sent: Sent) -> Done:
    """Decline the request with a reason."""
    decline_request(sent.actor, note, reason, sent.version)
    return Done(note_page_of(sent), "saved")
