"""The worker: it passes on alerts whatever mail does, says that it is alive, and is restarted."""

from __future__ import annotations

from threading import Event

import pytest
import sqlalchemy as sa

from caseapp.cli import installation_checks, practice_checks
from caseapp.cli import worker as worker_module
from caseapp.cli.check_result import FAULT, OK, WARNING
from caseapp.cli.worker import DueWorkTimer
from caseapp.core import heartbeat, runtime
from caseapp.core.clock import at, now
from caseapp.core.heartbeat import MAX_SILENCE
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.models import AlertSetting
from caseapp.domain.alerts.operations import update_staff_contact
from caseapp.domain.alerts.schemas import StaffContact
from tests.domain.alerts.steps import add_deputies, taken_steps
from tests.support import builders, staff


@pytest.fixture
def quiet(app, monkeypatch):
    """Give the app without queue and without a heartbeat."""
    monkeypatch.setattr(runtime.current(), "dispatch", None)
    heartbeat.heartbeat_file().unlink(missing_ok=True)
    yield app
    heartbeat.heartbeat_file().unlink(missing_ok=True)


def test_turn_of_the_timer_takes_due_steps_and_beats(quiet):
    team = add_deputies(staff.team())
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id, self_harm="urgent", days_ago=1)
    timer = DueWorkTimer(quiet, Event())
    assert not heartbeat.is_alive()
    timer.do_due_work()
    assert heartbeat.is_alive()
    assert len(taken_steps()) == 4


def test_alert_that_has_reached_nobody_is_tried_again_every_15_minutes(quiet):
    lone = staff.add("coach2")
    builders.screen(lone, builders.case(lone).client_id, self_harm="urgent", days_ago=1)
    timer = DueWorkTimer(quiet, Event())
    timer.do_due_work()
    manager = staff.add("supervisor4")
    with transaction() as session:
        session.execute(sa.update(AlertSetting).values(manager_id=manager.id))
    timer.do_due_work()
    assert taken_steps()["manager"] is None
    timer.next_retry -= worker_module.RETRY_SECONDS
    timer.do_due_work()
    assert taken_steps()["manager"] == "Owen Blake"


def test_turn_that_fails_does_not_beat_and_the_next_one_tries_again(quiet, monkeypatch, logged):
    timer = DueWorkTimer(quiet, Event())
    with monkeypatch.context() as broken:
        broken.setattr("caseapp.core.outbox.sweep", lambda **_given: 1 / 0)
        timer.do_due_work()
    assert not heartbeat.is_alive()
    assert "alerts.failed" in logged()
    timer.do_due_work()
    assert heartbeat.is_alive()


def test_timer_that_stands_still_is_noticed(quiet, monkeypatch):
    timer = DueWorkTimer(quiet, Event())
    assert not timer.hangs
    timer.last_turn -= worker_module.HANG_SECONDS
    assert timer.hangs


@pytest.mark.parametrize("passed", [MAX_SILENCE, -MAX_SILENCE])
def test_old_heartbeat_and_one_from_the_future_count_for_nothing(quiet, passed):
    heartbeat.beat()
    with at(now() + passed):
        assert heartbeat.is_alive()
    with at(now() + passed * 2):
        assert not heartbeat.is_alive()


def test_readiness_needs_a_living_worker(quiet, visitor):
    assert visitor.get("/readyz").status_code == 503
    heartbeat.beat()
    assert visitor.get("/readyz").status_code == 200


def test_check_tells_whether_the_worker_runs(quiet):
    assert [found.level for found in installation_checks.check_worker()] == [WARNING]
    heartbeat.beat()
    assert [found.level for found in installation_checks.check_worker()] == [OK]
    with at(now() + MAX_SILENCE * 2):
        assert [found.level for found in installation_checks.check_worker()] == [FAULT]


def set_phone(admin, person, phone):
    with transaction():
        update_staff_contact(admin, person.id, StaffContact(phone, "", None), 1)


def test_check_complains_when_nobody_could_be_reached(quiet):
    team = staff.team()
    # Without a mail server only a phone reaches somebody; the second coach has no supervisor at all.
    nobody, silent = list(practice_checks.check_alerts())
    assert (nobody.level, silent.level) == (FAULT, FAULT)
    assert "Jonas Adler" in nobody.text
    assert "Marta Lindqvist" in silent.text
    set_phone(team["admin"], team["supervisor"], "020 7946 0142")
    [nobody] = practice_checks.check_alerts()
    assert "Marta" not in nobody.text


def test_check_is_content_when_everybody_is_reached(quiet):
    team = add_deputies(staff.team())
    set_phone(team["admin"], team["manager"], "020 7946 0142")
    assert [found.level for found in practice_checks.check_alerts()] == [OK]
