"""Transfers: offering cases to a colleague, and what the colleague and the coach decide about each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, render_template, request, url_for

from caseapp.core.permissions import Action
from caseapp.domain.clients.codes import TRANSFER_REASONS
from caseapp.domain.staffing import transfer_operations as operations
from caseapp.domain.staffing.cover_queries import LockedCaseload, lock_caseload
from caseapp.domain.staffing.queries import list_team
from caseapp.domain.staffing.transfer_queries import (
    LockedTransfer,
    get_offerable,
    list_handed_over,
    list_transfers,
    lock_transfer,
)
from caseapp.domain.staffing.transfer_rules import BRIEF_FOR, OFFERED_FOR, UNDO_WITHIN
from caseapp.domain.staffing.transfer_schemas import NewTransfer, TransferRecord, TransferSchema
from caseapp.http.forms import BUTTON, Body, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.staffing.cover_schemas import Caseload

blueprint = Blueprint("transfers", __name__)

REFUSED = "Nothing was changed"


def load_transfers() -> list[TransferRecord]:
    """Load the offers that concern the person."""
    return list_transfers(current_actor())


page = FormPage(blueprint, "/transfers", Action.CLIENT_READ, load_transfers)


@page.show
def transfer_list(transfers: list[TransferRecord], forms: Forms) -> str:
    """List what the person was offered, with buttons to decide, and what they or their coaches have offered."""
    actor = current_actor()
    team = list_team(actor) if actor.may(Action.HAND_OVER) else []
    # A supervisor to whom somebody of their team has offered a case reads what else became of it as the team's.
    received = {
        one.id: one
        for one in transfers
        if one.to_id == actor.id and one.state in {"offered", "accepted"}
    }
    return render_template(
        "transfers/transfer_list.html",
        received=[*received.values()],
        given=[one for one in transfers if one.id not in received],
        others=[one for one in team if one.id != actor.id and one.disabled_at is None],
        handed_over=list_handed_over(actor),
        reasons=TRANSFER_REASONS,
        undo_hours=int(UNDO_WITHIN.total_seconds() // 3600),
        brief_days=BRIEF_FOR.days,
        forms=forms,
    )


@page.form(
    Action.TRANSFER,
    BUTTON,
    lock=lock_transfer,
    rule="/transfers/<uuid:transfer_id>/accept",
    refused="The case was not accepted",
)
def accept(transfer: LockedTransfer, _body: object, sent: Sent) -> Done:
    """Accept an offered case."""
    operations.accept_transfer(sent.actor, transfer)
    return Done(url_for("transfers.transfer_list"), "case_accepted")


@page.form(
    Action.TRANSFER,
    BUTTON,
    lock=lock_transfer,
    rule="/transfers/<uuid:transfer_id>/decline",
    refused=REFUSED,
)
def decline(transfer: LockedTransfer, _body: object, sent: Sent) -> Done:
    """Decline an offered case."""
    operations.decline_transfer(sent.actor, transfer)
    return Done(url_for("transfers.transfer_list"), "saved")


@page.form(
    Action.TRANSFER,
    BUTTON,
    lock=lock_transfer,
    rule="/transfers/<uuid:transfer_id>/withdraw",
    refused=REFUSED,
)
def withdraw(transfer: LockedTransfer, _body: object, sent: Sent) -> Done:
    """Withdraw an offer."""
    operations.withdraw_transfer(sent.actor, transfer)
    return Done(url_for("transfers.transfer_list"), "saved")


@page.form(
    Action.TRANSFER,
    BUTTON,
    lock=lock_transfer,
    rule="/transfers/<uuid:transfer_id>/undo",
    refused=REFUSED,
)
def undo(transfer: LockedTransfer, _body: object, sent: Sent) -> Done:
    """Undo a transfer that was accepted."""
    operations.undo_transfer(sent.actor, transfer)
    return Done(url_for("transfers.transfer_list"), "transfer_undone")


def load_offerable(coach_id: UUID) -> Caseload:
    """Load the clients of a coach who can be offered, and to whom.

    Raises NotFound.
    """
    return get_offerable(current_actor(), coach_id)


offer_page = FormPage(blueprint, "/transfers/for/<uuid:coach_id>", Action.TRANSFER, load_offerable)


@offer_page.show
def choose_page(caseload: Caseload, forms: Forms) -> str:
    """Show the form that offers cases: which, to whom, and why."""
    return render_template(
        "transfers/choose.html",
        caseload=caseload,
        names={str(person.id): person.name for person in caseload.colleagues},
        reasons=TRANSFER_REASONS,
        days=OFFERED_FOR.days,
        asked=request.args.get("client", ""),
        forms=forms,
    )


@offer_page.form(
    Action.TRANSFER,
    Body(TransferSchema, NewTransfer),
    lock=lock_caseload,
    refused="Nothing was offered",
)
def offer(caseload: LockedCaseload, wanted: NewTransfer, sent: Sent) -> Done:
    """Offer cases to a colleague."""
    operations.offer_cases(sent.actor, caseload, wanted)
    return Done(url_for("transfers.transfer_list"), "cases_offered")
