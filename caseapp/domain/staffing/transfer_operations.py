"""Operations of transfers: offer cases to a colleague, decide about an offer, withdraw it, undo a transfer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Invalid, RuleBroken, refuse_for
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal_code
from caseapp.domain.alerts.operations import readdress_alerts
from caseapp.domain.alerts.recipients import as_staff_member
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.codes import COACH
from caseapp.domain.clients.models import Transfer
from caseapp.domain.clients.visibility import select_clients_of
from caseapp.domain.dashboard.second_people import list_without_second
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.keys.queries import open_listed_client_key
from caseapp.domain.screening.marks import HOLD_KINDS, list_marks
from caseapp.domain.staffing.coach_news import tell_of_coach_later
from caseapp.domain.staffing.operations import lock_account, swap_coach
from caseapp.domain.staffing.queries import has_supervised_heir
from caseapp.domain.staffing.rules import list_hold_faults
from caseapp.domain.staffing.transfer_queries import list_offered, lock_transferred
from caseapp.domain.staffing.transfer_rules import (
    ASK_SUPERVISOR,
    NOT_OFFERING,
    NOT_RECIPIENT,
    OFFERED_FOR,
    check_acceptance,
    check_undo,
    check_waiting,
    list_case_faults,
    list_recipient_faults,
)

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.core.errors import Reason
    from caseapp.domain.alerts.schemas import StaffMember
    from caseapp.domain.staffing.cover_queries import LockedCaseload
    from caseapp.domain.staffing.transfer_queries import LockedTransfer
    from caseapp.domain.staffing.transfer_schemas import NewTransfer
    from caseapp.domain.users.models import User


def offer_cases(actor: Actor, caseload: LockedCaseload, wanted: NewTransfer) -> None:
    """Offer a coach's clients to a colleague, who decides about each of them within OFFERED_FOR.

    The colleague sees the names and numbers, and counts of what is to do; nothing changes hands until they accept. With
    `all`, those who are offered already stay offered to whom they are. Raises Invalid for somebody who can't take over
    cases, and for a client whom they must not see or coach already, who is offered already, or whose open hold nobody
    could release under them.
    """
    require(actor, Action.TRANSFER)
    colleague = lock_account(wanted.to_id)
    faults = list_recipient_faults(_as_person(colleague), caseload.coach_id)
    _refuse_field("to_id", faults)
    names = {one.client_id: one.number or one.client for one in caseload.clients}
    _close_expired(names)
    offered = list_offered(names)
    chosen = set(names) - offered if wanted.all else set(wanted.clients)
    if not chosen or chosen - set(names):
        raise Invalid({"clients": ["Choose clients of this coach who aren’t offered yet."]})
    assert colleague is not None  # noqa: S101 - checked before
    must_not_see = set(caseload.list_denied(wanted.to_id))
    unreleasable = _list_unreleasable(chosen, caseload.coach_id, as_staff_member(colleague))
    coached = set(db.session.scalars(select_clients_of(wanted.to_id, COACH)))
    _refuse_field(
        "clients",
        list_case_faults(
            sorted(names[one] for one in chosen if names[one] in must_not_see),
            sorted(names[one] for one in chosen & coached),
            sorted(names[one] for one in chosen & offered),
            sorted(names[one] for one in unreleasable),
        ),
    )
    wrapped = db.session.execute(
        sa.select(ClientKey.client_id, ClientKey.wrapped).where(ClientKey.client_id.in_(chosen))
    )
    moment = now()
    made = []
    for client_id, key in wrapped:
        row = Transfer(
            id=new_id(),
            client_id=client_id,
            from_id=caseload.coach_id,
            to_id=wanted.to_id,
            state="offered",
            offered_at=moment,
            offered_by=actor.id,
            expires_at=moment + OFFERED_FOR,
        )
        opened = open_listed_client_key(key, client_id)
        row.reason = seal_code("transfer", "reason", row.id, wanted.reason, opened)
        made.append(row)
    db.session.add_all(made)
    db.session.flush()
    for row in made:
        _record(actor, row)


def accept_transfer(actor: Actor, transfer: LockedTransfer) -> None:
    """Become the coach of a client who was offered, instead of whoever offered the case.

    From the next request on the former coach doesn't see the client; follow-ups, marks of open holds and alerts that
    wait are the new coach's, as with a hand-over. Raises RuleBroken for anybody but the colleague, for an offer that no
    longer waits, and when nobody could then release a hold that was opened since the offer. That reason names no hold.
    """
    require(actor, Action.TRANSFER)
    row = transfer.row
    refuse_for([] if transfer.is_recipient else [NOT_RECIPIENT])
    person = lock_account(row.to_id)
    check_acceptance(transfer, _as_person(person), now())
    _decide(row, "accepted")
    _swap(actor, row, row.from_id, person, by=row.offered_by)
    tell_of_coach_later(row.client_id, row.to_id)


def decline_transfer(actor: Actor, transfer: LockedTransfer) -> None:
    """Decline a client who was offered, who stays with their coach.

    Raises RuleBroken for anybody but the colleague, and for an offer that no longer waits.
    """
    require(actor, Action.TRANSFER)
    refuse_for([] if transfer.is_recipient else [NOT_RECIPIENT])
    check_waiting(transfer, now())
    _decide(transfer.row, "declined")
    _record(actor, transfer.row)


def withdraw_transfer(actor: Actor, transfer: LockedTransfer) -> None:
    """Withdraw an offer that nobody has decided about.

    Raises RuleBroken for the colleague, and for an offer that no longer waits.
    """
    require(actor, Action.TRANSFER)
    refuse_for([] if transfer.is_offering else [NOT_OFFERING])
    check_waiting(transfer, now())
    _decide(transfer.row, "withdrawn")
    _record(actor, transfer.row)


def undo_transfer(actor: Actor, transfer: LockedTransfer) -> None:
    """Give a client back to whoever offered the case; either of the two does so, or the former coach's supervisor.

    What the new coach has to do about the client becomes the former coach's again. Cover for the client ended with the
    acceptance and doesn't come back: it has to be arranged again. Raises RuleBroken later than UNDO_WITHIN after the
    acceptance, once the case was passed on, and when the former coach can't be one again.
    """
    require(actor, Action.TRANSFER)
    row = transfer.row
    former = lock_account(row.from_id)
    check_undo(transfer, _as_person(former), now())
    _decide(row, "undone")
    _swap(actor, row, row.to_id, former, by=actor.id)


def _list_unreleasable(client_ids: set[UUID], coach_id: UUID, colleague: StaffMember) -> set[UUID]:
    """List those of a coach's locked clients whose open hold nobody could release if a colleague coached them."""
    marks = [one for one in list_marks(coach_id, HOLD_KINDS) if one.client_id in client_ids]
    # The strictest hold of each client comes first.
    holds = {one.client_id: one.kind for one in reversed(marks)}
    lacking = list_without_second(holds.keys(), instead=(coach_id, colleague.id))
    return {
        client_id
        for client_id in lacking
        if list_hold_faults(
            holds[client_id],
            colleague,
            lacks_second=True,
            has_choice=has_supervised_heir(client_id, coach_id),
        )
    }


