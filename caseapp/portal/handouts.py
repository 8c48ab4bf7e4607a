"""The reading list and its handouts: pages, PDFs, and marking one as read."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, render_template, request, url_for

from caseapp.core.errors import NotFound, Reason, RuleBroken
from caseapp.core.i18n import current_language, in_language, lazy_gettext
from caseapp.core.permissions import Action
from caseapp.domain.assignments import operations as assignments
from caseapp.domain.assignments.printing import (
    assignment_pdf,
    client_packet_pdf,
    list_client_packet,
)
from caseapp.domain.assignments.reading import (
    get_own_assignment,
    get_reading_list_item,
    list_own_assignments,
    lock_own_assignment,
)
from caseapp.domain.assignments.rules import list_reading_blockers, select_readable
from caseapp.domain.auth.queries import get_own_access
from caseapp.domain.form_drafts.queries import list_draft_paths
from caseapp.domain.handouts.packets import MAX_HANDOUTS
from caseapp.domain.handouts.rendering import (
    FormInputs,
    render_fields,
    render_page_body,
)
from caseapp.domain.handouts.variants import find_variety
from caseapp.domain.practice.queries import get_practice_info
from caseapp.domain.safety_plans.queries import find_shown_plan
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.suitability.queries import get_recipient
from caseapp.domain.worksheets.queries import describe_controls, describe_sent, get_client_worksheet
from caseapp.domain.worksheets.schemas import FIELD_PREFIX, label_controls, name_controls
from caseapp.http.downloads import pdf_response
from caseapp.http.forms import BUTTON, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor, needs
from caseapp.portal.reading_list import (
    build_entries,
    build_entry,
    build_reading_list,
    format_position,
    get_coach_name,
    get_new_coach_name,
    list_help_lines,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flask.typing import ResponseReturnValue

    from caseapp.domain.assignments.queries import LockedAssignment
    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.handouts.fields import Answer, Field
    from caseapp.domain.worksheets.schemas import ClientWorksheet

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
REFUSED = lazy_gettext("That didn’t work")


@blueprint.get("")
@needs(Action.PORTAL_READ)
def reading_list_page() -> ResponseReturnValue:
    """Show the reading list: the same words and help lines, whatever was recorded about the client."""
    actor = current_actor()
    recipient = get_recipient(actor.id)
    own = list_own_assignments(actor, recipient)
    reading_list = build_reading_list(select_readable(own))
    help_numbers = recipient.practice_info.help_lines
    unsent = set(list_draft_paths(actor.id, actor.writing))
    return render_template(
        "portal/reading_list.html",
        unsent=build_entries(
            record
            for record in own
            if url_for("portal_handouts.handout_page", position=record.position) in unsent
        ),
        reading_list=reading_list,
        coach_name=get_coach_name(actor),
        new_coach=get_new_coach_name(actor),
        access=get_own_access(actor),
        emergency=help_numbers.emergency,
        lines=list_help_lines("crisis_block", help_numbers),
        max_handouts=MAX_HANDOUTS,
        has_plan=find_shown_plan(recipient.client, recipient.key, get_safety_state(actor.id))
        is not None,
    )


@dataclass(frozen=True)
class HandoutView:
    """A handout that a client was assigned, with what they wrote in it."""

    found: AssignmentRecord
    worksheet: ClientWorksheet

    @property
    def blockers(self) -> list[Reason]:
        """Why the client can't read the handout now; what they wrote in it stays theirs."""
        return list_reading_blockers(self.found)


def load_handout(position: int) -> HandoutView:
    """Load a handout of the client; opening one that may be read is recorded, except on HEAD requests.

    Raises NotFound.
    """
    actor = current_actor()
    found = get_own_assignment(actor, position)
    view = HandoutView(found, get_client_worksheet(actor, found))
    if not view.blockers:
        _record_opened(found)
    return view


page = FormPage(
    blueprint,
    "/h/<int(max=9999):position>",
    Action.PORTAL_READ,
    load_handout,
    client_of=lambda view: view.found.client_id,
)


@page.show
def handout_page(view: HandoutView, forms: Forms) -> str:
    """Show one handout as a page, or only what the client wrote in it while they can't read it.

    Raises RuleBroken with a neutral reason when they can't read it and wrote nothing.
    """
    return render_handout(view, forms)


@dataclass(frozen=True)
class ReadAnswers:
    """Answers from an uploaded PDF that are not saved yet, and the saved ones that they would replace."""

    values: Mapping[str, Answer]
    overwritten: Mapping[str, Answer]


