from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import outbox, runtime, settings
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.outbox import OutboxRow
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.models import Alert, AlertRecipient, AlertSetting
from caseapp.domain.alerts.operations import ALERT_STEP, enqueue_waiting_alerts
from caseapp.domain.alerts.queries import (
    count_waiting_alerts,
    get_client_alert,
    list_acknowledged_alerts,
    list_waiting_alerts,
)
from caseapp.domain.audit.models import AuditEvent
from caseapp.domain.clients.codes import ALERTED
from caseapp.domain.clients.memberships import join_care_team
from caseapp.domain.clients.models import CareTeamMember
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.screening.correction_operations import mark_in_error
from caseapp.domain.screening.operations import record_screening
from caseapp.domain.screening.protocol import ITEMS
from caseapp.domain.screening.queries import lock_screening
from caseapp.domain.screening.schemas import NewScreening
from tests.domain.alerts.steps import (
    acknowledge,
    later,
    mails,
    set_deputy,
    taken_steps,
    the_alert,
    urgent,
)
from tests.support import builders, staff
from tests.support.concurrency import run_concurrently
from tests.support.loopback import MailServer

pytestmark = pytest.mark.both


def test_urgent_screening_alerts_the_supervisor_in_the_same_transaction(team):
    urgent(team)
    assert taken_steps() == {"coach": None, "supervisor": "Helen Marsh"}
    due = db.session.execute(
        sa.select(OutboxRow.payload, OutboxRow.next_attempt_at).where(OutboxRow.kind == ALERT_STEP)
    ).all()
    assert {row.payload["step"]: row.next_attempt_at - now() for row in due} == {
        "deputy": timedelta(minutes=30),
        "manager": timedelta(hours=2),
    }


def test_screening_that_fails_alerts_nobody(team):
    made = builders.case(team["coach"])
    with pytest.raises(LookupError), transaction():
        record_screening(
            team["coach"],
            lock_client(team["coach"], made.client_id),
            NewScreening({item.key: 3 for item in ITEMS}),
        )
        raise LookupError
    db.session.rollback()
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Alert)) == 0
    assert db.session.scalar(sa.select(sa.func.count()).select_from(OutboxRow)) == 0


def test_screening_by_the_supervisor_alerts_the_coach_and_nobody_who_knows(team):
    urgent(team, "supervisor")
    assert taken_steps() == {"coach": "Marta Lindqvist", "supervisor": None}


def test_alert_that_has_reached_only_the_coach_is_passed_on(team):
    """Another coach of the client has recorded the screening."""
    opener = "coach2"
    made = builders.case(team["coach"])
    with transaction():
        join_care_team(team["coach"], lock_client(team["coach"], made.client_id), team[opener].id)
    set_manager(None)
    with transaction():
        for who in ("supervisor", "supervisor3"):
            staff.disable(f"{who}@practice.test")
    builders.screen(team[opener], made.client_id, self_harm="urgent")
    assert "Owen Blake" not in taken_steps().values()
    set_manager(team["manager"])
    with later(minutes=15):
        retry()
    assert taken_steps()["manager"] == "Owen Blake"


def test_coach_acknowledges_a_safety_alert_only_for_themselves(team):
    made = builders.case(team["coach"])
    with transaction():
        join_care_team(team["coach"], lock_client(team["coach"], made.client_id), team["coach2"].id)
    builders.screen(team["coach2"], made.client_id, self_harm="urgent")
    alert_id = the_alert().id
    with later(minutes=5):
        acknowledge(team["coach"], alert_id)
        acknowledge(team["coach"], alert_id)
    assert the_alert().acknowledged_at is None
    assert list_waiting_alerts(team["coach"]) == []
    assert count_waiting_alerts(team["coach"]).count == 0
    (own,) = list_acknowledged_alerts(team["coach"])
    assert (own.own_acknowledged_at, own.acknowledged_at) == (now() + timedelta(minutes=5), None)
    with later(hours=3):
        outbox.sweep()
        assert taken_steps()["deputy"] == "Priya Nair"
        assert taken_steps()["manager"] == "Owen Blake"
        acknowledge(team["deputy"], alert_id)
    assert the_alert().acknowledged_by == team["deputy"].id
    assert list_waiting_alerts(team["manager"]) == []
    assert get_client_alert(team["coach"], made.client_id).acknowledged_by_name == "Priya Nair"


