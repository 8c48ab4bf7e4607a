"""Helpers to find holds, complete their tasks, list their blockers and release them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from caseapp.core.clock import at
from caseapp.core.database import db
from caseapp.core.transaction import transaction
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.history import get_safety_history
from caseapp.domain.screening.hold_operations import release_hold
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.queries import list_release_blockers, lock_hold
from tests.support import followups

START = datetime(2026, 5, 14, 12, tzinfo=UTC)
REASON = "Two steady weeks and a plan on file."
KEYS = [item.key for item in ITEMS]


def day(number):
    return at(START + timedelta(days=number))


def only_hold(client_id):
    db.session.rollback()
    [hold] = get_safety_history(client_id).holds.values()
    return hold


def reread(hold):
    db.session.rollback()
    return get_safety_history(hold.client_id).holds[hold.id]


def open_holds(client_id):
    db.session.rollback()
    return {hold.kind: hold for hold in get_safety_state(client_id).holds}


def finish_tasks(actor, client_id):
    """Complete every open task that can be done now."""
    followups.complete_all(actor, client_id)


def blockers(hold, actor):
    return [reason.code for reason in list_release_blockers(reread(hold), actor)]


def clear(actor, hold, reason=REASON, version=None):
    version = version or reread(hold).version
    with transaction():
        release_hold(actor, lock_hold(actor, hold.id), reason, version)
