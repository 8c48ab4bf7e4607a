"""Handing over: a supervisor names, client by client, who is responsible when a member of their team leaves."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Blueprint, redirect, render_template, url_for

from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.operations import hash_ids
from caseapp.domain.clients.queries import LockedClient, lock_client
from caseapp.domain.staffing import operations
from caseapp.domain.staffing.queries import get_hand_over, is_in_team, list_team
from caseapp.domain.staffing.schemas import HandOver, HandOverOfRest, HeirSchema, RestSchema
from caseapp.http.forms import Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor, needs
from caseapp.http.template_helpers import flash

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from caseapp.core.actor import Actor

blueprint = Blueprint("staffing", __name__)

REFUSED = "The client was not handed over"


@blueprint.get("/hand-over")
@needs(Action.HAND_OVER)
def team_page() -> ResponseReturnValue:
    """List the supervisor's team, to choose whose clients to hand over."""
    return render_template("staffing/team.html", team=list_team(current_actor()))


def load_hand_over(user_id: UUID) -> HandOver:
    """Load the clients of a member of the team and who may take over.

    Raises NotFound.
    """
    return get_hand_over(current_actor(), user_id)


page = FormPage(blueprint, "/hand-over/<uuid:user_id>", Action.HAND_OVER, load_hand_over)


@page.show
def hand_over_page(found: HandOver, forms: Forms) -> str:
    """Show the clients for whom somebody else has to be named, each with a choice of people."""
    names = {
        str(person.id): f"{person.name} (nobody else could then release a hold)"
        if person.id in found.without_second
        else person.name
        for person in found.heirs
    }
    return render_template("staffing/hand_over.html", found=found, names=names, forms=forms)


def lock_client_of(actor: Actor, _user_id: UUID, client_id: UUID) -> LockedClient:
    """Lock a client whom the supervisor sees.

    Raises NotFound.
    """
    return lock_client(actor, client_id)


@page.form(
    Action.HAND_OVER,
    Body(HeirSchema, UUID),
    lock=lock_client_of,
    rule="/hand-over/<uuid:user_id>/<uuid:client_id>",
    refused=REFUSED,
)
def hand_over(client: LockedClient, heir_id: UUID, sent: Sent) -> Done:
    """Hand over one client."""
    operations.hand_over(sent.actor, client, sent.args["user_id"], heir_id)
    return Done(_address(sent), "handed_over")


@page.post(
    Action.HAND_OVER,
    Body(HeirSchema, UUID),
    rule="/hand-over/<uuid:user_id>/all",
    refused=REFUSED,
)
def confirm_rest(heir_id: UUID, sent: Sent) -> ResponseReturnValue:
    """Ask whether one person gets all clients that are left; nothing is changed yet."""
    found = load_hand_over(sent.args["user_id"])
    if not found.clients:
        return redirect(_address(sent), HTTPStatus.SEE_OTHER)
    return render_template(
        "staffing/confirm.html",
        found=found,
        heir=found.get_heir(heir_id),
        clients=_hash_clients(found),
        form=Forms(page, found, sent.args, drafts={}).get("hand_over_rest"),
    )


@page.post(
    Action.HAND_OVER,
    Body(RestSchema, HandOverOfRest),
    rule="/hand-over/<uuid:user_id>/all/confirmed",
    refused=REFUSED,
    part_of="confirm_rest",
)
def hand_over_rest(wanted: HandOverOfRest, sent: Sent) -> ResponseReturnValue:
    """Hand over all clients that are left to one person, each in a transaction of its own.

    If they aren't the same since the question was asked, it is asked again.
    """
    user_id = sent.args["user_id"]
    found = get_hand_over(sent.actor, user_id)
    if _hash_clients(found) != wanted.clients:
        return confirm_rest(wanted.heir_id, sent)
    for number, one in enumerate(found.clients):
        with transaction():
            client = lock_client(sent.actor, one.client_id)
            operations.hand_over(sent.actor, client, user_id, wanted.heir_id, tell=number == 0)
    flash("handed_over")
    return redirect(_address(sent), HTTPStatus.SEE_OTHER)


def _hash_clients(found: HandOver) -> str:
    """Hash which clients are left: the form names nobody whom the page doesn't show."""
    return hash_ids(one.client_id for one in found.clients)


def _address(sent: Sent) -> str:
    """Return where to go on: the same page, or the board, which has led to a member of another team."""
    user_id = sent.args["user_id"]
    if is_in_team(sent.actor, user_id):
        return url_for("staffing.hand_over_page", user_id=user_id)
    return url_for("board.board_page", show="unattended")
