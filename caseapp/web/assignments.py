"""Pages of assignments: assign handouts in a case, see what became of them, print them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, NotFound, Reason, RuleBroken
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.assignments import operations
from caseapp.domain.assignments.printing import assignment_pdf as make_pdf
from caseapp.domain.assignments.printing import case_packet_pdf, get_packet, list_omissions
from caseapp.domain.assignments.queries import (
    get_printable_assignment,
    list_assigned_together,
    list_skipped_handouts,
    lock_assignment,
)
from caseapp.domain.assignments.reading import (
    SUSPENDED_PAGE_SIZE,
    get_handout_choice,
    list_case_assignments,
    list_suspended_cases,
)
from caseapp.domain.assignments.schemas import (
    CHANNEL_LABELS,
    MAX_HANDOUTS,
    MAX_MESSAGE_LENGTH,
    AssignHandoutsFormSchema,
)
from caseapp.domain.audit.operations import record_read
from caseapp.domain.cases.queries import get_case_context_by_number, lock_case
from caseapp.domain.cases.stages import stages
from caseapp.domain.suitability.schemas import OUTCOME_LABELS
from caseapp.domain.users.queries import get_user_names
from caseapp.domain.worksheets.queries import get_shared_summaries
from caseapp.http.downloads import pdf_response
from caseapp.http.errors import record_refused_request
from caseapp.http.guard import current_actor, needs
from caseapp.http.idempotency import run_form_once
from caseapp.http.request_parsing import Form, form_version, parse_uuid, read_form, submitted_form
from caseapp.http.template_helpers import flash
from caseapp.web.case_header import load_case_context
from caseapp.web.handouts import (
    get_requested_language,
    get_requested_stage,
    is_large_print_requested,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.domain.assignments.queries import LockedAssignment


blueprint = Blueprint("assignments", __name__)

STATE_LABELS = {
    "assigned": ("Not opened yet", ""),
    "opened": ("Opened", "info"),
    "read": ("Read", "ok"),
    "suspended": ("Suspended", "watch"),
    "withdrawn": ("Withdrawn", ""),
    "recalled": ("Recalled", "alert"),
}


@blueprint.app_context_processor
def assignment_labels() -> dict[str, object]:
    """Add the labels of channels, outcomes and states to the templates."""
    return {
        "channel_labels": CHANNEL_LABELS,
        "outcome_labels": OUTCOME_LABELS,
        "assignment_states": STATE_LABELS,
    }


@blueprint.get("/handouts/suspended")
@needs(Action.ASSIGNMENT_READ)
def suspended_page() -> ResponseReturnValue:
    """Show the suspended assignments of open cases, client by client."""
    actor = current_actor()
    page = list_suspended_cases(actor, request.args.get("cursor") or None, SUSPENDED_PAGE_SIZE)
    record_read(actor, Action.ASSIGNMENT_READ, "case", None, None)
    return render_template("assignments/suspended.html", page=page, page_size=SUSPENDED_PAGE_SIZE)


@blueprint.get("/case/<string:number>/handouts")
@needs(Action.ASSIGNMENT_READ)
def case_handouts(number: str) -> ResponseReturnValue:
    """Show the assignments of a case, newest first."""
    return _case_handouts(number)


def _case_handouts(number: str, reasons: tuple[Reason, ...] = ()) -> str:
    actor, context = current_actor(), load_case_context(number)
    record_read(actor, Action.ASSIGNMENT_READ, "case", context.case.id, context.case.client_id)
    page, suspended = list_case_assignments(actor, context, request.args.get("cursor"), PAGE_SIZE)
    return render_template(
        "assignments/case_handouts.html",
        context=context,
        tab="Handouts",
        page=page,
        names=get_user_names({record.withdrawn_by for record in page.items if record.withdrawn_by}),
        suspended=suspended,
        shared=get_shared_summaries(actor, [record.id for record in page.items]),
        omissions=list_omissions(context, page.items),
        reasons=reasons,
    )


@blueprint.get("/case/<string:number>/handouts/assign")
@needs(Action.ASSIGNMENT_CREATE)
def assign_page(number: str) -> ResponseReturnValue:
    """Show which handouts suit a case now, to choose from."""
    return _assign_page(number, Form())


def _assign_page(number: str, form: Form, reasons: tuple[Reason, ...] = ()) -> str:
    actor, context = current_actor(), load_case_context(number)
    stage = get_requested_stage(context.case.stage)
    choice = get_handout_choice(actor, context, get_requested_language())
    options = [option for option in choice.options if not stage or option.handout.fits(stage)]
    groups = [
        (outcome, [option for option in options if option.suitability.outcome == outcome])
        for outcome in OUTCOME_LABELS
    ]
    return render_template(
        "assignments/assign.html",
        context=context,
        tab="Handouts",
        groups=[(outcome, found) for outcome, found in groups if found],
        filters=Form({"stage": stage or "all", "language": get_requested_language()}),
        stage_options={stage.id: f"{stage.number}. {stage.title}" for stage in stages()}
        | {"all": "All stages"},
        recommendation=choice.recommendation,
        form=form,
        reasons=reasons,
        confirm=any(reason.code == "confirmation_required" for reason in reasons),
        max_message_length=MAX_MESSAGE_LENGTH,
    )


@blueprint.post("/case/<string:number>/handouts/assign")
@needs(Action.ASSIGNMENT_CREATE)
def assign(number: str) -> ResponseReturnValue:
    """Assign the chosen handouts; blocked ones are skipped."""
    actor = current_actor()
    try:
        wanted = read_form(AssignHandoutsFormSchema())
        with transaction():
            case = lock_case(actor, number)
            first = run_form_once(lambda: operations.assign_handouts(actor, case, wanted)[0])
    except Invalid as error:
        return _assign_page(number, submitted_form(error)), 422
    except RuleBroken as error:
        record_refused_request(error)
        return _assign_page(number, submitted_form(), error.reasons), 409
    flash("handouts_assigned")
    if len(wanted.slugs) == 1:
        return redirect(url_for("assignments.case_handouts", number=number), code=303)
    chosen = {"channel": wanted.channel, "language": wanted.language, "chosen": wanted.slugs}
    return redirect(
        url_for("assignments.assigned_page", number=number, assignment_id=first, **chosen), code=303
    )


@blueprint.get("/case/<string:number>/handouts/<uuid:assignment_id>/assigned")
@needs(Action.ASSIGNMENT_READ)
def assigned_page(number: str, assignment_id: UUID) -> ResponseReturnValue:
    """Show what was assigned in one step, for which week, and what was skipped and why."""
    actor, context = current_actor(), load_case_context(number)
    record_read(actor, Action.ASSIGNMENT_READ, "case", context.case.id, context.case.client_id)
    assigned = list_assigned_together(actor, context, assignment_id)
    skipped = list_skipped_handouts(
        context,
        request.args.getlist("chosen")[:MAX_HANDOUTS],
        assigned,
        request.args.get("channel", "portal"),
        get_requested_language(),
    )
    return render_template(
        "assignments/assigned.html",
        context=context,
        tab="Handouts",
        assigned=assigned,
        skipped=skipped,
    )


@blueprint.get("/case/<string:number>/handouts/<uuid:assignment_id>/pdf")
@needs(Action.ASSIGNMENT_READ)
def assignment_pdf(number: str, assignment_id: UUID) -> ResponseReturnValue:
    """Download an assignment's PDF in its handout version; the file name reveals nothing."""
    actor = current_actor()
    found = get_printable_assignment(actor, assignment_id)
    if found.case_number != number:
        raise NotFound
    record_read(actor, Action.ASSIGNMENT_READ, "assignment", found.id, found.client_id)
    name = f"reading-{found.position:02}{'-large' if is_large_print_requested() else ''}.pdf"
    return pdf_response(make_pdf(found, large=is_large_print_requested(), code=True), name)


