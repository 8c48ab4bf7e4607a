"""Pages of erasures: requesting one for a case's client, the requests, and the certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template, request, url_for

from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.erasure import operations
from caseapp.domain.erasure.codes import GROUNDS, REFUSALS
from caseapp.domain.erasure.printing import (
    HOW,
    certificate_pdf,
    describe_copies,
    get_certificate,
)
from caseapp.domain.erasure.queries import (
    LockedErasure,
    LockedRecord,
    find_request,
    get_erasure,
    list_erasures,
    list_faults_of_request,
    lock_erasure,
    lock_record,
)
from caseapp.domain.erasure.schemas import ErasureRefusalSchema, NewErasureSchema
from caseapp.domain.erasure.treatments import AREAS
from caseapp.domain.practice.queries import today
from caseapp.domain.retention.queries import find_term_of
from caseapp.http.downloads import pdf_response
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor, needs
from caseapp.web.case_header import load_case_context

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

    from caseapp.core.errors import Reason
    from caseapp.domain.dashboard.case_page import CasePage
    from caseapp.domain.erasure.schemas import ErasureRecord
    from caseapp.domain.retention.schemas import Term

blueprint = Blueprint("erasure", __name__)

NOT_ERASED = "The record was not erased"


@dataclass(frozen=True)
class RequestView:
    """A case whose client's record somebody may want erased: the request that waits, and what is in the way.

    `term` says from when the record may be destroyed; None while the practice has chosen no profile.
    """

    context: CasePage
    waiting: ErasureRecord | None
    faults: list[Reason]
    term: Term | None


def load_request(number: str) -> RequestView:
    """Load a case with what is in the way of erasing its client's record.

    Raises NotFound.
    """
    actor, context = current_actor(), load_case_context(number)
    faults = list_faults_of_request(actor, context)
    client_id = context.case.client_id
    return RequestView(context, find_request(actor, client_id), faults, find_term_of(client_id))


requesting = FormPage(
    blueprint,
    "/case/<string:number>/erasure",
    Action.ERASURE_REQUEST,
    load_request,
    client_of=lambda view: view.context.case.client_id,
    only_asks=True,
)


@requesting.show
def request_page(view: RequestView, forms: Forms) -> str:
    """Show what erasing a record means, what is in the way, and the form that requests it."""
    return render_template(
        "erasure/request.html",
        context=view.context,
        tab="Erase this record",
        view=view,
        grounds=GROUNDS,
        areas=AREAS,
        forms=forms,
    )


@requesting.form(
    Action.ERASURE_REQUEST,
    Body(NewErasureSchema, str),
    lock=lock_record,
    refused="The erasure was not requested",
)
def request_erasure(record: LockedRecord, ground: str, sent: Sent) -> Done:
    """Request that a client's record is erased."""
    operations.request_erasure(sent.actor, record, ground)
    return Done(url_for("erasure.request_page", **sent.args), "erasure_requested")


@blueprint.get("/erasures")
@needs(Action.ERASURE_READ)
def erasure_list() -> ResponseReturnValue:
    """List requests to erase records, and certificates."""
    page = list_erasures(current_actor(), request.args.get("cursor"), PAGE_SIZE)
    return render_template("erasure/list.html", page=page, grounds=GROUNDS)


def load_erasure(erasure_id: UUID) -> ErasureRecord:
    """Load a request or certificate.

    Raises NotFound.
    """
    return get_erasure(current_actor(), erasure_id)


deciding = FormPage(
    blueprint,
    "/erasures/<uuid:erasure_id>",
    Action.ERASURE_READ,
    load_erasure,
    by_own_right=True,
)


@deciding.show
def erasure_page(erasure: ErasureRecord, forms: Forms) -> str:
    """Show a request with what can be decided about it, or the certificate of an erasure."""
    return render_template(
        "erasure/erasure.html",
        erasure=erasure,
        term=find_term_of(erasure.client_id) if erasure.may_decide else None,
        today=today(),
        how=HOW,
        copies=describe_copies(erasure),
        grounds=GROUNDS,
        refusals=REFUSALS,
        areas=AREAS,
        forms=forms,
    )


@blueprint.get("/erasures/<uuid:erasure_id>/certificate.pdf")
@needs(Action.ERASURE_READ)
def certificate(erasure_id: UUID) -> ResponseReturnValue:
    """Return the certificate of an erasure as a PDF."""
    found = get_certificate(current_actor(), erasure_id)
    return pdf_response(certificate_pdf(found), f"erasure-{found.id}.pdf")


@deciding.form(
    Action.ERASURE_DECIDE,
    BUTTON,
    lock=lock_erasure,
    rule="/erasures/<uuid:erasure_id>/erase",
    refused=NOT_ERASED,
)
def erase(erasure: LockedErasure, _body: dict[str, Any], sent: Sent) -> Done:
    """Erase the record."""
    operations.erase_record(sent.actor, erasure)
    return Done(url_for("erasure.erasure_page", **sent.args), "record_erased")


@deciding.form(
    Action.ERASURE_DECIDE,
    Body(ErasureRefusalSchema, str),
    lock=lock_erasure,
    rule="/erasures/<uuid:erasure_id>/refuse",
)
def refuse(erasure: LockedErasure, refusal: str, sent: Sent) -> Done:
    """Keep the record."""
    operations.refuse_erasure(sent.actor, erasure, refusal)
    return Done(url_for("erasure.erasure_page", **sent.args), "saved")


@deciding.form(
    Action.ERASURE_REQUEST,
    BUTTON,
    lock=lock_erasure,
    rule="/erasures/<uuid:erasure_id>/withdraw",
)
def withdraw(erasure: LockedErasure, _body: dict[str, Any], sent: Sent) -> Done:
    """Withdraw one's own request."""
    operations.withdraw_erasure(sent.actor, erasure)
    return Done(url_for("erasure.erasure_page", **sent.args), "saved")
