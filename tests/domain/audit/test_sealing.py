"""What the log says of a client's safety: only the client's key tells what was done."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.core.vault import SHORTEST_SEAL
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.audit.operations import record
from caseapp.domain.audit.queries import AuditFilter, list_audit_events
from caseapp.domain.audit.sealing import BLOCK_SIZE, SEALED_ACTIONS
from caseapp.domain.audit.stored_log_verification import verify_log
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.keys.models import ClientKey
from caseapp.domain.screening.hold_operations import name_second_person
from caseapp.domain.screening.operations import set_manual_flag
from caseapp.domain.screening.queries import list_holds, lock_hold
from tests.support import builders
from tests.support.owner import owner_connection


@pytest.fixture
def client_id(team):
    """Open a hold, name somebody for it and set a flag; return the client's id."""
    coach = team["coach"]
    found = builders.client(coach)
    builders.screen(coach, found, sleep="urgent")
    with transaction():
        set_manual_flag(coach, lock_client(coach, found), "eating_disorder_flag")
    [hold] = list_holds(coach, found)
    with transaction():
        locked = lock_hold(coach, hold.id)
        name_second_person(coach, locked, team["supervisor"].id, hold.version)
    return found


def listed(team, client_id, **wanted):
    filters = AuditFilter(client_id=client_id, **wanted)
    page = list_audit_events(team["admin"], filters, None, 50)
    return {event.action: event for event in page.items}


def test_sealed_events_are_alike_in_the_database_and_open_for_the_log_page(team, client_id):
    of_client = sa.select(AuditEvent).where(AuditEvent.client_id == client_id)
    rows = db.session.scalars(of_client).all()
    sealed = [row for row in rows if row.action == "safety.write"]
    assert not SEALED_ACTIONS & {row.action for row in rows}
    assert {(row.object_kind, row.object_id) for row in sealed} == {("safety", None)}
    lengths = {len(bytes.fromhex(row.details["sealed"])) for row in sealed}
    assert lengths == {BLOCK_SIZE + SHORTEST_SEAL}
    found = listed(team, client_id)
    assert found.keys() >= {"hold.open", "hold.name", "flag.set", "screening.record"}
    [hold] = list_holds(team["coach"], client_id)
    assert (found["hold.open"].object_kind, found["hold.open"].object_id) == ("hold", hold.id)
    assert found["hold.open"].details == {}
    assert found["hold.name"].details == {"user": str(team["supervisor"].id)}
    # The database can't tell them apart, so one filter finds all of them.
    about_safety = {"hold.open", "hold.name", "flag.set"}
    for action in ("hold.open", "safety.write"):
        assert listed(team, client_id, action=action).keys() == about_safety
    assert "screening.record" in listed(team, client_id, action="screening.record")


def test_sealed_events_of_a_client_without_a_key_or_with_changed_bytes_say_only_that_there_were_some(
    team, client_id
):
    with owner_connection() as connection:
        triggers = connection.exec_driver_sql(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit_event'"
        )
        for (name,) in triggers.all():
            connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
        connection.execute(
            sa.update(AuditEvent)
            .where(AuditEvent.action == "safety.write")
            .values(details={"sealed": "00" * 200})
        )
    db.session.rollback()
    assert "safety.write" in listed(team, client_id)
    assert "hold.open" not in listed(team, client_id)
    assert [fault.kind for fault in verify_log().faults] == ["changed"]
    with transaction() as session:
        session.execute(sa.delete(ClientKey).where(ClientKey.client_id == client_id))
    found = listed(team, client_id)["safety.write"]
    assert (found.object_kind, found.object_id, found.details) == ("safety", None, {})


def test_event_about_safety_is_never_recorded_in_plain_words(team):
    for action in (Action.HOLD_OPEN, Action.FLAG_SET):
        with pytest.raises(ValueError, match=str(action)), transaction():
            record(team["coach"], action, "hold", UUID(int=1), client_id=UUID(int=2))
