"""The reading list and its sheets: as a page, as a PDF, marked as read."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import NotFound, Reason, RuleBroken
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.operations import mark_read
from caseapp.domain.assignments.printing import assignment_pdf, own_pack, own_pack_pdf
from caseapp.domain.assignments.reading import reading, reading_list
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.queries import newest_case_of
from caseapp.domain.cases.stages import stage_by_id
from caseapp.domain.handouts.packets import MOST_SHEETS
from caseapp.domain.handouts.rendering import Inputs, page_html
from caseapp.domain.practice.queries import office
from caseapp.domain.screening.queries import safety_of
from caseapp.domain.worksheets.queries import as_words, paper_of
from caseapp.domain.worksheets.schemas import PREFIX
from caseapp.http.downloads import pdf_answer
from caseapp.http.guard import needs, the_actor
from caseapp.http.request_parsing import Form
from caseapp.http.template_helpers import say
from caseapp.portal.phrases import ENGLISH, Speech
from caseapp.portal.reading_list import entry_of, guide_of, lines_apart, number_of, shelf_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flask.typing import ResponseReturnValue

    from caseapp.domain.assignments.schemas import AssignmentRecord
    from caseapp.domain.worksheets.schemas import Answer

log = structlog.get_logger()

blueprint = Blueprint("portal_reading", __name__, url_prefix="/portal")

MOST_LINES = 2


# Every page speaks English unless its view says otherwise.
blueprint.add_app_template_global(ENGLISH, "tell")


@blueprint.get("")
@needs(Action.PORTAL_READ)
def list_page() -> ResponseReturnValue:
    """Show what there is to read; while coaching rests for safety, help comes first and the way is left out."""
    actor = the_actor()
    shelf = shelf_of(reading_list(actor), help_first=safety_of(actor.id).hold == "safety")
    record_read(actor, Action.PORTAL_READ, "assignment", None, actor.id)
    case, known = newest_case_of(actor.id), office().numbers
    return render_template(
        "portal/list.html",
        shelf=shelf,
        guide=guide_of(actor, case),
        stage=stage_by_id()[case.stage] if case and case.status == "open" else None,
        emergency=known.emergency,
        lines=lines_apart("crisis_block", known) if shelf.help_first else [],
        most_in_one=MOST_SHEETS,
    )


@blueprint.get("/h/<int(max=9999):place>")
@needs(Action.PORTAL_READ)
def sheet(place: int) -> ResponseReturnValue:
    """Show one sheet as a page."""
    return show_sheet(_opened(place))


@dataclass(frozen=True)
class Unsaved:
    """Say why a sheet is shown with answers that are not saved, or why a file was not taken."""

    form: Form | None = None
    lost: Mapping[str, Answer] = field(default_factory=dict)
    conflict: str = ""
    reasons: tuple[Reason, ...] = ()


def show_sheet(found: AssignmentRecord, unsaved: Unsaved | None = None) -> str:
    """Show a sheet with its fields to write in: what is saved there, or what was sent and is not saved."""
    actor, unsaved = the_actor(), unsaved or Unsaved()
    known = found.recipient.office.numbers
    apart = lines_apart("crisis_block", known, found.handout.language)
    paper = paper_of(actor, found)
    tell, sent = Speech(found.handout.language), unsaved.form or Form()
    form = Form(sent.raw, tell.errors(sent.errors))
    inputs = Inputs(
        PREFIX,
        form.raw or {f"{PREFIX}{name}": answer for name, answer in paper.answers.items()},
        form.errors,
        {
            f"{PREFIX}{name}": as_words(answer, found.handout.language)
            for name, answer in unsaved.lost.items()
        },
    )
    return render_template(
        "portal/sheet.html",
        entry=entry_of(found),
        line=found.line,
        guide=guide_of(actor),
        body=page_html(
            found.handout, known, faith=found.recipient.faith, staff=False, inputs=inputs
        ),
        emergency=known.emergency,
        crisis=[line for line in apart if line.phone][:MOST_LINES],
        writes=bool(found.handout.fields),
        paper=paper,
        form=form,
        unsaved=unsaved,
        reasons=tuple(map(tell.reason, unsaved.reasons)),
        tell=tell,
    )


@blueprint.get("/h/<int(max=9999):place>/reading-<string:number>.pdf")
@needs(Action.PORTAL_READ)
def sheet_file(place: int, number: str) -> ResponseReturnValue:
    """Give one sheet as a PDF whose name tells nothing."""
    if number != number_of(place):
        raise NotFound
    found, large = reading(the_actor(), place), request.args.get("size") == "large"
    name = f"reading-{number}-large.pdf" if large else f"reading-{number}.pdf"
    with _in_calm_words():
        made = assignment_pdf(found, large=large, code=False)
    _note_opened(found)
    return pdf_answer(made, name)


@blueprint.get("/reading-all.pdf")
@needs(Action.PORTAL_READ)
def all_sheets() -> ResponseReturnValue:
    """Give what is on the list as one PDF, each sheet judged now and opened with it."""
    actor = the_actor()
    records = own_pack(actor)
    with _in_calm_words():
        made = own_pack_pdf(actor, records)
    record_read(actor, Action.PORTAL_READ, "assignment", None, actor.id)
    for record in records:
        _note_opened(record)
    return pdf_answer(made, "reading-all.pdf")


@contextmanager
def _in_calm_words() -> Iterator[None]:
    """Tell a client that there is no PDF just now; why, and what an operator could do, is for the practice to read.

    Raises RuleBroken.
    """
    try:
        yield
    except RuleBroken as fault:
        log.warning("portal.no_pdf", codes=[reason.code for reason in fault.reasons])
        raise RuleBroken(
            Reason(
                "no_pdf",
                "This cannot be saved as a PDF just now.",
                "You can read it here, and your coach can print it for you later.",
            )
        ) from None


def _opened(place: int) -> AssignmentRecord:
    found = reading(the_actor(), place)
    _note_opened(found)
    return found


def _note_opened(found: AssignmentRecord) -> None:
    """Let the log of reads say that a sheet was opened, unless a program only asks for the headers."""
    if request.method == "GET":
        record_read(the_actor(), Action.PORTAL_READ, "assignment", found.id, found.client_id)


@blueprint.post("/h/<int(max=9999):place>/read")
@needs(Action.PORTAL_MARK)
def read_now(place: int) -> ResponseReturnValue:
    """Mark a sheet as read."""
    with transaction():
        mark_read(the_actor(), place)
    say("handout_read")
    return redirect(url_for("portal_reading.list_page"), code=303)
