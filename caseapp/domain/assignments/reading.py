"""Asked: what a client may read in the portal now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.database import db, run
from caseapp.core.errors import Reason, RuleBroken
from caseapp.core.permissions import Action
from caseapp.domain.assignments.models import Assignment
from caseapp.domain.assignments.queries import given_where, only_record, records_of
from caseapp.domain.assignments.recipients import recipient_for, with_recipient
from caseapp.domain.cases.queries import newest_case
from caseapp.domain.clients.models import Client

if TYPE_CHECKING:
    from caseapp.domain.assignments.schemas import AssignmentRecord

IN_THE_PORTAL = with_recipient(
    given_where(
        Assignment.client_id == sa.bindparam("client"),
        Assignment.place == sa.bindparam("place"),
        Assignment.channel == "portal",
    ).join(Client, Client.id == Assignment.client_id),
    newest_case(Client.id),
)
WITHDRAWN = Reason(
    "withdrawn", "Your coach has taken this sheet back.", "Ask your coach if you need it."
)
RESTING = Reason(
    "resting",
    "This sheet is resting just now.",
    "Your coach can tell you more the next time you talk.",
)


def reading_list(actor: Actor) -> list[AssignmentRecord]:
    """List what a client may read in the portal now: given there, not withdrawn, still suitable."""
    require(actor, Action.PORTAL_READ)
    rows = db.session.execute(
        given_where(
            Assignment.client_id == actor.id,
            Assignment.channel == "portal",
            Assignment.withdrawn_at.is_(None),
        ).order_by(Assignment.assigned_at.desc(), Assignment.id.desc())
    )
    found = records_of(rows, recipient_for(actor.id))
    return [record for record in found if not record.stopped]


def reading(actor: Actor, place: int) -> AssignmentRecord:
    """Show a client one sheet of their list, judged at this moment.

    Raises NotFound, and RuleBroken in neutral words when it was withdrawn (`withdrawn`) or is stopped (`resting`): a
    client's page never says why.
    """
    require(actor, Action.PORTAL_READ)
    found = only_record(run(IN_THE_PORTAL, client=actor.id, place=place).all())
    if found.withdrawn_at is not None or found.state == "recalled":
        raise RuleBroken(WITHDRAWN)
    if found.stopped:
        raise RuleBroken(RESTING)
    return found