def render_handout(view: HandoutView, forms: Forms, read: ReadAnswers | None = None) -> str:
    """Render a handout with its form fields: the saved answers, or those that were sent or read and are not saved.

    Of a handout that can't be read now, only the fields that hold the client's words are shown. Raises RuleBroken when
    there are none.
    """
    actor, found = current_actor(), view.found
    # Read again after a save: the page shows times in the practice's zone.
    help_numbers = get_practice_info().help_lines
    lines = list_help_lines("crisis_block", help_numbers)
    form = forms.get("save")
    form.labels |= label_controls(found.handout)
    beside = describe_sent(found.handout, form.saved)
    if read:
        form.raw = dict(read.values)
        with in_language(find_variety(found.handout.language)):
            beside = describe_controls(found.handout, read.overwritten)
    replaced = describe_sent(found.handout, form.replaced)
    inputs = FormInputs(FIELD_PREFIX, form.raw, form.errors, beside, replaced, current_language())
    fields: Sequence[Field] = found.handout.fields
    if view.blockers:
        filled = {*form.errors, *beside} | {name for name, text in form.raw.items() if text}
        fields = [field for field in fields if filled.intersection(name_controls(field))]
        if not fields and not view.worksheet.holds_something:
            raise RuleBroken(*view.blockers)
        body = render_fields(found.handout, fields, inputs)
    else:
        body = render_page_body(
            found.handout,
            help_numbers,
            faith=found.recipient.faith,
            staff=False,
            inputs=None if view.worksheet.is_locked else inputs,
            reviewed=found.reviewed,
        )
    return render_template(
        "portal/handout.html",
        entry=build_entry(found),
        message=found.message,
        coach_name=get_coach_name(actor),
        body=body,
        blockers=view.blockers,
        number=format_position(found.position),
        emergency=help_numbers.emergency,
        crisis=[line for line in lines if line.phone][:MAX_CRISIS_LINES],
        writes=any(field.inputs for field in fields) and not view.worksheet.is_locked,
        worksheet=view.worksheet,
        forms=forms,
        form=form,
        read=read,
        autosave_texts={name: str(text) for name, text in AUTOSAVE_TEXTS.items()},
    )


@page.form(
    Action.PORTAL_MARK,
    BUTTON,
    lock=lock_own_assignment,
    rule="/h/<int(max=9999):position>/read",
    refused=REFUSED,
)
def mark_read(assignment: LockedAssignment, _body: dict[str, object], sent: Sent) -> Done:
    """Mark a handout as read."""
    assignments.mark_own_read(sent.actor, assignment)
    return Done(url_for("portal_handouts.reading_list_page"), "handout_read")


@blueprint.get("/h/<int(max=9999):position>/reading-<string:number>.pdf")
@needs(Action.PORTAL_READ)
def handout_pdf(position: int, number: str) -> ResponseReturnValue:
    """Return one handout as a discreet PDF with a neutral file name."""
    if number != format_position(position):
        raise NotFound
    found = get_reading_list_item(current_actor(), position)
    large = request.args.get("size") == "large"
    name = f"reading-{number}-large.pdf" if large else f"reading-{number}.pdf"
    with neutral_pdf_error():
        pdf = assignment_pdf(found, large=large, discreet=True)
    _record_opened(found)
    return pdf_response(pdf, name)


@blueprint.get("/reading-all.pdf")
@needs(Action.PORTAL_READ)
def packet_pdf() -> ResponseReturnValue:
    """Return the reading list as one PDF; each handout is checked now and recorded as opened."""
    actor = current_actor()
    records = list_client_packet(actor)
    with neutral_pdf_error():
        pdf = client_packet_pdf(actor, records)
    for record in records:
        _record_opened(record)
    return pdf_response(pdf, "reading-all.pdf")


@contextmanager
def neutral_pdf_error() -> Iterator[None]:
    """Raise RuleBroken with one reason for clients when a PDF fails; log the technical reasons."""
    try:
        yield
    except RuleBroken as fault:
        log.warning("portal.no_pdf", codes=[reason.code for reason in fault.reasons])
        raise RuleBroken(
            Reason(
                "no_pdf",
                lazy_gettext("This can’t be saved as a PDF right now."),
                lazy_gettext("You can read it here, and your coach can print it for you later."),
            )
        ) from None


def _record_opened(found: AssignmentRecord) -> None:
    """Record that the handout was opened, except on HEAD requests."""
    if request.method == "GET":
        assignments.mark_opened(found)
