"""Whose notes need a co-signature: the coach's supervisor decides, as an admin does on the page of a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request, url_for

from caseapp.core.pagination import PAGE_SIZE, Page, page_in_memory
from caseapp.core.permissions import Action
from caseapp.domain.staffing.members import set_cosignature
from caseapp.domain.staffing.queries import LockedMember, list_signing_coaches, lock_signing_coach
from caseapp.domain.staffing.schemas import CosignatureSchema
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor

if TYPE_CHECKING:
    from caseapp.domain.users.models import User

blueprint = Blueprint("cosignatures", __name__)


def load_coaches() -> Page[User]:
    """Load the coaches of whom the reader decides whether their notes need a co-signature."""
    return page_in_memory(
        list_signing_coaches(current_actor()),
        lambda user: (user.name, user.id.hex),
        request.args.get("cursor"),
        PAGE_SIZE,
    )


page = FormPage(blueprint, "/notes/co-signatures", Action.COSIGNATURE_SET, load_coaches)


@page.show
def coach_list(coaches: Page[User], forms: Forms) -> str:
    """List the coaches, each with the choice whether a supervisor co-signs their notes."""
    return render_template("notes/cosignatures.html", page=coaches, forms=forms)


@page.form(
    Action.COSIGNATURE_SET,
    Body(CosignatureSchema, bool),
    lock=lock_signing_coach,
    rule="/notes/co-signatures/<uuid:coach_id>",
)
def save_choice(member: LockedMember, needed: bool, sent: Sent) -> Done:  # noqa: FBT001 - what the schema loads
    """Save whether a supervisor co-signs the notes of a coach."""
    set_cosignature(sent.actor, member, needed=needed)
    return Done(url_for("cosignatures.coach_list"), "saved")
