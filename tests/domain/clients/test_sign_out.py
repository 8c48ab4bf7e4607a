"""Leaving the portal ends the session, also where nothing can be recorded."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.transaction import transaction
from caseapp.domain.auth import portal_access
from caseapp.domain.auth.queries import find_client_session
from tests.domain.clients.portal_visitor import arrive, log_of
from tests.support.portal_client import PIN, invited

pytestmark = pytest.mark.both


def test_leaving_ends_the_session_and_is_recorded(coach, app):
    found = invited(coach)
    reference = portal_access.choose_pin(arrive(found.card_code), found.start_code, PIN)
    with transaction():
        portal_access.sign_out(find_client_session(reference).actor)
    assert find_client_session(reference) is None
    assert log_of(found.client_id)[0].action == "session.end"


def test_leave_now_works_while_the_audit_log_does_not(coach, app):
    found = invited(coach)
    reference = portal_access.choose_pin(arrive(found.card_code), found.start_code, PIN)
    with transaction() as session:
        session.execute(sa.text("ALTER TABLE audit_event RENAME TO away"))
    portal_access.end_session_by_reference(reference)
    assert find_client_session(reference) is None


def test_leave_now_is_recorded_once(coach, app):
    found = invited(coach)
    reference = portal_access.choose_pin(arrive(found.card_code), found.start_code, PIN)
    portal_access.end_session_by_reference(reference)
    portal_access.end_session_by_reference(reference)
    portal_access.end_session_by_reference("unknown")
    assert [entry.action for entry in log_of(found.client_id)].count("session.end") == 1
