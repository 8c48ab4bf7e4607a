"""Sign-out and quick exit end the session, even when it can't be audited."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core.transaction import transaction
from caseapp.domain.auth import portal_access
from caseapp.domain.auth.queries import find_client_session
from caseapp.portal.safety import end_session
from tests.domain.clients.portal_visitor import choose_pin, list_audit_events_of, redeem
from tests.support.owner import owner_connection
from tests.support.portal_client import PIN, invited

pytestmark = pytest.mark.both


def test_sign_out_ends_the_session_and_is_audited(coach, app):
    found = invited(coach)
    reference = choose_pin(redeem(found.card_code), found.start_code, PIN)
    with transaction():
        portal_access.sign_out(find_client_session(reference).actor)
    assert find_client_session(reference) is None
    assert list_audit_events_of(found.client_id)[0].action == "session.end"


def test_quick_exit_without_audit_table_ends_the_session(coach, app):
    found = invited(coach)
    reference = choose_pin(redeem(found.card_code), found.start_code, PIN)
    with owner_connection() as connection:
        connection.exec_driver_sql("ALTER TABLE audit_event RENAME TO away")
    with pytest.raises(sa.exc.SQLAlchemyError):
        end_session(reference)
    assert find_client_session(reference) is None


def test_quick_exit_repeated_is_audited_once(coach, app):
    found = invited(coach)
    reference = choose_pin(redeem(found.card_code), found.start_code, PIN)
    end_session(reference)
    end_session(reference)
    end_session("unknown")
    assert [entry.action for entry in list_audit_events_of(found.client_id)].count(
        "session.end"
    ) == 1
