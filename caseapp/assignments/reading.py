"""Asked: what a client may read in the portal now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.access.actions import Action
from caseapp.access.actor import Actor, require
from caseapp.assignments.models import Assignment
from caseapp.assignments.queries import given_where, recipient_for, records_of
from caseapp.core.database import db
from caseapp.core.errors import NotFound, Reason, RuleBroken
from caseapp.practice.queries import numbers, the_practice

if TYPE_CHECKING:
    from caseapp.assignments.schemas import AssignmentRecord


def reading_list(actor: Actor) -> list[AssignmentRecord]:
    """List what a client may read in the portal now: given there, not withdrawn, still suitable."""
    require(actor, Action.PORTAL_READ)
    rows = db.session.execute(
        given_where(
            Assignment.client_id == actor.id,
            Assignment.channel == "portal",
            Assignment.withdrawn_at.is_(None),
        ).order_by(Assignment.assigned_at.desc(), Assignment.id.desc())
    ).all()
    found = records_of(rows, recipient_for(actor.id), numbers(the_practice()))
    return [record for record in found if not record.stopped]


def reading(actor: Actor, place: int) -> AssignmentRecord:
    """Show a client one sheet of their list, judged at this moment.

    Raises NotFound, and RuleBroken in neutral words when it was withdrawn (`withdrawn`) or is stopped (`resting`): a
    client's page never says why.
    """
    require(actor, Action.PORTAL_READ)
    row = db.session.execute(
        given_where(
            Assignment.client_id == actor.id,
            Assignment.place == place,
            Assignment.channel == "portal",
        )
    ).first()
    if row is None:
        raise NotFound
    if row.Assignment.withdrawn_at is not None or row.recalled_at is not None:
        raise RuleBroken(
            Reason(
                "withdrawn",
                "Your coach has taken this sheet back.",
                "Ask your coach if you need it.",
            )
        )
    found = records_of([row], recipient_for(actor.id), numbers(the_practice()))[0]
    if found.stopped:
        raise RuleBroken(
            Reason(
                "resting",
                "This sheet is resting just now.",
                "Your coach can tell you more the next time you talk.",
            )
        )
    return found
