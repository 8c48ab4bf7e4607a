"""Emergency access: read the record of a client whom one doesn't see otherwise; another supervisor reviews it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template, request, url_for

from caseapp.core.pagination import PAGE_SIZE, Page
from caseapp.core.permissions import Action
from caseapp.domain.clients.codes import (
    EMERGENCY_MINUTES,
    EMERGENCY_REASONS,
    REVIEW_OUTCOMES,
)
from caseapp.domain.dashboard.emergencies import get_unreviewed, list_emergencies
from caseapp.domain.staffing import emergency_operations
from caseapp.domain.staffing.denials import lock_access
from caseapp.domain.staffing.emergencies import (
    LockedEmergency,
    lock_emergency,
    lock_reviewed_emergency,
)
from caseapp.domain.staffing.schemas import (
    AccessReviewSchema,
    NewEmergencyAccess,
    NewEmergencyAccessSchema,
)
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent, no_lock
from caseapp.http.guard import current_actor

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.dashboard.schemas import EmergencyRecord

blueprint = Blueprint("emergency", __name__)


@dataclass(frozen=True)
class EmergencyView:
    """The emergency accesses of the reader, and those that they may review."""

    page: Page[EmergencyRecord]


def load_accesses() -> EmergencyView:
    """Load the emergency accesses of the reader, and those that they may review."""
    return EmergencyView(list_emergencies(current_actor(), request.args.get("cursor"), PAGE_SIZE))


page = FormPage(blueprint, "/emergency-access", Action.EMERGENCY_OPEN, load_accesses)


@page.show
def access_page(view: EmergencyView, forms: Forms) -> str:
    """Ask whose record has to be read and why, and list earlier accesses."""
    return render_template(
        "staffing/emergency.html",
        view=view,
        reasons=EMERGENCY_REASONS,
        minutes=EMERGENCY_MINUTES,
        forms=forms,
    )


@page.form(
    Action.EMERGENCY_OPEN,
    Body(NewEmergencyAccessSchema, NewEmergencyAccess),
    lock=no_lock,
    refused="The record was not opened",
)
def open_access(_locked: None, new: NewEmergencyAccess, sent: Sent) -> Done:
    """Open a client's record by emergency access."""
    access = lock_access(sent.actor, new.number, Action.EMERGENCY_OPEN)
    emergency_operations.open_emergency_access(sent.actor, access, new)
    return Done(url_for("cases.case_page", number=new.number.strip().upper()), "emergency_opened")


@page.form(
    Action.EMERGENCY_OPEN,
    BUTTON,
    lock=lock_emergency,
    rule="/emergency-access/<uuid:emergency_id>/end",
    refused="Nothing was changed",
)
def end_access(emergency: LockedEmergency, _body: dict[str, Any], sent: Sent) -> Done:
    """End one's own emergency access."""
    emergency_operations.end_emergency_access(sent.actor, emergency)
    return Done(url_for("emergency.access_page"), "emergency_ended")


def load_unreviewed(emergency_id: UUID) -> EmergencyRecord:
    """Load an emergency access that waits for the reader's review.

    Raises NotFound.
    """
    return get_unreviewed(current_actor(), emergency_id)


review_page = FormPage(
    blueprint,
    "/emergency-access/<uuid:emergency_id>/review",
    Action.EMERGENCY_REVIEW,
    load_unreviewed,
)


@review_page.show
def review_access_page(view: EmergencyRecord, forms: Forms) -> str:
    """Show who has read whose record by emergency access and why, and ask whether it was needed."""
    return render_template(
        "staffing/review.html",
        view=view,
        reasons=EMERGENCY_REASONS,
        outcomes=REVIEW_OUTCOMES,
        forms=forms,
    )


@review_page.form(
    Action.EMERGENCY_REVIEW,
    Body(AccessReviewSchema, str),
    lock=lock_reviewed_emergency,
    refused="The review was not recorded",
)
def review(emergency: LockedEmergency, outcome: str, sent: Sent) -> Done:
    """Record what a supervisor finds about an emergency access."""
    emergency_operations.review_emergency_access(sent.actor, emergency, outcome)
    return Done(url_for("board.board_page"), "access_reviewed")
