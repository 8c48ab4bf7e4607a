"""Operations on open holds: release, naming the second person, and allowing a handout during a care hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core import outbox, urls
from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import Stale, refuse_for
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action, Role
from caseapp.domain.audit.operations import record_safety
from caseapp.domain.clients.codes import SECOND_PERSON
from caseapp.domain.clients.memberships import join_for
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.rules import ONLY_COVERS
from caseapp.domain.clients.visibility import has_denial, is_responsible_for, select_clients_of
from caseapp.domain.screening.current import get_current_safety
from caseapp.domain.screening.events import HandoutAllowed, HoldReleased, SecondPersonNamed
from caseapp.domain.screening.rules import check_name_second_person, check_release
from caseapp.domain.screening.stream import append
from caseapp.domain.users.models import User
from caseapp.domain.users.staff_mail import send_staff_mail

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.clients.queries import LockedClient
    from caseapp.domain.screening.queries import LockedHold
    from caseapp.domain.screening.records import Hold
    from caseapp.domain.screening.schemas import NewException

SECOND_PERSON_MAIL = "second_person_mail"


def release_hold(actor: Actor, locked: LockedHold, reason: str, version: int) -> None:
    """Release a hold with a written reason when nothing blocks it; supervisors only.

    Raises RuleBroken with every blocker, or Stale when the hold has changed since `version`.
    """
    require(actor, Action.HOLD_RELEASE)
    check_release(actor, locked, now())
    hold = locked.hold
    if hold.version != version:
        raise Stale
    released = HoldReleased(hold.id, reason)
    append(actor, locked, get_current_safety(locked.key), [(new_id(), released)])
    record_safety(actor, Action.HOLD_RELEASE, "hold", hold.id, locked.key)


def name_second_person(actor: Actor, locked: LockedHold, user_id: UUID, version: int) -> None:
    """Name the supervisor who may release a hold, also of another team; naming them again changes nothing.

    They can read the hold and release it, until it is released or another one is named, and are mailed in the same
    transaction, unless they have named themselves. Raises RuleBroken unless they are an active supervisor who recorded
    none of its screenings and may see the client, or when they name themselves and only cover. Raises Stale when the
    hold has changed since `version`.
    """
    require(actor, Action.HOLD_NAME)
    # Another role at the same moment waits, or is seen.
    user = db.session.get(
        User,
        user_id,
        with_for_update={"read": True, "key_share": False},
        populate_existing=True,
    )
    is_supervisor = user is not None and user.role == Role.SUPERVISOR and user.disabled_at is None
    must_not_see = has_denial(locked.hold.client_id, user_id)
    check_name_second_person(
        locked, user_id, is_supervisor=is_supervisor, must_not_see=must_not_see
    )
    hold = locked.hold
    if hold.version != version:
        raise Stale
    if hold.second_person_id == user_id and _is_member(user_id, hold.client_id):
        return
    if user_id == actor.id and not is_responsible_for(actor.role, actor.id, hold.client_id):
        refuse_for([ONLY_COVERS])
    if hold.second_person_id != user_id:
        named = SecondPersonNamed(hold.id, user_id)
        append(actor, locked, get_current_safety(locked.key), [(new_id(), named)])
    else:
        # They were no supervisor for a while, which took them out of the care team.
        join_for(hold.client_id, user_id, SECOND_PERSON, actor.id)
    details = {"user": str(user_id)}
    record_safety(actor, Action.HOLD_NAME, "hold", hold.id, locked.key, details=details)
    if user_id != actor.id:
        outbox.enqueue(SECOND_PERSON_MAIL, {"user": user_id.hex})


def _is_member(user_id: UUID, client_id: UUID) -> bool:
    found = select_clients_of(user_id, SECOND_PERSON).where(CareTeamMember.client_id == client_id)
    return bool(db.session.scalar(sa.select(found.exists())))


def send_second_person_mail(user_id: UUID) -> bool:
    """Mail somebody that their decision is needed, naming nobody and no reason; return whether it was sent.

    Nothing is sent once they are named for no hold any more.
    """
    is_named = select_clients_of(user_id, SECOND_PERSON).exists()
    address = db.session.scalar(
        sa.select(User.email).where(User.id == user_id, User.disabled_at.is_(None), is_named)
    )
    return send_staff_mail(address, "second-person", {"link": urls.today_url()})


def record_allowed_handout(
    actor: Actor, client: LockedClient, hold: Hold, new: NewException, version: int
) -> None:
    """Record that a handout, which only an open care hold bars, is allowed in a case; it replaces an earlier one.

    Raises Stale when the hold has changed since `version`.
    """
    require(actor, Action.HOLD_ALLOW)
    if hold.version != version:
        raise Stale
    allowed = HandoutAllowed(hold.id, new.handout, new.case_id, new.reason)
    append(actor, client, get_current_safety(client.key), [(new_id(), allowed)])
    record_safety(actor, Action.HOLD_ALLOW, "hold", hold.id, client.key)