def test_supervisor_who_coaches_the_client_does_not_end_a_safety_alert(team):
    made = builders.case(team["coach"])
    with transaction():
        join_care_team(
            team["coach"], lock_client(team["coach"], made.client_id), team["supervisor"].id
        )
    builders.screen(team["coach"], made.client_id, self_harm="urgent")
    acknowledge(team["supervisor"], the_alert().id)
    assert the_alert().acknowledged_at is None


@pytest.mark.parametrize("in_error", [False, True])
def test_coach_ends_a_safety_alert_that_the_supervisor_has_opened(team, in_error):
    """Both know: there may be nobody else who could ever end it."""
    set_manager(None)
    with transaction():
        set_deputy(team["supervisor"], None)
    if in_error:
        made = builders.case(team["coach"])
        screening_id = builders.screen(team["coach"], made.client_id, self_harm="urgent")
        acknowledge(team["supervisor"], the_alert().id)
        with transaction():
            mark_in_error(
                team["supervisor"],
                lock_screening(team["supervisor"], screening_id),
                "Entered for the wrong client.",
            )
    else:
        urgent(team, "supervisor")
    (alert,) = list_waiting_alerts(team["coach"])
    acknowledge(team["coach"], alert.id)
    waiting = sa.select(Alert).where(Alert.acknowledged_at.is_(None))
    assert db.session.scalars(waiting).all() == []


def test_coach_does_not_end_a_safety_alert_whose_opener_has_left(team):
    urgent(team, "supervisor")
    with transaction():
        staff.disable("supervisor@practice.test")
    acknowledge(team["coach"], the_alert().id)
    assert the_alert().acknowledged_at is None
    with later(minutes=1):
        retry()
    assert taken_steps()["deputy"] == "Priya Nair"


def test_coach_ends_an_alert_about_a_care_hold(team):
    made = builders.case(team["coach"])
    builders.screen(team["supervisor"], made.client_id, sleep="concern")
    acknowledge(team["coach"], the_alert().id)
    assert the_alert().acknowledged_by == team["coach"].id


def test_calm_screening_alerts_nobody(team):
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id, sleep="watch")
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Alert)) == 0


def test_alert_is_passed_on_at_its_times_until_somebody_acknowledges(team):
    urgent(team)
    with later(minutes=29):
        outbox.sweep()
        assert "deputy" not in taken_steps()
    with later(minutes=30):
        outbox.sweep()
        assert taken_steps()["deputy"] == "Priya Nair"
        assert "manager" not in taken_steps()
    with later(hours=1):
        acknowledge(team["deputy"], the_alert().id)
    with later(hours=3):
        outbox.sweep()
        assert "manager" not in taken_steps()
    assert outbox.sweep() == 0


def test_unacknowledged_alert_reaches_the_manager(team):
    urgent(team)
    with later(hours=2):
        outbox.sweep()
    assert taken_steps() == {
        "coach": None,
        "supervisor": "Helen Marsh",
        "deputy": "Priya Nair",
        "manager": "Owen Blake",
    }


def test_care_hold_alerts_the_deputy_a_working_day_later(team):
    made = builders.case(team["coach"])
    builders.screen(team["coach"], made.client_id, sleep="concern")
    assert taken_steps() == {"coach": None, "supervisor": "Helen Marsh"}
    with later(hours=12):
        outbox.sweep()
        assert "deputy" not in taken_steps()
    with later(days=3):
        outbox.sweep()
    assert taken_steps()["deputy"] == "Priya Nair"
    with later(days=30):
        outbox.sweep()
    assert "manager" not in taken_steps()


