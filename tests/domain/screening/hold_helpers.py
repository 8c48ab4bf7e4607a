"""Helpers to find holds, complete their tasks, list their blockers and release them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.screening.models import Hold
from caseapp.domain.screening.operations import release_hold
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.queries import get_safety_state, list_release_blockers, lock_hold
from tests.support import followups

START = datetime(2026, 5, 14, 12, tzinfo=UTC)
REASON = "Two steady weeks and a plan on file."
KEYS = [item.key for item in ITEMS]


def day(number):
    return at(START + timedelta(days=number))


def only_hold(client_id):
    db.session.rollback()
    [hold] = db.session.scalars(sa.select(Hold).where(Hold.client_id == client_id))
    return hold


def open_holds(client_id):
    db.session.rollback()
    return {hold.kind: hold for hold in get_safety_state(client_id).holds}


def finish_tasks(actor, client_id):
    """Complete every open task that can be done now."""
    followups.complete_all(actor, client_id)


def blockers(hold, actor):
    db.session.rollback()
    return [reason.code for reason in list_release_blockers(db.session.get(Hold, hold.id), actor)]


def clear(actor, hold, reason=REASON, version=None):
    db.session.rollback()
    with transaction():
        release_hold(
            actor,
            lock_hold(actor, hold.id),
            reason,
            version or db.session.get(Hold, hold.id).version,
        )
