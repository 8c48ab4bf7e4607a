"""Operations on legal holds: place one, say when somebody looks again, and lift it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from caseapp.core.actor import SYSTEM_ID, Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.domain.audit.operations import record
from caseapp.domain.legal_holds.codes import ERASED_AGAIN, REFUSAL_REVIEW_DAYS
from caseapp.domain.legal_holds.models import LegalHold
from caseapp.domain.legal_holds.queries import list_coached
from caseapp.domain.legal_holds.rules import (
    check_lift,
    check_place,
    check_return,
    check_review,
)
from caseapp.domain.practice.queries import today

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from caseapp.domain.legal_holds.queries import LockedLegalHold, LockedLegalHolds


def place_legal_hold(actor: Actor, holds: LockedLegalHolds, kind: str, review_on: date) -> UUID:
    """Place a legal hold on a client's record and return its id; `kind` is a code of KINDS.

    Until somebody else lifts it, the record isn't erased or merged into another one, no note leaves it, and no draft of
    a note in it is discarded. Raises RuleBroken and Invalid, see `check_place`.
    """
    require(actor, Action.LEGAL_HOLD_MANAGE)
    check_place(holds, review_on, today())
    return _place(actor, holds.client_id, kind, review_on)


def place_for_refusal(actor: Actor, holds: LockedLegalHolds, kind: str) -> None:
    """Place a legal hold because a record isn't erased for its sake, unless one of this kind stands."""
    require(actor, Action.LEGAL_HOLD_MANAGE)
    if all(row.kind != kind for row in holds.standing):
        _place(actor, holds.client_id, kind, today() + timedelta(days=REFUSAL_REVIEW_DAYS))


def review_legal_hold(actor: Actor, hold: LockedLegalHold, review_on: date) -> None:
    """Record that a legal hold is still needed, and when somebody looks again.

    Raises RuleBroken and Invalid, see `check_review`.
    """
    require(actor, Action.LEGAL_HOLD_MANAGE)
    check_review(hold, review_on, today())
    hold.row.review_on = review_on
    db.session.flush()
    _record(actor, hold.row, "reviewed")


def lift_legal_hold(actor: Actor, hold: LockedLegalHold, reason: str) -> None:
    """Lift a legal hold that somebody else placed, on a client whom the actor doesn't coach.

    `reason` is a code of LIFT_REASONS.

    Raises RuleBroken, see `check_lift`.
    """
    require(actor, Action.LEGAL_HOLD_MANAGE)
    coached = list_coached(actor.id, [hold.row.client_id])
    check_lift(hold, actor.id, coaches=bool(coached))
    _lift(actor, hold.row, reason)


def end_returned_holds(actor: Actor, holds: LockedLegalHolds, erased_at: datetime) -> None:
    """Lift the holds that an earlier database has brought back with a record, which is being erased again.

    Raises RuleBroken when one was placed since the erasure.
    """
    require(actor, Action.ERASURE_REPEAT)
    check_return(holds, erased_at)
    for row in holds.standing:
        _lift(actor, row, ERASED_AGAIN)


def _place(actor: Actor, client_id: UUID, kind: str, review_on: date) -> UUID:
    row = LegalHold(
        id=new_id(),
        client_id=client_id,
        kind=kind,
        placed_at=now(),
        placed_by=actor.id,
        review_on=review_on,
    )
    db.session.add(row)
    db.session.flush()
    _record(actor, row, "placed")
    return row.id


def _lift(actor: Actor, row: LegalHold, reason: str) -> None:
    row.lifted_at, row.lift_reason = now(), reason
    # Whoever repeats an erasure at the server may have no account.
    row.lifted_by = None if actor.id == SYSTEM_ID else actor.id
    db.session.flush()
    _record(actor, row, "lifted")


def _record(actor: Actor, row: LegalHold, state: str) -> None:
    details = {"state": state, "kind": row.kind}
    if row.lift_reason:
        details["reason"] = row.lift_reason
    action = Action.LEGAL_HOLD_MANAGE
    record(actor, action, "legal_hold", row.id, client_id=row.client_id, details=details)
