"""Pages of legal holds: their list with a form that places one, and one hold with its review and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request, url_for

from caseapp.core.pagination import PAGE_SIZE
from caseapp.core.permissions import Action
from caseapp.domain.legal_holds import operations
from caseapp.domain.legal_holds.codes import KINDS, LIFT_LABELS, LIFT_REASONS, SHOWN
from caseapp.domain.legal_holds.queries import (
    LockedLegalHold,
    get_legal_hold,
    list_legal_holds,
    lock_legal_hold,
    lock_legal_holds,
)
from caseapp.domain.legal_holds.schemas import (
    LegalHoldLiftSchema,
    LegalHoldReview,
    LegalHoldReviewSchema,
    NewLegalHold,
    NewLegalHoldSchema,
)
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.guard import current_actor

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.pagination import Page
    from caseapp.domain.legal_holds.schemas import LegalHoldRecord

blueprint = Blueprint("legal_holds", __name__)


@dataclass(frozen=True)
class LegalHoldsView:
    """A page of legal holds, and which of SHOWN these are."""

    page: Page[LegalHoldRecord]
    shown: str


def load_holds() -> LegalHoldsView:
    """Load the legal holds that the filter shows."""
    shown = request.args.get("show", "")
    if shown not in SHOWN:
        shown = "standing"
    cursor = request.args.get("cursor")
    return LegalHoldsView(list_legal_holds(current_actor(), shown, cursor, PAGE_SIZE), shown)


listing = FormPage(blueprint, "/legal-holds", Action.LEGAL_HOLD_READ, load_holds)


@listing.show
def hold_list(view: LegalHoldsView, forms: Forms) -> str:
    """List legal holds, with a form for another one."""
    return render_template(
        "legal_holds/list.html",
        view=view,
        kinds=KINDS,
        shown=SHOWN,
        number=request.args.get("number", ""),
        forms=forms,
    )


@listing.form(
    Action.LEGAL_HOLD_MANAGE,
    Body(NewLegalHoldSchema, NewLegalHold),
    lock=no_lock,
    refused="No legal hold was placed",
)
def place(_locked: None, new: NewLegalHold, sent: Sent) -> Done:
    """Place a legal hold on a client's record."""
    holds = lock_legal_holds(sent.actor, new.number)
    operations.place_legal_hold(sent.actor, holds, new.kind, new.review_on)
    return Done(url_for("legal_holds.hold_list"), "legal_hold_placed")


def load_hold(legal_hold_id: UUID) -> LegalHoldRecord:
    """Load a legal hold.

    Raises NotFound.
    """
    return get_legal_hold(current_actor(), legal_hold_id)


page = FormPage(
    blueprint,
    "/legal-holds/<uuid:legal_hold_id>",
    Action.LEGAL_HOLD_READ,
    load_hold,
    by_own_right=True,
)


@page.show
def hold_page(hold: LegalHoldRecord, forms: Forms) -> str:
    """Show a legal hold, with what can be done about it while it stands."""
    return render_template(
        "legal_holds/legal_hold.html",
        hold=hold,
        kinds=KINDS,
        lift_labels=LIFT_LABELS,
        lift_reasons=LIFT_REASONS,
        forms=forms,
    )


@page.form(
    Action.LEGAL_HOLD_MANAGE,
    Body(LegalHoldReviewSchema, LegalHoldReview),
    lock=lock_legal_hold,
    rule="/legal-holds/<uuid:legal_hold_id>/review",
)
def review(hold: LockedLegalHold, new: LegalHoldReview, sent: Sent) -> Done:
    """Record that a legal hold is still needed."""
    operations.review_legal_hold(sent.actor, hold, new.review_on)
    return Done(url_for("legal_holds.hold_page", **sent.args), "saved")


@page.form(
    Action.LEGAL_HOLD_MANAGE,
    Body(LegalHoldLiftSchema, str),
    lock=lock_legal_hold,
    rule="/legal-holds/<uuid:legal_hold_id>/lift",
    refused="The legal hold was not lifted",
)
def lift(hold: LockedLegalHold, reason: str, sent: Sent) -> Done:
    """Lift a legal hold."""
    operations.lift_legal_hold(sent.actor, hold, reason)
    return Done(url_for("legal_holds.hold_page", **sent.args), "legal_hold_lifted")
