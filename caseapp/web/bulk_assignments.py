"""Bulk assignments: select clients for a handout, confirm with the reasons for each, follow the progress."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, url_for

from caseapp.core.clock import now
from caseapp.core.errors import Invalid
from caseapp.core.permissions import Action
from caseapp.domain.assignments.operations import validate_due_on
from caseapp.domain.assignments.schemas import MAX_MESSAGE_LENGTH
from caseapp.domain.bulk_assignments.operations import start_bulk_assignment
from caseapp.domain.bulk_assignments.queries import get_bulk_assignment, list_candidates
from caseapp.domain.bulk_assignments.schemas import (
    MAX_CASES,
    BulkAssignmentSchema,
    ClientSelection,
    ClientSelectionSchema,
    NewBulkAssignment,
)
from caseapp.domain.cases.queries import CaseFilter, list_cases
from caseapp.domain.cases.stages import stages
from caseapp.domain.handouts.queries import get_handout_version, require_not_recalled
from caseapp.domain.suitability.schemas import BLOCKED, CAUTION, ELIGIBLE
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.guard import current_actor, needs
from caseapp.http.request_parsing import Form
from caseapp.web.handouts import get_requested_language, get_requested_stage

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.cases.schemas import CaseListItem
    from caseapp.domain.handouts.library import Handout

blueprint = Blueprint("bulk_assignments", __name__)

# After this the page says that it takes longer than usual.
USUAL_DURATION = timedelta(minutes=10)
REFUSED = "Nothing was assigned because:"


def _cases() -> tuple[list[CaseListItem], bool]:
    """List the open cases of the stage in the query string, newest first, and tell whether there are more."""
    wanted = CaseFilter(stage=get_requested_stage() or None, status="open")
    page = list_cases(current_actor(), wanted, None, MAX_CASES)
    return page.items, page.next is not None


def load_handout(slug: str) -> Handout:
    """Load the newest version of the handout to assign, in the language of the query string.

    Raises NotFound, and RuleBroken when it is recalled.
    """
    return require_not_recalled(get_handout_version(slug, get_requested_language()))


page = FormPage(
    blueprint, "/handouts/<string:slug>/bulk-assign", Action.ASSIGNMENT_CREATE, load_handout
)


@page.show
def choose_page(handout: Handout, forms: Forms) -> str:
    """Show the open cases, so that the coach can select clients for a handout."""
    cases, more = _cases()
    return render_template(
        "bulk_assignments/choose.html",
        handout=handout,
        cases=cases,
        more=more,
        max_cases=MAX_CASES,
        filters=Form({"stage": get_requested_stage(), "language": get_requested_language()}),
        stage_options={stage.id: f"{stage.number}. {stage.title}" for stage in stages()},
        forms=forms,
        max_message_length=MAX_MESSAGE_LENGTH,
    )


@page.post(
    Action.ASSIGNMENT_CREATE,
    Body(ClientSelectionSchema, ClientSelection),
    rule="/handouts/<string:slug>/bulk-assign",
    refused=REFUSED,
)
def confirm_page(selection: ClientSelection, sent: Sent) -> str:
    """Show which selected clients can get it, which need caution and which are skipped; nothing is stored yet."""
    actor, item = sent.actor, get_handout_version(sent.args["slug"], get_requested_language())
    require_not_recalled(item)
    validate_due_on(selection.due_on)
    chosen = [case.id for case in _cases()[0]] if selection.all else selection.cases
    found = list_candidates(actor, item, selection.channel, chosen)
    if not found:
        raise Invalid({"cases": ["Choose at least one client."]})
    return render_template(
        "bulk_assignments/confirm.html",
        handout=item.handout,
        selection=selection,
        candidates=found,
        groups={
            outcome: [one for one in found if one.outcome == outcome]
            for outcome in (ELIGIBLE, CAUTION, BLOCKED)
        },
        form=Forms(page, item.handout, sent.args, drafts={}).get("start"),
    )


@page.form(
    Action.ASSIGNMENT_CREATE,
    Body(BulkAssignmentSchema, NewBulkAssignment),
    lock=no_lock,
    rule="/handouts/<string:slug>/bulk-assignments",
    refused=REFUSED,
    part_of="confirm_page",
)
def start(_locked: None, wanted: NewBulkAssignment, sent: Sent) -> Done:
    """Create the bulk assignment and queue its job."""
    started = start_bulk_assignment(sent.actor, sent.args["slug"], wanted)
    address = url_for("bulk_assignments.progress_page", bulk_assignment_id=started)
    return Done(address, "bulk_assignment_started")


@blueprint.get("/handouts/bulk-assignments/<uuid:bulk_assignment_id>")
@needs(Action.ASSIGNMENT_READ)
def progress_page(bulk_assignment_id: UUID) -> str:
    """Show the progress of a bulk assignment; a script keeps it up to date without reloading the page."""
    actor = current_actor()
    bulk_assignment = get_bulk_assignment(actor, bulk_assignment_id)
    slow = now() - bulk_assignment.created_at > USUAL_DURATION
    return render_template(
        "bulk_assignments/progress.html", bulk_assignment=bulk_assignment, slow=slow
    )