def test_second_urgent_screening_alerts_again(team):
    made = urgent(team)
    builders.screen(team["coach"], made.client_id, self_harm="urgent")
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Alert)) == 2
    assert len(list_waiting_alerts(team["supervisor"])) == 2


@pytest.mark.parametrize(
    ("gone", "steps"),
    [
        (["supervisor"], {"coach": None, "supervisor": None, "deputy": "Priya Nair"}),
        (
            ["supervisor", "supervisor3"],
            {"coach": None, "supervisor": None, "deputy": None, "manager": "Owen Blake"},
        ),
        (
            ["supervisor", "supervisor3", "supervisor4"],
            {"coach": None, "supervisor": None, "deputy": None, "manager": None},
        ),
    ],
)
def test_person_who_has_left_is_passed_over_at_once(team, gone, steps):
    with transaction():
        for who in gone:
            staff.disable(f"{who}@practice.test")
    urgent(team)
    assert taken_steps() == steps


def test_deputy_is_whoever_it_is_when_the_step_is_taken(team):
    urgent(team)
    with transaction():
        set_deputy(team["supervisor"], team["manager"])
    with later(minutes=31):
        outbox.sweep()
    assert taken_steps()["deputy"] == "Owen Blake"
    with later(hours=3):
        outbox.sweep()
    # Nobody is alerted twice.
    assert taken_steps()["manager"] is None


def ends_of(made, person):
    return db.session.scalars(
        sa.select(CareTeamMember.ends_at).where(
            CareTeamMember.client_id == made.client_id,
            CareTeamMember.user_id == person.id,
            CareTeamMember.role == ALERTED,
        )
    ).all()


def set_manager(person):
    with transaction():
        db.session.execute(sa.update(AlertSetting).values(manager_id=person and person.id))


def retry():
    with transaction():
        enqueue_waiting_alerts()
    outbox.sweep()
    db.session.rollback()


@pytest.mark.parametrize("left", [0, 3])
def test_manager_who_is_named_later_is_alerted_once_while_nobody_is_reached(team, left):
    """The supervisor has left before the alert, or after the steps were taken."""
    set_manager(None)
    with transaction():
        staff.disable("supervisor3@practice.test")
        if not left:
            staff.disable("supervisor@practice.test")
    urgent(team)
    with later(hours=3):
        retry()
        if left:
            with transaction():
                staff.disable("supervisor@practice.test")
        retry()
        assert "Owen Blake" not in taken_steps().values()
        events = sa.select(sa.func.count()).where(AuditEvent.action == "alert.send")
        before = db.session.scalar(events)
        retry()
        assert db.session.scalar(events) == before
    set_manager(team["manager"])
    with later(days=3):
        retry()
        assert taken_steps()["manager"] == "Owen Blake"
        retry()
        assert len(list_waiting_alerts(team["manager"])) == 1
        assert db.session.scalar(events) == before + 1


def test_manager_who_is_named_after_the_step_was_due_is_alerted_instead_of_the_one_before(team):
    set_manager(None)
    made = urgent(team)
    with later(hours=3):
        retry()
        assert taken_steps()["manager"] is None
        set_manager(team["manager"])
        retry()
        assert taken_steps()["manager"] == "Owen Blake"
        other = staff.add("supervisor2")
        set_manager(other)
        retry()
        assert taken_steps()["manager"] == "Ruth Vance"
        assert list_waiting_alerts(team["manager"]) == []
    # What began and ended at one moment leaves no trace.
    assert ends_of(made, team["manager"]) == []


def test_step_whose_task_was_given_up_is_taken(team):
    urgent(team)
    with transaction():
        db.session.execute(sa.delete(OutboxRow))
    with later(minutes=31):
        retry()
    assert taken_steps()["deputy"] == "Priya Nair"