def _as_person(user: User | None) -> StaffMember | None:
    return as_staff_member(user) if user else None


def _refuse_field(name: str, faults: list[Reason]) -> None:
    if faults:
        raise Invalid({name: [f"{fault.message} {fault.way_out}" for fault in faults]})


def _close_expired(client_ids: dict[UUID, str]) -> None:
    """Let the state of offers of locked clients that have expired say so."""
    db.session.execute(
        sa.update(Transfer)
        .where(
            Transfer.client_id.in_(client_ids),
            Transfer.state == "offered",
            Transfer.expires_at <= now(),
        )
        .values(state="expired", decided_at=Transfer.expires_at)
    )


def _decide(row: Transfer, state: str) -> None:
    row.state, row.decided_at = state, now()
    db.session.flush()


def _swap(actor: Actor, row: Transfer, leaver_id: UUID, heir: User | None, *, by: UUID) -> None:
    """Make somebody the client's coach instead of another one; their account is locked."""
    assert heir is not None  # noqa: S101 - checked before
    client = lock_transferred(row.client_id)
    try:
        swap_coach(actor, client, leaver_id, heir, by=by)
    except RuleBroken:
        raise RuleBroken(ASK_SUPERVISOR) from None
    # The membership began just now: no later than this.
    row.decided_at = now()
    readdress_alerts(actor, client.id)
    _record(actor, row)


def _record(actor: Actor, row: Transfer) -> None:
    details = {"from": row.from_id.hex, "to": row.to_id.hex, row.state: True}
    record(
        actor, Action.TRANSFER, "client", row.client_id, client_id=row.client_id, details=details
    )
