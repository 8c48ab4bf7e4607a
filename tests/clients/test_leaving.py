"""Leaving the portal ends the session, also where nothing can be recorded."""

from __future__ import annotations

import sqlalchemy as sa

from caseapp.clients import portal
from caseapp.core.transaction import transaction
from tests.clients.door import arrive, log_of
from tests.reader import PIN, invited


def test_leaving_ends_the_session_and_is_recorded(coach, app):
    found = invited(coach)
    reference = portal.choose_pin(arrive(found.card_code), found.start_code, PIN)
    with transaction():
        portal.leave(portal.client_signed_in(reference).actor)
    assert portal.client_signed_in(reference) is None
    assert log_of(found.client_id)[0].action == "session.end"


def test_leave_now_works_while_the_audit_log_does_not(coach, app):
    found = invited(coach)
    reference = portal.choose_pin(arrive(found.card_code), found.start_code, PIN)
    with transaction() as session:
        session.execute(sa.text("ALTER TABLE audit_entry RENAME TO away"))
    portal.leave_now(reference)
    assert portal.client_signed_in(reference) is None


def test_leave_now_is_recorded_once(coach, app):
    found = invited(coach)
    reference = portal.choose_pin(arrive(found.card_code), found.start_code, PIN)
    portal.leave_now(reference)
    portal.leave_now(reference)
    portal.leave_now("unknown")
    assert [entry.action for entry in log_of(found.client_id)].count("session.end") == 1
