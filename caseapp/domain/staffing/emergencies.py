"""The locks of emergency access to records, and how often somebody has had it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from caseapp.core.actor import Actor, require
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.permissions import Action
from caseapp.domain.clients.codes import EMERGENCY_HOURS
from caseapp.domain.clients.models import EmergencyAccess
from caseapp.domain.clients.queries import take_lock_of_owner
from caseapp.domain.dashboard.emergencies import is_own, is_reviewer
from caseapp.domain.staffing.denials import lock_access_of

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.staffing.denials import LockedAccess


@dataclass(frozen=True)
class LockedEmergency:
    """An emergency access to the record of a client whose lock is held; only `lock_…` functions make one."""

    row: EmergencyAccess
    access: LockedAccess


def lock_emergency(actor: Actor, emergency_id: UUID) -> LockedEmergency:
    """Lock the client of an open emergency access of the actor's own, then load it.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.EMERGENCY_OPEN)
    row = _get_locked(emergency_id, is_own(actor), EmergencyAccess.ends_at > now())
    return LockedEmergency(row, lock_access_of(row.client_id))


def lock_reviewed_emergency(actor: Actor, emergency_id: UUID) -> LockedEmergency:
    """Lock the client of an emergency access that the actor may review, then load it.

    Raises NotFound, and RuntimeError outside `transaction()`.
    """
    require(actor, Action.EMERGENCY_REVIEW)
    row = _get_locked(emergency_id, is_reviewer(actor))
    return LockedEmergency(row, lock_access_of(row.client_id))


def _get_locked(emergency_id: UUID, *conditions: sa.ColumnElement[bool]) -> EmergencyAccess:
    take_lock_of_owner(EmergencyAccess.id, emergency_id)
    row = db.session.scalar(
        sa.select(EmergencyAccess)
        .where(EmergencyAccess.id == emergency_id, *conditions)
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound
    return row


def count_emergencies(user_id: UUID) -> int:
    """Count how often somebody has used emergency access in the last EMERGENCY_HOURS."""
    since = now() - timedelta(hours=EMERGENCY_HOURS)
    found = db.session.scalar(
        sa.select(sa.func.count())
        .select_from(EmergencyAccess)
        .where(EmergencyAccess.user_id == user_id, EmergencyAccess.opened_at > since)
    )
    return found or 0