def test_step_is_taken_once_by_two_workers(app, team):
    urgent(team)
    with later(hours=3):
        run_concurrently(app, 2, lambda _number: outbox.sweep())
    assert len(taken_steps()) == 4
    sent = db.session.scalars(sa.select(OutboxRow).where(OutboxRow.kind == "alert_mail")).all()
    assert len({tuple(sorted(row.payload.items())) for row in sent}) == len(sent) == 3
    events = db.session.scalar(
        sa.select(sa.func.count())
        .select_from(AuditEvent)
        .where(AuditEvent.action == "alert.send", AuditEvent.via == "job")
    )
    assert events == 1


def fail(*_given):
    raise ConnectionError


def test_failed_step_is_taken_later(team, monkeypatch):
    urgent(team)
    handlers = runtime.current().outbox_handlers
    working = handlers[ALERT_STEP]
    monkeypatch.setitem(handlers, ALERT_STEP, fail)
    with later(minutes=31):
        outbox.sweep()
        assert "deputy" not in taken_steps()
    monkeypatch.setitem(handlers, ALERT_STEP, working)
    with later(minutes=32):
        outbox.sweep()
    assert taken_steps()["deputy"] == "Priya Nair"


def test_alert_from_a_clock_that_ran_ahead_is_passed_on_at_once(team):
    made = builders.case(team["coach"])
    with later(days=2):
        builders.screen(team["coach"], made.client_id, self_harm="urgent")
    outbox.sweep()
    assert len(taken_steps()) == 4
    outbox.sweep()
    recipients = db.session.scalar(sa.select(sa.func.count()).select_from(AlertRecipient))
    assert recipients == 3


def test_clock_that_jumps_ahead_and_back_takes_each_step_once(team):
    urgent(team)
    for passed in (timedelta(days=400), timedelta(0), timedelta(minutes=45), timedelta(hours=5)):
        with at(now() + passed):
            outbox.sweep()
    assert len(taken_steps()) == 4
    assert db.session.scalar(sa.select(sa.func.count()).select_from(AlertRecipient)) == 3


def test_email_names_nobody_and_leads_to_the_alerts(team):
    urgent(team)
    outbox.sweep()
    (mail,) = mails()
    assert mail["To"] == "supervisor@practice.test"
    text = f"{mail['Subject']} {mail.get_content()}"
    assert "/alerts" in text
    for word in ("Ines", "Okafor", "Client", "Marta", "hold", "safety", "self"):
        assert word.lower() not in text.lower()


def test_acknowledged_alert_is_not_mailed(team):
    urgent(team)
    acknowledge(team["supervisor"], the_alert().id)
    outbox.sweep()
    assert mails() == []


def test_dead_mail_delays_no_step(team, monkeypatch):
    def refuse(_mail):
        raise ConnectionRefusedError

    monkeypatch.setattr("caseapp.core.mail.send", refuse)
    urgent(team)
    for minutes in (0, 31, 121):
        with later(minutes=minutes):
            outbox.sweep()
    assert len(taken_steps()) == 4
    assert len(list_waiting_alerts(team["manager"])) == 1


class Inbox:
    """A mail server's handler that keeps what it accepts."""

    def __init__(self):
        self.received = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd's own name
        self.received.append((envelope.rcpt_tos, envelope.content))
        return "250 OK"


@pytest.fixture
def mail_server(app):
    inbox, before = Inbox(), settings.active()
    server = MailServer(inbox)
    server.start()
    settings.use(replace(before, smtp_url=server.url))
    yield inbox
    settings.use(before)
    server.stop()


@pytest.mark.process
def test_alert_reaches_a_mail_server_once_for_each_step(mail_server, team):
    urgent(team)
    for minutes in (0, 31, 121, 122):
        with later(minutes=minutes):
            outbox.sweep()
    assert [to for to, _ in mail_server.received] == [
        ["supervisor@practice.test"],
        ["supervisor3@practice.test"],
        ["supervisor4@practice.test"],
    ]
    assert not any(b"Okafor" in content for _, content in mail_server.received)
