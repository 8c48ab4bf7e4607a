"""What else the editor of a note does with a draft: bring something forward, put a snippet in, go back to a text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any

from flask import render_template, request, url_for

from caseapp.core.errors import Invalid, NotFound, RuleBroken
from caseapp.core.permissions import Action
from caseapp.domain.cases.queries import get_case_context
from caseapp.domain.notes.codes import FORMAT_LABELS, MAX_REVISIONS, REVISE_EVERY
from caseapp.domain.notes.copied_operations import confirm_copied, copy_rest
from caseapp.domain.notes.operations import save_draft
from caseapp.domain.notes.plan_operations import bring_plan_forward
from caseapp.domain.notes.queries import LockedNote, lock_note
from caseapp.domain.notes.revision_operations import restore_text
from caseapp.domain.notes.revision_queries import get_own_draft, get_revision, list_revisions
from caseapp.domain.notes.snippet_operations import insert_snippet
from caseapp.http.forms import BUTTON, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor
from caseapp.http.request_parsing import parse_uuid
from caseapp.web.notes import (
    DRAFT,
    blueprint,
    draft_values,
    editor,
    section_labels,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from caseapp.core.actor import Actor
    from caseapp.domain.cases.queries import CaseContext
    from caseapp.domain.notes.records import NoteRecord
    from caseapp.domain.notes.revision_schemas import RevisionRecord
    from caseapp.domain.notes.schemas import DraftChange

    FurtherChange = Callable[[LockedNote, int, Sent], None]

__all__ = ["blueprint"]

LONGEST_START = 300
"""The characters of a section that the page of earlier texts shows at first; forty long texts are megabytes."""


def further_button(
    path: str, *, refused: str, message: str = "note_saved", anchor: str | None = None
) -> Callable[[FurtherChange], Callable[[LockedNote, DraftChange, Sent], Done]]:
    """Declare a button of the editor by the change that it makes after it has saved the draft, whose version it gets.

    A refusal of that change takes the save back, unless the save has opened a safety hold: then it stands. So the
    change must judge before it changes anything. `path` is that below the note's, `anchor` where its page goes on.
    """

    def declare(further: FurtherChange) -> Callable[[LockedNote, DraftChange, Sent], Done]:
        @wraps(further)
        def save_and_change(note: LockedNote, change: DraftChange, sent: Sent) -> Done:
            done = Done(url_for("notes.note_page", **sent.args, _anchor=anchor), message)
            before = note.row.screening_id
            saved = save_draft(sent.actor, note, change, sent.version)
            opened_hold = note.row.screening_id != before
            try:
                further(note, saved, sent)
            except (Invalid, NotFound, RuleBroken):
                if not opened_hold:
                    raise
                return replace(done, message="draft_opened_hold only_saved")
            is_same = note.row.screening_id == before
            return done if is_same else replace(done, message="draft_opened_hold")

        return editor.form(
            Action.NOTE_WRITE,
            DRAFT,
            lock=lock_note,
            rule=f"/note/<uuid:note_id>/{path}",
            values=draft_values,
            labels=section_labels,
            refused=refused,
            part_of="save",
        )(save_and_change)

    return declare


@further_button(
    "plan", refused="The plan was not brought forward", message="plan_brought", anchor="plan"
)
def bring_plan(note: LockedNote, saved: int, sent: Sent) -> None:
    """Save the draft, and put the plan of the last signed note into it."""
    bring_plan_forward(sent.actor, note, saved, parse_uuid(sent.fields.get("plan_of", "")))


@further_button("rest", refused="Nothing was copied", message="answers_copied", anchor="screening")
def copy_answers(note: LockedNote, saved: int, sent: Sent) -> None:
    """Save the draft, and copy the last answers for the questions that are blank."""
    copy_rest(sent.actor, note, saved)


@further_button("rest/confirm", refused="Nothing was confirmed", anchor="screening")
def confirm_answers(note: LockedNote, saved: int, sent: Sent) -> None:
    """Save the draft, and confirm the answers that were copied."""
    confirm_copied(sent.actor, note, saved)


@further_button("snippet", refused="The snippet was not put into the note")
def put_snippet(note: LockedNote, saved: int, sent: Sent) -> None:
    """Save the draft, and put a snippet into it."""
    if wanted := parse_uuid(sent.fields.get("snippet_id", "")):
        insert_snippet(sent.actor, note, wanted, saved)


@dataclass(frozen=True)
class RevisionPage:
    """A draft with its earlier texts, newest first, and the id of the one to show in full."""

    note: NoteRecord
    context: CaseContext
    revisions: list[RevisionRecord]
    whole: UUID | None


def load_revisions(note_id: UUID) -> RevisionPage:
    """Load the earlier texts of a draft and record that it was read.

    Raises NotFound, also for a signed note.
    """
    actor = current_actor()
    note = get_own_draft(actor, note_id)
    context = get_case_context(actor, note.case_id)
    whole = parse_uuid(request.args.get("whole", ""))
    return RevisionPage(note, context, list_revisions(actor, note), whole)


earlier = FormPage(
    blueprint,
    "/note/<uuid:note_id>/revisions",
    Action.NOTE_WRITE,
    load_revisions,
    client_of=lambda view: view.note.client_id,
    only_asks=True,
)


@earlier.show
def revisions_page(view: RevisionPage, forms: Forms) -> str:
    """Show the earlier texts of a draft, each with a button that puts it back."""
    return render_template(
        "notes/revisions.html",
        view=view,
        note=view.note,
        context=view.context,
        forms=forms,
        format_labels=FORMAT_LABELS,
        minutes=int(REVISE_EVERY.total_seconds() // 60),
        most=MAX_REVISIONS,
        longest=LONGEST_START,
    )


def lock_revised_note(actor: Actor, note_id: UUID, revision_id: UUID) -> LockedNote:
    """Lock the note of an earlier text.

    Raises NotFound, also when the note has no such text.
    """
    note = lock_note(actor, note_id)
    get_revision(note, revision_id)
    return note


@earlier.form(
    Action.NOTE_WRITE,
    BUTTON,
    lock=lock_revised_note,
    rule="/note/<uuid:note_id>/revisions/<uuid:revision_id>/restore",
    refused="The text was not restored",
)
def restore(note: LockedNote, _body: dict[str, Any], sent: Sent) -> Done:
    """Put an earlier text back; the present one is kept."""
    restore_text(sent.actor, note, sent.args["revision_id"], sent.version)
    return Done(url_for("notes.note_page", note_id=note.row.id), "text_restored")
