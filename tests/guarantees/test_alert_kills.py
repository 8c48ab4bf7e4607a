"""Server and worker are killed while screenings are saved and alerts are passed on: each step is taken exactly once."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
import sqlalchemy as sa

from caseapp.core import outbox, runtime
from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.outbox import OutboxRow
from caseapp.core.permissions import SCOPES
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.codes import STEPS
from caseapp.domain.alerts.models import Alert, AlertRecipient, AlertStep
from caseapp.domain.alerts.operations import ALERT_MAIL
from caseapp.domain.auth.operations import create_token
from caseapp.domain.screening.queries import list_holds
from tests.domain.alerts.steps import add_deputies
from tests.support import builders, staff
from tests.support.depth import times
from tests.support.patience import PATIENCE
from tests.support.processes import children, stop
from tests.support.served import serving

pytestmark = pytest.mark.both

KILLS = times(1)
ACKNOWLEDGED_BEFORE_KILL = 4
OLD_ALERTS = 3


class Recorder(threading.Thread):
    """A coach's program that records one urgent screening after another, each with a key of its own."""

    def __init__(self, token, client_id):
        """Know whom to screen."""
        super().__init__(daemon=True)
        self.token, self.client_id, self.port = token, client_id, 0
        self.number, self.recorded, self.surprises = 0, [], []
        self.acks = threading.Semaphore(0)

    def again(self, port):
        """Return a recorder that goes on where this one was stopped."""
        other = Recorder(self.token, self.client_id)
        other.port, other.number = port, self.number
        other.recorded, other.surprises = self.recorded, self.surprises
        return other

    def run(self):
        with suppress(OSError, HTTPException, ValueError):
            while True:
                self.record()

    def record(self):
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(
                "POST",
                f"/api/v1/clients/{self.client_id}/screenings",
                json.dumps({"self_harm": "urgent", "asked_alone": True}),
                {
                    "Authorization": f"Bearer {self.token}",
                    "Content-Type": "application/json",
                    "Idempotency-Key": f"screening-{self.number}",
                },
            )
            answer = connection.getresponse()
            body = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status == 201:
            self.recorded.append(body["id"])
            self.number += 1
            self.acks.release()
        else:
            self.surprises.append(f"{answer.status}: {body}")
            raise HTTPException


def kill_worker(server_pid):
    """Kill the worker; the server is stopped first, so that it starts no other one before it is killed itself."""
    stop(server_pid)
    for child in children(server_pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"\0worker\0" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGKILL)


def raise_old_alerts(team):
    """Raise alerts whose every step is overdue, for the worker to take while it is killed."""
    for _ in range(OLD_ALERTS):
        made = builders.case(team["coach"])
        builders.screen(team["coach"], made.client_id, self_harm="urgent", days_ago=1)
    db.session.remove()


@pytest.mark.fault
@pytest.mark.timeout(300 + 120 * KILLS)
def test_every_acknowledged_screening_has_its_hold_and_each_step_once(
    app, database_url, settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(runtime.current(), "dispatch", None)
    team = add_deputies(staff.team())
    made = builders.case(team["coach"])
    with transaction():
        token = create_token(operator(), "coach@practice.test", "kill", SCOPES)[1]
    recorder = Recorder(token, made.client_id)
    for _ in range(KILLS):
        raise_old_alerts(team)
        with serving(database_url, settings, tmp_path) as served:
            recorder = recorder.again(served.port)
            recorder.start()
            for _ in range(ACKNOWLEDGED_BEFORE_KILL):
                assert recorder.acks.acquire(timeout=PATIENCE), recorder.surprises
            kill_worker(served.process.pid)
        recorder.join(PATIENCE)
    assert recorder.surprises == []
    with at(now() + timedelta(hours=3)):
        while outbox.sweep():
            pass
    everything_happened_once(team, made.client_id, recorder.recorded)


def everything_happened_once(team, client_id, recorded):
    [hold] = list_holds(team["coach"], client_id)
    of_hold = [reason["screening"] for reason in hold.reasons]
    assert len(set(of_hold)) == len(of_hold)
    assert set(recorded) <= set(of_hold)
    alerts = set(db.session.scalars(sa.select(Alert.id)))
    # One screening may have been stored and not acknowledged before each kill.
    assert len(alerts) == len(of_hold) + KILLS * OLD_ALERTS
    assert len(recorded) <= len(of_hold) <= len(recorded) + KILLS
    taken = db.session.execute(sa.select(AlertStep.alert_id, AlertStep.step, AlertStep.taken_at))
    steps = {(row.alert_id, row.step): row.taken_at for row in taken}
    assert steps.keys() == {(alert, step) for alert in alerts for step in STEPS}
    assert None not in steps.values()
    people = {team[who].id for who in ("supervisor", "deputy", "manager")}
    expected = {(alert, person) for alert in alerts for person in people}
    reached = db.session.execute(sa.select(AlertRecipient.alert_id, AlertRecipient.user_id)).all()
    assert {(row.alert_id, row.user_id) for row in reached} == expected
    mails = db.session.scalars(sa.select(OutboxRow.payload).where(OutboxRow.kind == ALERT_MAIL))
    mailed = sorted((mail["alert"], mail["user"]) for mail in mails)
    assert mailed == sorted((alert.hex, person.hex) for alert, person in expected)
