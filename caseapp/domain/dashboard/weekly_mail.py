"""The weekly email to each supervisor: the counts of their board, without any name."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from caseapp.core import outbox, urls
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.permissions import Action, Role
from caseapp.domain.dashboard.board import count_board
from caseapp.domain.practice.queries import get_practice
from caseapp.domain.users.models import User
from caseapp.domain.users.queries import find_job_actor
from caseapp.domain.users.staff_mail import send_staff_mail

if TYPE_CHECKING:
    from uuid import UUID

BOARD_MAIL = "board_mail"
HOUR = time(8)
"""When the email is due on Mondays, in the time zone of the practice."""


def find_next_monday(moment: datetime, zone: str) -> datetime:
    """Return the next Monday at HOUR in a time zone after a moment."""
    local = moment.astimezone(ZoneInfo(zone))
    monday = local.date() - timedelta(days=local.weekday())
    due = datetime.combine(monday, HOUR, ZoneInfo(zone))
    if due <= local:
        due = datetime.combine(monday + timedelta(days=7), HOUR, ZoneInfo(zone))
    return due.astimezone(UTC)


def enqueue_board_mails() -> None:
    """Enqueue next Monday's email to each active supervisor; it is added once for each week and person."""
    practice = get_practice()
    due_at = find_next_monday(now(), practice.zone)
    supervisors = sa.select(User.id).where(User.role == Role.SUPERVISOR, User.disabled_at.is_(None))
    for user_id in db.session.scalars(supervisors.order_by(User.id)).all():
        name = f"{BOARD_MAIL} {user_id.hex} {due_at.astimezone(ZoneInfo(practice.zone)).date()}"
        outbox.enqueue_once(name, BOARD_MAIL, {"user": user_id.hex}, due_at)


def send_board_mail(user_id: UUID) -> bool:
    """Mail a supervisor the counts of their board; return whether it was sent.

    Nothing is sent to somebody who is no longer a supervisor.
    """
    actor = find_job_actor(user_id)
    if actor is None or not actor.may(Action.BOARD_READ):
        return False
    values: dict[str, object] = {"counts": count_board(actor), "link": urls.board_url()}
    address = db.session.scalars(sa.select(User.email).where(User.id == user_id)).one()
    return send_staff_mail(address, "board", values)
