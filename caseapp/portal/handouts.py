"""The reading list and its handouts: pages, PDFs, and marking one as read."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import NotFound, Reason, RuleBroken
from caseapp.core.i18n import current_language, in_language, lazy_gettext, variety_of
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments import operations as assignments
from caseapp.domain.assignments.printing import (
    assignment_pdf,
    client_packet_pdf,
    list_client_packet,
)
from caseapp.domain.assignments.reading import (
    get_reading_list,
    get_reading_list_item,
    lock_own_assignment,
)
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.queries import find_newest_case
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.handouts.packets import MAX_HANDOUTS
from caseapp.domain.handouts.rendering import FormInputs, render_page_body
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.suitability.queries import get_recipient
from caseapp.domain.worksheets.queries import format_answer, get_client_worksheet
from caseapp.domain.worksheets.schemas import FIELD_PREFIX
from caseapp.http.downloads import pdf_response
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import Form
from caseapp.http.template_helpers import flash
from caseapp.portal.reading_list import (
    build_entry,
    build_reading_list,
    format_position,
    get_coach_name,
    list_help_lines,
    shorten_coach_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flask.typing import ResponseReturnValue

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.worksheets.schemas import Answer

log = structlog.get_logger()

blueprint = Blueprint("portal_handouts", __name__, url_prefix="/portal")

MAX_CRISIS_LINES = 2
AUTOSAVE_TEXTS = {
    "saving": lazy_gettext("Saving…"),
    "saved": lazy_gettext("Saved at {time}"),
    "again": lazy_gettext("Not saved. Trying again…"),
    "signedOut": lazy_gettext(
        "You’re signed out. Sign in again in a new tab; what you wrote stays here."
    ),
    "elsewhere": lazy_gettext("Not saved. It was saved in another window."),
    "invalid": lazy_gettext("Not saved. {why}"),
    "closed": lazy_gettext("Not saved. This worksheet can’t be changed right now."),
}
"""What `autosave.js` tells a client."""


@blueprint.get("")
@needs(Action.PORTAL_READ)
def reading_list_page() -> ResponseReturnValue:
    """Show the reading list; during a safety hold, help comes first and the progress is left out."""
    actor = current_actor()
    recipient = get_recipient(actor.id)
    reading_list = build_reading_list(
        get_reading_list(actor, recipient), help_first=recipient.situation.hold == "safety"
    )
    record_read(actor, Action.PORTAL_READ, "assignment", None, actor.id)
    case, coach = find_newest_case(actor.id)
    help_numbers = recipient.practice_info.help_lines
    return render_template(
        "portal/reading_list.html",
        reading_list=reading_list,
        coach_name=shorten_coach_name(coach),
        stage=stage_by_id()[case.stage] if case and case.status == "open" else None,
        emergency=help_numbers.emergency,
        lines=list_help_lines("crisis_block", help_numbers) if reading_list.help_first else [],
        max_handouts=MAX_HANDOUTS,
    )


@blueprint.get("/h/<int(max=9999):position>")
@needs(Action.PORTAL_READ)
def handout_page(position: int) -> ResponseReturnValue:
    """Show one handout as a page."""
    return render_handout(_open_handout(position))


@dataclass(frozen=True)
class UnsavedChanges:
    """Answers that are not saved and why, or why an upload was rejected."""

    form: Form | None = None
    overwritten: Mapping[str, Answer] = field(default_factory=dict)
    conflict: str = ""
    reasons: tuple[Reason, ...] = ()


def render_handout(found: AssignmentRecord, unsaved: UnsavedChanges | None = None) -> str:
    """Render a handout with its form fields: the saved answers, or the submitted ones that are not saved."""
    actor, unsaved = current_actor(), unsaved or UnsavedChanges()
    # Read again after a save: the page shows times in the practice's zone.
    help_numbers = get_practice_info().help_lines
    lines = list_help_lines("crisis_block", help_numbers)
    worksheet = get_client_worksheet(actor, found)
    form = unsaved.form or Form()
    with in_language(variety_of(found.handout.language)):
        saved = {
            f"{FIELD_PREFIX}{name}": format_answer(answer)
            for name, answer in unsaved.overwritten.items()
        }
    inputs = FormInputs(
        FIELD_PREFIX,
        form.raw or {f"{FIELD_PREFIX}{name}": answer for name, answer in worksheet.answers.items()},
        form.errors,
        saved,
        current_language(),
    )
    return render_template(
        "portal/handout.html",
        entry=build_entry(found),
        message=found.message,
        coach_name=get_coach_name(actor),
        body=render_page_body(
            found.handout, help_numbers, faith=found.recipient.faith, staff=False, inputs=inputs
        ),
        emergency=help_numbers.emergency,
        crisis=[line for line in lines if line.phone][:MAX_CRISIS_LINES],
        writes=bool(found.handout.fields),
        worksheet=worksheet,
        form=form,
        unsaved=unsaved,
        reasons=unsaved.reasons,
        autosave_texts={name: str(text) for name, text in AUTOSAVE_TEXTS.items()},
    )


@blueprint.get("/h/<int(max=9999):position>/reading-<string:number>.pdf")
@needs(Action.PORTAL_READ)
def handout_pdf(position: int, number: str) -> ResponseReturnValue:
    """Return one handout as a PDF with a neutral file name."""
    if number != format_position(position):
        raise NotFound
    found = get_reading_list_item(current_actor(), position)
    large = request.args.get("size") == "large"
    name = f"reading-{number}-large.pdf" if large else f"reading-{number}.pdf"
    with _neutral_pdf_error():
        pdf = assignment_pdf(found, large=large, code=False)
    _record_opened(found)
    return pdf_response(pdf, name)


@blueprint.get("/reading-all.pdf")
@needs(Action.PORTAL_READ)
def packet_pdf() -> ResponseReturnValue:
    """Return the reading list as one PDF; each handout is checked now and recorded as opened."""
    actor = current_actor()
    records = list_client_packet(actor)
    with _neutral_pdf_error():
        pdf = client_packet_pdf(actor, records)
    record_read(actor, Action.PORTAL_READ, "assignment", None, actor.id)
    for record in records:
        _record_opened(record)
    return pdf_response(pdf, "reading-all.pdf")


@contextmanager
def _neutral_pdf_error() -> Iterator[None]:
    """Raise RuleBroken with one reason for clients when a PDF fails; log the technical reasons."""
    try:
        yield
    except RuleBroken as fault:
        log.warning("portal.no_pdf", codes=[reason.code for reason in fault.reasons])
        raise RuleBroken(
            Reason(
                "no_pdf",
                lazy_gettext("This can't be saved as a PDF right now."),
                lazy_gettext("You can read it here, and your coach can print it for you later."),
            )
        ) from None


def _open_handout(position: int) -> AssignmentRecord:
    found = get_reading_list_item(current_actor(), position)
    _record_opened(found)
    return found


def _record_opened(found: AssignmentRecord) -> None:
    """Record that the handout was opened, except on HEAD requests."""
    if request.method == "GET":
        assignments.mark_opened(current_actor(), found)


@blueprint.post("/h/<int(max=9999):position>/read")
@needs(Action.PORTAL_MARK)
def mark_read(position: int) -> ResponseReturnValue:
    """Mark a handout as read."""
    with transaction():
        assignments.mark_own_read(current_actor(), lock_own_assignment(current_actor(), position))
    flash("handout_read")
    return redirect(url_for("portal_handouts.reading_list_page"), code=303)
