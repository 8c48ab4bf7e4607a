"""The log is chained as it is written, on both databases, and what is changed in it afterwards is found."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from caseapp.core import reads
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.ids import new_id
from caseapp.core.permissions import Action
from caseapp.core.transaction import transaction
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.audit.operations import (
    chain_earlier_events,
    record,
    record_reads,
    record_refusal,
)
from caseapp.domain.audit.stored_log_verification import verify_log
from tests.support import builders
from tests.support.concurrency import run_concurrently
from tests.support.depth import times
from tests.support.owner import owner_connection

WRITERS = 4


def faults():
    db.session.rollback()
    return {fault.kind for fault in verify_log().faults}


def add_all_kinds(team):
    """Add events of changes, of refusals, and of what was read, alone and as a list."""
    coach = team["coach"]
    made = builders.case(coach)
    builders.note(coach, made.case_id)
    record_refusal(coach, "case.read", "case", made.case_id, {"reason": "é “quoted”\ttab\n"})
    for clients in ([made.client_id], [new_id(), new_id()]):
        with reads.collecting():
            reads.note_shown(clients)
            reads.note_opened(clients[0], "client", clients[0])
            record_reads(coach, Action.CLIENT_READ)


def take_guards_off(connection):
    """Take off the triggers, as somebody who owns the database can."""
    if connection.dialect.name == "postgresql":
        for table in ("audit_event", "audit_event_client"):
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        return
    names = connection.exec_driver_sql(
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'audit_event%'"
    )
    for name in [*names.scalars()]:
        connection.exec_driver_sql(f"DROP TRIGGER {name}")


@pytest.mark.slow
@pytest.mark.both
def test_log_verifies_until_somebody_changes_it(team):
    add_all_kinds(team)
    written = verify_log()
    assert written.faults == []
    assert written.events == db.session.scalar(sa.select(sa.func.count()).select_from(AuditEvent))
    assert sum(seq for seq, _ in written.ends.values()) == written.events
    with owner_connection() as connection:
        take_guards_off(connection)
    refused = "outcome = 'refused'"
    before = sa.select(AuditEvent.__table__).where(sa.text(refused))
    row = dict(db.session.execute(before).mappings().one())
    for change, expected in (
        (f"UPDATE audit_event SET action = 'other' WHERE {refused}", {"changed"}),
        (f"UPDATE audit_event SET occurred_at = '2020-01-01 00:00:00+00' WHERE {refused}", None),
        (f"UPDATE audit_event SET details = '{{}}' WHERE {refused}", {"changed"}),
        (f"UPDATE audit_event SET stream = NULL, seq = NULL WHERE {refused}", {"inserted"}),
        ("UPDATE audit_event_client SET occurred_at = occurred_at", set()),
    ):
        with owner_connection() as connection:
            connection.exec_driver_sql(change)
        assert (expected is None and faults()) or faults() >= (expected or set()), change
        with owner_connection() as connection:
            connection.execute(
                sa.update(AuditEvent.__table__).where(AuditEvent.id == row["id"]).values(row)  # type: ignore[arg-type]
            )
        assert faults() == set(), change
    with owner_connection() as connection:
        connection.exec_driver_sql(
            "UPDATE audit_event_client SET occurred_at = '1999-01-01 00:00:00+00'"
        )
    assert faults() == {"changed"}
    with owner_connection() as connection:
        connection.exec_driver_sql("DELETE FROM audit_event_client")
    assert faults() == {"missing"}


@pytest.mark.both
def test_earlier_events_are_chained_by_one_event(team):
    """A release before the chain has written some, and then the program is brought up to date."""
    earlier = _earlier(team)
    with transaction() as session:
        session.execute(sa.insert(AuditEvent), [earlier | {"id": new_id()} for _ in range(3)])
    assert faults() == {"inserted"}
    for _ in range(2):
        chain_earlier_events()
    assert faults() == set()
    found = db.session.scalars(sa.select(AuditEvent).where(AuditEvent.action == "chain.begin"))
    assert found.one().details["events"] == 3
    with transaction() as session:
        session.execute(sa.insert(AuditEvent), [earlier | {"id": new_id()}])
    assert faults() == {"inserted"}


def test_no_earlier_event_can_be_added_where_there_were_none(team):
    """`caseapp init` after somebody added an event without the chain doesn't make it genuine."""
    chain_earlier_events()
    with transaction() as session:
        session.execute(sa.insert(AuditEvent), [_earlier(team) | {"id": new_id()}])
    chain_earlier_events()
    assert faults() == {"inserted"}


def _earlier(team):
    """Return the values of an event as a release before the chain wrote it."""
    return {
        "occurred_at": now(),
        "actor_id": team["coach"].id,
        "actor_role": "coach",
        "via": "web",
        "action": "case.read",
        "outcome": "done",
        "object_kind": "case",
        "details": {"b": 1, "a": [None, "é"]},
        "request_id": "",
    }


@pytest.mark.both
@pytest.mark.soak
def test_simultaneous_writers_leave_no_gap(team, app):
    """Each writes to two streams at once, in opposite orders, and to one that all share."""
    clients = [new_id() for _ in range(2)]
    rounds = times(5)

    def write(number):
        for _ in range(rounds):
            with transaction():
                for client_id in clients[:: 1 if number % 2 else -1]:
                    record(team["coach"], Action.CASE_EDIT, "case", client_id=client_id)
            record_refusal(team["coach"], "case.edit", "case", None, {})

    before = verify_log()
    assert run_concurrently(app, WRITERS, write) == [None] * WRITERS
    after = verify_log()
    assert after.faults == []
    assert after.events - before.events == WRITERS * rounds * 3
