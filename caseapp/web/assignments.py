"""Pages of assignments: assign handouts in a case, see what became of them, print them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, url_for

from caseapp.core.errors import Invalid, NotFound, Reason
from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.assignments import operations
from caseapp.domain.assignments.printing import assignment_pdf as make_pdf
from caseapp.domain.assignments.printing import case_packet_pdf, get_packet, list_omissions
from caseapp.domain.assignments.queries import (
    LockedAssignment,
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
    NewAssignments,
)
from caseapp.domain.cases.queries import LockedCase, get_case_context_by_number, lock_case
from caseapp.domain.cases.stages import stages
from caseapp.domain.suitability.rules import choose_channel, situation_in_case
from caseapp.domain.suitability.schemas import OUTCOME_LABELS
from caseapp.domain.users.queries import get_user_names
from caseapp.domain.worksheets.queries import get_shared_summaries
from caseapp.http.downloads import pdf_response
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import Form, parse_uuid
from caseapp.web.case_header import load_case_context
from caseapp.web.handouts import (
    get_requested_language,
    get_requested_stage,
    is_large_print_requested,
    needs_confirmation,
)

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.core.actor import Actor
    from caseapp.domain.dashboard.case_page import CasePage

blueprint = Blueprint("assignments", __name__)

REFUSED = "You can’t do that because:"
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
    return render_template("assignments/suspended.html", page=page, page_size=SUSPENDED_PAGE_SIZE)


page = FormPage(
    blueprint,
    "/case/<string:number>/handouts",
    Action.ASSIGNMENT_READ,
    load_case_context,
    client_of=lambda context: context.case.client_id,
)


@page.show
def case_handouts(context: CasePage, forms: Forms) -> str:
    """Show the assignments of a case, newest first."""
    return _render_case_handouts(context, forms)


def _render_case_handouts(context: CasePage, forms: Forms, reasons: tuple[Reason, ...] = ()) -> str:
    actor = current_actor()
    found, suspended = list_case_assignments(actor, context, request.args.get("cursor"), PAGE_SIZE)
    return render_template(
        "assignments/case_handouts.html",
        context=context,
        tab="Handouts",
        page=found,
        names=get_user_names(
            {record.withdrawn_by for record in found.items if record.withdrawn_by}
        ),
        suspended=suspended,
        shared=get_shared_summaries(actor, [record.id for record in found.items]),
        omissions=list_omissions(context, found.items),
        reasons=reasons,
        forms=forms,
    )


choice = FormPage(
    blueprint,
    "/case/<string:number>/handouts/assign",
    Action.ASSIGNMENT_CREATE,
    load_case_context,
    client_of=lambda context: context.case.client_id,
    only_asks=True,
)


@choice.show
def assign_page(context: CasePage, forms: Forms) -> str:
    """Show which handouts suit a case now, to choose from."""
    stage = get_requested_stage(context.case.stage)
    found = get_handout_choice(current_actor(), context, get_requested_language())
    situation = situation_in_case(context)
    options = [option for option in found.options if not stage or option.handout.fits(stage)]
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
        recommendation=found.recommendation,
        channel=choose_channel(situation),
        portal_blockers=situation.portal_blockers,
        forms=forms,
        confirm=needs_confirmation(forms),
        max_message_length=MAX_MESSAGE_LENGTH,
    )


@choice.form(
    Action.ASSIGNMENT_CREATE,
    Body(AssignHandoutsFormSchema, NewAssignments),
    lock=lock_case,
    refused="Nothing is assigned yet",
)
def assign(case: LockedCase, wanted: NewAssignments, sent: Sent) -> Done:
    """Assign the chosen handouts; blocked ones are skipped."""
    first = operations.assign_handouts(sent.actor, case, wanted)[0]
    number = case.case.number
    if len(wanted.slugs) == 1:
        return Done(url_for("assignments.case_handouts", number=number), "handouts_assigned")
    address = url_for(
        "assignments.assigned_page",
        number=number,
        assignment_id=first,
        channel=wanted.channel,
        language=wanted.language,
        chosen=wanted.slugs,
    )
    return Done(address, "handouts_assigned")


@blueprint.get("/case/<string:number>/handouts/<uuid:assignment_id>/assigned")
@needs(Action.ASSIGNMENT_READ)
def assigned_page(number: str, assignment_id: UUID) -> ResponseReturnValue:
    """Show what was assigned in one step, for which week, and what was skipped and why."""
    actor, context = current_actor(), load_case_context(number)
    assigned = list_assigned_together(actor, context, assignment_id)
    skipped = list_skipped_handouts(
        context,
        request.args.getlist("chosen")[:MAX_HANDOUTS],
        assigned,
        request.args.get("channel") or choose_channel(situation_in_case(context)),
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
    name = f"reading-{found.position:02}{'-large' if is_large_print_requested() else ''}.pdf"
    return pdf_response(make_pdf(found, large=is_large_print_requested(), discreet=False), name)


@blueprint.get("/case/<string:number>/handouts/packet")
@needs(Action.ASSIGNMENT_READ)
def packet_page(number: str) -> ResponseReturnValue:
    """Show what one PDF of the chosen handouts contains, and what is left out and why."""
    actor, context = current_actor(), load_case_context(number)
    try:
        packet = get_packet(actor, context, _chosen_ids())
    except Invalid as error:
        reasons = tuple(
            Reason("too_many", text, "Make several PDFs.") for text in error.fields["assignment"]
        )
        forms = page.open_forms(context, {"number": number})
        return _render_case_handouts(context, forms, reasons), 422
    return render_template(
        "assignments/packet.html", context=context, tab="Handouts", packet=packet
    )


@blueprint.get("/case/<string:number>/handouts/reading-all.pdf")
@needs(Action.ASSIGNMENT_READ)
def packet_pdf(number: str) -> ResponseReturnValue:
    """Download the chosen handouts as one PDF; refused with the reasons when one of them has blockers."""
    actor = current_actor()
    context = get_case_context_by_number(actor, number)
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


def lock_assignment_of_case(actor: Actor, number: str, assignment_id: UUID) -> LockedAssignment:
    """Lock the client of an assignment, then load the assignment.

    Raises NotFound, also when the case has no such assignment.
    """
    assignment = lock_assignment(actor, assignment_id)
    if assignment.record.case_number != number:
        raise NotFound
    return assignment


@page.form(
    Action.ASSIGNMENT_WITHDRAW,
    BUTTON,
    lock=lock_assignment_of_case,
    rule="/case/<string:number>/handouts/<uuid:assignment_id>/withdraw",
    refused=REFUSED,
)
def withdraw(assignment: LockedAssignment, _body: dict[str, Any], sent: Sent) -> Done:
    """Withdraw a handout."""
    operations.withdraw(sent.actor, assignment, sent.version)
    return Done(
        url_for("assignments.case_handouts", number=sent.args["number"]), "handout_withdrawn"
    )


@page.form(
    Action.ASSIGNMENT_MARK,
    BUTTON,
    lock=lock_assignment_of_case,
    rule="/case/<string:number>/handouts/<uuid:assignment_id>/read",
    refused=REFUSED,
)
def mark_read(assignment: LockedAssignment, _body: dict[str, Any], sent: Sent) -> Done:
    """Mark as read what was handed over or read together."""
    operations.mark_read(sent.actor, assignment, sent.version)
    return Done(url_for("assignments.case_handouts", number=sent.args["number"]), "handout_read")
