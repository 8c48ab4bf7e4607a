"""Pages that merge the record of a client who was entered twice: choose the other one, compare both, and confirm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request, url_for

from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.core.transaction import reading_for_change
from caseapp.domain.cases.queries import CaseFilter, list_cases
from caseapp.domain.clients.queries import get_client_record
from caseapp.domain.dashboard.timeline_events import HOLD_LABELS
from caseapp.domain.merges.operations import merge_clients
from caseapp.domain.merges.queries import (
    LockedMerge,
    Merge,
    get_merge,
    list_earlier_records,
    lock_merge,
)
from caseapp.domain.merges.schemas import MergeSchema, NewMerge
from caseapp.domain.safety_plans.codes import CHANGE_LABELS
from caseapp.domain.screening.protocol import FLAG_LABELS, ITEMS_BY_KEY
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor, needs
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

blueprint = Blueprint("merges", __name__)


@blueprint.get("/client/<uuid:client_id>/merge")
@needs(Action.CLIENT_MERGE)
def choose_record(client_id: UUID) -> ResponseReturnValue:
    """Choose the client whose record is kept, among the cases that the supervisor sees."""
    actor = current_actor()
    with reading_for_change():
        client = get_client_record(actor, client_id)
    case_filter = CaseFilter(q=request.args.get("q", client.name))
    page = list_cases(actor, case_filter, request.args.get("cursor"), PAGE_SIZE)
    return render_template(
        "merges/choose_record.html", client=client, page=page, q=case_filter.q or ""
    )


def load_merge(client_id: UUID, number: str) -> Merge:
    """Load a client and that of a case side by side.

    Raises NotFound, also for a record that the supervisor doesn't see.
    """
    return get_merge(current_actor(), client_id, number)


merging = FormPage(
    blueprint,
    "/client/<uuid:client_id>/merge/<string:number>",
    Action.CLIENT_MERGE,
    load_merge,
    client_of=lambda view: view.stays.client.id,
    only_asks=True,
)


@merging.show
def merge_page(view: Merge, forms: Forms) -> str:
    """Show both records side by side, what is in the way, and the form that merges them."""
    return render_template("merges/merge.html", view=view, forms=forms)


@merging.form(
    Action.CLIENT_MERGE,
    Body(MergeSchema, NewMerge),
    lock=lock_merge,
    refused="The records were not merged",
)
def merge(locked: LockedMerge, new: NewMerge, sent: Sent) -> Done:
    """Merge a client's record into the one that is kept."""
    merge_clients(sent.actor, locked, new, sent.version)
    page = url_for("cases.details_page", number=sent.args["number"])
    return Done(page, "clients_merged")


@blueprint.get("/case/<string:number>/earlier-records")
@needs(Action.SCREENING_READ)
def earlier_records(number: str) -> ResponseReturnValue:
    """Show what was not merged of the records that were merged into a client's."""
    context = load_case_context(number)
    found = list_earlier_records(current_actor(), context.case.client_id)
    return render_template(
        "merges/earlier_records.html",
        context=context,
        tab="Details",
        found=found,
        hold_labels=HOLD_LABELS,
        flag_labels=FLAG_LABELS,
        items_by_key=ITEMS_BY_KEY,
        change_labels=CHANGE_LABELS,
    )
