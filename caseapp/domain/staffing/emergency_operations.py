"""Operations on emergency access: open it, end it, review it, and mail the coach."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core import outbox, urls
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.vault import seal_bytes, seal_code
from caseapp.domain.audit.operations import record
from caseapp.domain.clients.codes import EMERGENCY_MINUTES, READER
from caseapp.domain.clients.memberships import leave_for, read_until
from caseapp.domain.clients.models import EmergencyAccess
from caseapp.domain.clients.visibility import has_role
from caseapp.domain.dashboard.emergencies import TABLE
from caseapp.domain.staffing.emergencies import count_emergencies
from caseapp.domain.staffing.rules import check_emergency, check_review
from caseapp.domain.users.models import User
from caseapp.domain.users.staff_mail import send_staff_mail

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.staffing.denials import LockedAccess
    from caseapp.domain.staffing.emergencies import LockedEmergency
    from caseapp.domain.staffing.schemas import NewEmergencyAccess

EMERGENCY_MAIL = "emergency_mail"


def open_emergency_access(actor: Actor, access: LockedAccess, new: NewEmergencyAccess) -> UUID:
    """Let the actor read the record of a client whom they don't see, for EMERGENCY_MINUTES, and return its id.

    No change finds the client meanwhile, see `clients.visibility.opens_record`. The client's coaches find it on Today
    and are mailed, naming nobody; another supervisor reviews it. Raises RuleBroken, see `check_emergency`.
    """
    require(actor, Action.EMERGENCY_OPEN)
    # Two that somebody opens at the same moment are counted one after the other.
    db.session.execute(sa.select(User.id).where(User.id == actor.id).with_for_update())
    client_id, moment = access.client_id, now()
    is_open = db.session.scalar(
        sa.select(has_role(actor, READER, sa.literal(client_id, User.id.type)))
    )
    check_emergency(access, actor.id, count_emergencies(actor.id), is_open=bool(is_open))
    ends_at = moment + timedelta(minutes=EMERGENCY_MINUTES)
    row = EmergencyAccess(
        id=new_id(),
        client_id=client_id,
        user_id=actor.id,
        opened_at=moment,
        ends_at=ends_at,
    )
    row.reason = seal_code(TABLE, "reason", row.id, new.reason, access.key)
    row.words = seal_bytes(row, "words", new.words.encode(), access.key)
    db.session.add(row)
    db.session.flush()
    read_until(client_id, actor.id, ends_at)
    for coach_id in sorted(access.coaches):
        outbox.enqueue(EMERGENCY_MAIL, {"user": coach_id.hex})
    details = {"minutes": EMERGENCY_MINUTES}
    record(actor, Action.EMERGENCY_OPEN, "emergency", row.id, client_id=client_id, details=details)
    return row.id


def end_emergency_access(actor: Actor, emergency: LockedEmergency) -> None:
    """End the actor's own emergency access now."""
    require(actor, Action.EMERGENCY_OPEN)
    row = emergency.row
    row.ends_at = now()
    leave_for(row.client_id, actor.id, READER)
    record(
        actor,
        Action.EMERGENCY_OPEN,
        "emergency",
        row.id,
        client_id=row.client_id,
        details={"ended": True},
    )


def review_emergency_access(actor: Actor, emergency: LockedEmergency, outcome: str) -> None:
    """Record what another supervisor finds about an emergency access, a code of REVIEW_OUTCOMES.

    Raises RuleBroken when it was reviewed.
    """
    require(actor, Action.EMERGENCY_REVIEW)
    check_review(emergency)
    row = emergency.row
    row.reviewed_at, row.reviewed_by = now(), actor.id
    row.outcome = seal_code(TABLE, "outcome", row.id, outcome, emergency.access.key)
    record(actor, Action.EMERGENCY_REVIEW, "emergency", row.id, client_id=row.client_id)


def send_emergency_mail(user_id: UUID) -> bool:
    """Mail a coach that somebody has read a client's record by emergency access, naming nobody."""
    address = db.session.scalar(
        sa.select(User.email).where(User.id == user_id, User.disabled_at.is_(None))
    )
    return send_staff_mail(address, "emergency-access", {"link": urls.today_url()})
