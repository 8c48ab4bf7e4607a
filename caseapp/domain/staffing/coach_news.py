"""Telling a client who coaches them now: in the portal, by email where that is safe, otherwise by the new coach."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

from caseapp.core import outbox
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.domain.auth.queries import enters_portal
from caseapp.domain.auth.rules import may_enter
from caseapp.domain.cases.queries import has_open_case
from caseapp.domain.clients.coach_changes import TOLD_AFTER, find_new_coach
from caseapp.domain.clients.operations import send_client_mail
from caseapp.domain.clients.queries import get_client_under_key
from caseapp.domain.followups.models import FollowUp
from caseapp.domain.followups.operations import add_followup
from caseapp.domain.followups.schemas import NewFollowUp
from caseapp.domain.keys.queries import get_client_key
from caseapp.domain.practice.queries import get_practice
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.staffing.transfer_queries import lock_transferred

if TYPE_CHECKING:
    from caseapp.core.actor import Actor

COACH_NEWS = "coach_news"
TELL_WITHIN = timedelta(days=3)
"""How long a new coach has for telling a client who can't be mailed. Awaiting sign-off."""
TELLING = "Tell the client that you coach them now, by one of the safe ways at the top of the case."
"""What the follow-up says. It names no way: a way may stop being safe while the follow-up stands."""


def tell_of_coach_later(client_id: UUID, coach_id: UUID) -> None:
    """Let a client be told of the coach who was given them just now, once that can't be undone.

    Nothing happens unless the practice wants it.
    """
    if get_practice().tells_new_coach:
        payload = {"client": client_id.hex, "coach": coach_id.hex, "at": now().isoformat()}
        outbox.enqueue(COACH_NEWS, payload, due_at=now() + TOLD_AFTER)


def is_coach_news(payload: dict[str, str]) -> bool:
    """Tell whether a client is to be told of the coach whom an outbox row names.

    Not if they don't coach the client any more, or do so by a later change, of which another row tells, nor without an
    open case. A row that comes too early is added again.
    """
    client_id = UUID(hex=payload["client"])
    coach = find_new_coach(client_id)
    told_at = datetime.fromisoformat(payload["at"])
    if coach is None or coach.user_id != UUID(hex=payload["coach"]) or coach.starts_at > told_at:
        return False
    if now() < told_at + TOLD_AFTER:
        outbox.enqueue(COACH_NEWS, payload, due_at=told_at + TOLD_AFTER)
        return False
    return get_practice().tells_new_coach and has_open_case(client_id)


def mail_coach_news(client_id: UUID) -> bool:
    """Mail a client that there is a line for them in the portal; return whether that is safe and was done.

    It isn't while a link wouldn't open the portal: they couldn't read the line.
    """
    flags = get_safety_state(client_id).flags
    client = get_client_under_key(get_client_key(client_id))
    if not enters_portal(client_id) or not may_enter("link", client, flags):
        return False
    return send_client_mail(client_id, flags, "portal-line", {})


def add_telling_task(actor: Actor, row_id: UUID, client_id: UUID, coach_id: UUID) -> None:
    """Give a new coach the follow-up to tell a client by a safe way; once for each outbox row.

    Nothing happens if somebody else coaches the client by now, no case is open, or the client has withdrawn consent.
    """
    client, coach = lock_transferred(client_id), find_new_coach(client_id)
    if coach is None or coach.user_id != coach_id or not has_open_case(client_id):
        return
    if client.record.consent_withdrawn_on is not None:
        return
    task_id = uuid5(row_id, COACH_NEWS)
    if db.session.get(FollowUp, task_id) is None:
        add_followup(actor, client, NewFollowUp(TELLING, now() + TELL_WITHIN), coach_id, task_id)
