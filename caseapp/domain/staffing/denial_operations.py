"""Operations on who must not see a client: record it, and end it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal_code
from caseapp.domain.alerts.operations import readdress_alerts
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.memberships import withdraw_offers
from caseapp.domain.clients.models import AccessDenial
from caseapp.domain.followups.assignees import choose_assignee
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.screening.current import get_current_safety
from caseapp.domain.screening.marks import add_marks, list_marked, remove_marks
from caseapp.domain.staffing.operations import move_followups
from caseapp.domain.staffing.rules import check_denial

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.staffing.denials import LockedAccess, LockedDenial
    from caseapp.domain.staffing.schemas import NewDenial


def deny_access(actor: Actor, access: LockedAccess, new: NewDenial) -> UUID:
    """Record that a member of staff must not see a client, from now on, and return its id; supervisors and admins.

    It counts before whatever else lets the person see the client. Their open follow-ups about the client go to whoever
    decides about the client, alerts no longer reach them, and an offer of the client to them is withdrawn. They aren't
    told. Raises RuleBroken, see `check_denial`.
    """
    require(actor, Action.DENIAL_MANAGE)
    check_denial(access, new.user_id, actor.id)
    client_id = access.client_id
    marked = list_marked(get_current_safety(access.key).state, client_id)
    remove_marks(marked, client_id)
    denial_id = new_id()
    db.session.add(
        AccessDenial(
            id=denial_id,
            client_id=client_id,
            user_id=new.user_id,
            reason=seal_code("access_denial", "reason", denial_id, new.reason, access.key),
            created_at=now(),
            created_by=actor.id,
        )
    )
    db.session.flush()
    withdraw_offers(actor, client_id, new.user_id)
    add_marks(marked, client_id)
    decides = choose_assignee(client_id, [*sorted(access.coaches), new.user_id], decides=True)
    move_followups(FollowUp.client_id == client_id, decides)
    readdress_alerts(actor, client_id)
    details = {"user": new.user_id.hex}
    record(actor, Action.DENIAL_MANAGE, "denial", denial_id, client_id=client_id, details=details)
    return denial_id


def end_denial(actor: Actor, denial: LockedDenial, reason: str) -> None:
    """Let somebody see a client again, as far as something lets them; `reason` is a code of DENIAL_END_REASONS.

    Alerts reach them again.
    """
    require(actor, Action.DENIAL_MANAGE)
    row, access = denial.row, denial.access
    row.ended_at, row.ended_by = now(), actor.id
    row.end_reason = seal_code("access_denial", "end_reason", row.id, reason, access.key)
    db.session.flush()
    add_marks(list_marked(get_current_safety(access.key).state, row.client_id), row.client_id)
    readdress_alerts(actor, row.client_id)
    details = {"user": row.user_id.hex, "ended": True}
    record(actor, Action.DENIAL_MANAGE, "denial", row.id, client_id=row.client_id, details=details)
