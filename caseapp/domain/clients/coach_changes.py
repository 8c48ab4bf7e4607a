"""Changes of a client's coach of which the client is told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.domain.clients.codes import COACH, NEW_COACH_DAYS, UNDO_HOURS
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.users.models import User

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

TOLD_AFTER = timedelta(hours=UNDO_HOURS)


@dataclass(frozen=True)
class Coaching:
    """From when until when somebody coaches or coached a client, and why: a code of JOIN_REASONS."""

    user_id: UUID
    name: str
    reason: str
    starts_at: datetime
    ends_at: datetime

    @property
    def is_known(self) -> bool:
        """Tell whether the client knew of this coach: from the beginning, or because there was time to tell them."""
        return self.reason != "handed_over" or self.ends_at - self.starts_at >= TOLD_AFTER

    def is_shown_at(self, moment: datetime) -> bool:
        """Tell whether the portal says at a moment that this is the client's new coach."""
        begins_at = self.starts_at + TOLD_AFTER
        return begins_at <= moment < begins_at + timedelta(days=NEW_COACH_DAYS)


def find_new_coach(client_id: UUID) -> Coaching | None:
    """Find whoever coaches a client now instead of somebody else, see `derive_new_coach`; None without one."""
    rows = db.session.execute(
        sa.select(
            User.id,
            User.name,
            CareTeamMember.reason,
            CareTeamMember.starts_at,
            CareTeamMember.ends_at,
            User.disabled_at,
        )
        .join(User, User.id == CareTeamMember.user_id)
        .where(CareTeamMember.client_id == client_id, CareTeamMember.role == COACH)
    ).all()
    found = derive_new_coach([Coaching(*row[:-1]) for row in rows], now())
    gone = {row.id for row in rows if row.disabled_at is not None}
    return None if found is None or found.user_id in gone else found


def derive_new_coach(coachings: Sequence[Coaching], moment: datetime) -> Coaching | None:
    """Return the newest of a client's coaches at a moment, if the client was handed over to them.

    Somebody is no new coach who got the client back before there was time to tell the client of another one.
    """
    running = [one for one in coachings if one.ends_at > moment and one.reason == "handed_over"]
    if not running:
        return None
    newest = max(running, key=lambda one: (one.starts_at, one.user_id))
    known = [one for one in coachings if one.ends_at <= newest.starts_at and one.is_known]
    last = max(known, key=lambda one: one.ends_at, default=None)
    return None if last and last.user_id == newest.user_id else newest