@blueprint.get("/case/<string:number>/handouts/packet")
@needs(Action.ASSIGNMENT_READ)
def packet_page(number: str) -> ResponseReturnValue:
    """Show what one PDF of the chosen handouts contains, and what is left out and why."""
    actor, context = current_actor(), load_case_context(number)
    record_read(actor, Action.ASSIGNMENT_READ, "case", context.case.id, context.case.client_id)
    try:
        packet = get_packet(actor, context, _chosen_ids())
    except Invalid as error:
        return _case_handouts(
            number,
            tuple(
                Reason("too_many", text, "Make several PDFs.")
                for text in error.fields["assignment"]
            ),
        ), 422
    return render_template(
        "assignments/packet.html", context=context, tab="Handouts", packet=packet
    )


@blueprint.get("/case/<string:number>/handouts/reading-all.pdf")
@needs(Action.ASSIGNMENT_READ)
def packet_pdf(number: str) -> ResponseReturnValue:
    """Download the chosen handouts as one PDF; refused with the reasons when one of them has blockers."""
    actor = current_actor()
    context = get_case_context_by_number(actor, number)
    record_read(actor, Action.ASSIGNMENT_READ, "case", context.case.id, context.case.client_id)
    if not _chosen_ids():
        return redirect(url_for("assignments.case_handouts", number=number), code=303)
    pdf = case_packet_pdf(actor, context, _chosen_ids(), large=is_large_print_requested())
    return pdf_response(pdf, f"reading-all{'-large' if is_large_print_requested() else ''}.pdf")


def _chosen_ids() -> list[UUID]:
    """Read the ids of assignments from the query string.

    Raises NotFound for a value that isn't an id.
    """
    found = [parse_uuid(text) for text in request.args.getlist("assignment")]
    if None in found:
        raise NotFound
    return [one for one in found if one]


@blueprint.post("/case/<string:number>/handouts/<uuid:assignment_id>/withdraw")
@needs(Action.ASSIGNMENT_WITHDRAW)
def withdraw(number: str, assignment_id: UUID) -> ResponseReturnValue:
    """Withdraw a handout."""
    version = form_version()
    return _apply_change(
        number,
        assignment_id,
        lambda assignment: operations.withdraw(current_actor(), assignment, version),
        "handout_withdrawn",
    )


@blueprint.post("/case/<string:number>/handouts/<uuid:assignment_id>/read")
@needs(Action.ASSIGNMENT_MARK)
def mark_read(number: str, assignment_id: UUID) -> ResponseReturnValue:
    """Mark as read what was handed over or read together."""
    version = form_version()
    return _apply_change(
        number,
        assignment_id,
        lambda assignment: operations.mark_read(current_actor(), assignment, version),
        "handout_read",
    )


def _apply_change(
    number: str, assignment_id: UUID, change: Callable[[LockedAssignment], None], done: str
) -> ResponseReturnValue:
    actor = current_actor()
    try:
        with transaction():
            assignment = lock_assignment(actor, assignment_id)
            if assignment.record.case_number != number:
                raise NotFound
            change(assignment)
    except RuleBroken as error:
        record_refused_request(error)
        return _case_handouts(number, error.reasons), 409
    flash(done)
    return redirect(url_for("assignments.case_handouts", number=number), code=303)
