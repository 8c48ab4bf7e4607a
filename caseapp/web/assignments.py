"""Assignments: what suits a case now, giving it, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken
from caseapp.core.pagination import PAGE_SIZE, Page, cursor_of
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments.eligibility import advice_for, offers_for
from caseapp.domain.assignments.operations import assign_several, mark_read, withdraw
from caseapp.domain.assignments.printing import assignment_pdf as pdf_of
from caseapp.domain.assignments.printing import case_pack_pdf, pack_of, unsaid_on
from caseapp.domain.assignments.queries import (
    assignment_shown,
    assignments_of,
    given_together,
    left_out_of,
    printable,
)
from caseapp.domain.assignments.schemas import (
    CHANNEL_WORDS,
    LONGEST_LINE,
    MOST_AT_ONCE,
    OUTCOME_WORDS,
    AssignSchema,
)
from caseapp.domain.assignments.suspended import LOOKED_THROUGH, resting_in, resting_list
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.queries import case_by_number
from caseapp.domain.cases.stages import stages
from caseapp.domain.worksheets.queries import returned_for
from caseapp.http.downloads import pdf_answer
from caseapp.http.errors import remember_refusal
from caseapp.http.guard import needs, the_actor
from caseapp.http.idempotency import form_once
from caseapp.http.request_parsing import Form, form_of, form_version, read_form, uuid_of
from caseapp.http.template_helpers import say
from caseapp.web.case_header import seen_case
from caseapp.web.handouts import language_asked, large_asked, stage_asked

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from flask.typing import ResponseReturnValue


blueprint = Blueprint("assignments", __name__)

STATE_WORDS = {
    "given": ("Not opened yet", ""),
    "opened": ("Opened", "info"),
    "read": ("Read", "ok"),
    "stopped": ("Resting", "watch"),
    "withdrawn": ("Withdrawn", ""),
    "recalled": ("Recalled", "alert"),
}


@blueprint.app_context_processor
def assignment_words() -> dict[str, object]:
    """Give the words about suitability and giving to the pages that use them."""
    return {
        "channel_words": CHANNEL_WORDS,
        "outcome_words": OUTCOME_WORDS,
        "assignment_states": STATE_WORDS,
    }


@blueprint.get("/handouts/resting")
@needs(Action.ASSIGNMENT_READ)
def resting_page() -> ResponseReturnValue:
    """Show what rests in the open cases, client by client."""
    actor = the_actor()
    page = resting_list(actor, request.args.get("cursor") or None, LOOKED_THROUGH)
    record_read(actor, Action.ASSIGNMENT_READ, "case", None, None)
    return render_template("assignments/resting.html", page=page, looked=LOOKED_THROUGH)


@blueprint.get("/case/<string:number>/handouts")
@needs(Action.ASSIGNMENT_READ)
def case_handouts(number: str) -> ResponseReturnValue:
    """Show what was given in a case, newest first."""
    return _case_handouts(number)


def _case_handouts(number: str, reasons: tuple[Reason, ...] = ()) -> str:
    actor, head = the_actor(), seen_case(number)
    record_read(actor, Action.ASSIGNMENT_READ, "case", head.case.id, head.case.client_id)
    found = assignments_of(
        actor, head, before=request.args.get("cursor") or None, limit=PAGE_SIZE + 1
    )
    shown = found[:PAGE_SIZE]
    more = cursor_of(shown[-1].assigned_at, shown[-1].id) if len(found) > PAGE_SIZE else None
    return render_template(
        "assignments/case.html",
        head=head,
        tab="Handouts",
        page=Page(shown, more),
        resting=resting_in(actor, head),
        returned=returned_for(actor, [record.id for record in shown]),
        unsaid=unsaid_on(head, shown),
        reasons=reasons,
    )


@blueprint.get("/case/<string:number>/handouts/assign")
@needs(Action.ASSIGNMENT_MAKE)
def assign_page(number: str) -> ResponseReturnValue:
    """Show which handouts suit a case now, and let the coach choose."""
    return _assign(number, Form())


def _assign(number: str, form: Form, reasons: tuple[Reason, ...] = ()) -> str:
    actor, head = the_actor(), seen_case(number)
    stage = stage_asked(head.case.stage)
    offers = offers_for(actor, head, stage or None, language_asked())
    groups = [
        (outcome, [offer for offer in offers if offer.verdict.outcome == outcome])
        for outcome in OUTCOME_WORDS
    ]
    return render_template(
        "assignments/assign.html",
        head=head,
        tab="Handouts",
        groups=[(outcome, found) for outcome, found in groups if found],
        filters=Form({"stage": stage or "all", "language": language_asked()}),
        stage_options={stage.id: f"{stage.number}. {stage.title}" for stage in stages()}
        | {"all": "All stages"},
        advice=advice_for(actor, head, language_asked()),
        form=form,
        reasons=reasons,
        confirm=any(reason.code == "confirm_needed" for reason in reasons),
        longest_line=LONGEST_LINE,
    )


@blueprint.post("/case/<string:number>/handouts/assign")
@needs(Action.ASSIGNMENT_MAKE)
def assign_now(number: str) -> ResponseReturnValue:
    """Give the chosen handouts, all or none."""
    actor = the_actor()
    try:
        wanted = read_form(AssignSchema())
        with transaction():
            head = case_by_number(actor, number)
            first = form_once(lambda: assign_several(actor, head.case.id, wanted)[0])
    except Invalid as error:
        return _assign(number, form_of(error)), 422
    except RuleBroken as error:
        remember_refusal(error)
        return _assign(number, form_of(), error.reasons), 409
    say("handouts_assigned")
    if len(wanted.slugs) == 1:
        return redirect(url_for("assignments.case_handouts", number=number), code=303)
    chosen = {"channel": wanted.channel, "language": wanted.language, "chosen": wanted.slugs}
    return redirect(
        url_for("assignments.given_page", number=number, assignment_id=first, **chosen), code=303
    )


@blueprint.get("/case/<string:number>/handouts/<uuid:assignment_id>/given")
@needs(Action.ASSIGNMENT_READ)
def given_page(number: str, assignment_id: UUID) -> ResponseReturnValue:
    """Show what was given in one step, for which week, and what was left out and why."""
    actor, head = the_actor(), seen_case(number)
    record_read(actor, Action.ASSIGNMENT_READ, "case", head.case.id, head.case.client_id)
    given = given_together(actor, head, assignment_id)
    left_out = left_out_of(
        head,
        request.args.getlist("chosen")[:MOST_AT_ONCE],
        given,
        request.args.get("channel", "portal"),
        language_asked(),
    )
    return render_template(
        "assignments/given.html", head=head, tab="Handouts", given=given, left_out=left_out
    )


@blueprint.get("/case/<string:number>/handouts/<uuid:assignment_id>/pdf")
@needs(Action.ASSIGNMENT_READ)
def assignment_pdf(number: str, assignment_id: UUID) -> ResponseReturnValue:
    """Give the PDF of what was given, in the edition that was given; its file name tells nothing."""
    actor = the_actor()
    found = printable(actor, assignment_id)
    if found.case_number != number:
        raise NotFound
    record_read(actor, Action.ASSIGNMENT_READ, "assignment", found.id, found.client_id)
    name = f"reading-{found.place:02}{'-large' if large_asked() else ''}.pdf"
    return pdf_answer(pdf_of(found, large=large_asked(), code=True), name)


@blueprint.get("/case/<string:number>/handouts/pack")
@needs(Action.ASSIGNMENT_READ)
def pack_page(number: str) -> ResponseReturnValue:
    """Show what one PDF of the chosen handouts holds, and what is left out of it and why."""
    actor, head = the_actor(), seen_case(number)
    record_read(actor, Action.ASSIGNMENT_READ, "case", head.case.id, head.case.client_id)
    try:
        pack = pack_of(actor, head, _chosen())
    except Invalid as error:
        return _case_handouts(number, tuple(Reason("sheet", t) for t in error.fields["sheet"])), 422
    return render_template("assignments/pack.html", head=head, tab="Handouts", pack=pack)


@blueprint.get("/case/<string:number>/handouts/reading-all.pdf")
@needs(Action.ASSIGNMENT_READ)
def pack_file(number: str) -> ResponseReturnValue:
    """Give the chosen handouts as one PDF; whatever may not go out now refuses the whole, with its reasons."""
    actor, head = the_actor(), seen_case(number)
    if not _chosen():
        return redirect(url_for("assignments.case_handouts", number=number), code=303)
    record_read(actor, Action.ASSIGNMENT_READ, "case", head.case.id, head.case.client_id)
    made = case_pack_pdf(actor, head, _chosen(), large=large_asked())
    return pdf_answer(made, f"reading-all{'-large' if large_asked() else ''}.pdf")


def _chosen() -> list[UUID]:
    """Read which assignments an address asks for.

    Raises NotFound for what is no id.
    """
    found = [uuid_of(text) for text in request.args.getlist("sheet")]
    if None in found:
        raise NotFound
    return [one for one in found if one]


@blueprint.post("/case/<string:number>/handouts/<uuid:assignment_id>/withdraw")
@needs(Action.ASSIGNMENT_WITHDRAW)
def withdraw_now(number: str, assignment_id: UUID) -> ResponseReturnValue:
    """Take a handout back."""
    version = form_version()
    return _change(
        number,
        assignment_id,
        lambda: withdraw(the_actor(), assignment_id, version),
        "handout_withdrawn",
    )


@blueprint.post("/case/<string:number>/handouts/<uuid:assignment_id>/read")
@needs(Action.ASSIGNMENT_MARK)
def read_now(number: str, assignment_id: UUID) -> ResponseReturnValue:
    """Mark as read what was handed over or read together."""
    version = form_version()
    return _change(
        number,
        assignment_id,
        lambda: mark_read(the_actor(), assignment_id, version),
        "handout_read",
    )


def _change(
    number: str, assignment_id: UUID, change: Callable[[], None], done: str
) -> ResponseReturnValue:
    actor = the_actor()
    try:
        with transaction():
            head = case_by_number(actor, number)
            if assignment_shown(actor, assignment_id).case_id != head.case.id:
                raise NotFound
            change()
    except RuleBroken as error:
        remember_refusal(error)
        return _case_handouts(number, error.reasons), 409
    say(done)
    return redirect(url_for("assignments.case_handouts", number=number), code=303)
