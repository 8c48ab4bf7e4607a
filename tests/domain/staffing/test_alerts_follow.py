"""An alert that nobody has acknowledged follows the client: whoever is responsible for them now has it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.actor import operator
from caseapp.core.clock import at, now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.core.outbox import OutboxRow
from caseapp.core.transaction import transaction
from caseapp.domain.alerts.models import Alert, AlertRecipient
from caseapp.domain.alerts.operations import (
    ALERT_MAIL,
    acknowledge_alert,
    enqueue_waiting_alerts,
    escalate,
)
from caseapp.domain.alerts.queries import get_alerted_client, list_waiting_alerts, lock_alert
from caseapp.domain.cases.operations import open_case
from caseapp.domain.cases.schemas import CaseDetails
from caseapp.domain.clients.codes import ALERTED
from caseapp.domain.clients.models import ENDLESS, CareTeamMember
from caseapp.domain.clients.queries import lock_client
from caseapp.domain.followups.queries import list_client_followups
from caseapp.domain.screening.current import get_safety_state
from caseapp.domain.screening.hold_operations import name_second_person
from caseapp.domain.screening.queries import lock_hold
from caseapp.domain.staffing.operations import change_supervisor, disable_member, hand_over
from caseapp.domain.staffing.queries import lock_member
from tests.domain.alerts.steps import set_deputy
from tests.support import builders, followups, staff

pytestmark = pytest.mark.both


@pytest.fixture
def people(app):
    found = staff.team() | {name: staff.add(name) for name in ("supervisor2", "supervisor3")}
    found["coach3"] = staff.add("coach3", role="coach", supervisor="supervisor2")
    found["coach4"] = staff.add("coach4", role="coach")
    return found


def urgent(people, coach="coach"):
    made = builders.case(people[coach], "Ines Okafor")
    builders.screen(people[coach], made.client_id, self_harm="urgent")
    return made


def give(people, made, supervisor, leaver, heir):
    actor = people[supervisor]
    with transaction():
        hand_over(actor, lock_client(actor, made.client_id), people[leaver].id, people[heir].id)


def supervise(people, who, supervisor):
    with transaction():
        change_supervisor(
            operator(), lock_member(people[who].id), lock_member(people[supervisor].id)
        )


def having(people):
    """Return who has received the newest alert."""
    db.session.rollback()
    newest = sa.select(Alert.id).order_by(Alert.opened_at.desc(), Alert.id.desc()).limit(1)
    found = db.session.scalars(
        sa.select(AlertRecipient.user_id).where(AlertRecipient.alert_id == newest.scalar_subquery())
    )
    names = {actor.id: name for name, actor in people.items()}
    return {names[user_id] for user_id in found}


def the_alert():
    db.session.rollback()
    return db.session.scalars(sa.select(Alert.id)).one()


def acknowledge(actor, alert_id):
    with transaction():
        acknowledge_alert(actor, lock_alert(actor, alert_id))


def test_alert_follows_a_client_to_another_team(people):
    made = urgent(people)
    alert_id = the_alert()
    assert having(people) == {"supervisor"}
    give(people, made, "supervisor", "coach", "coach3")
    assert having(people) == {"coach3", "supervisor2"}
    with pytest.raises(NotFound):
        acknowledge(people["supervisor"], alert_id)
    for days in (0.1, 3, 10):
        with at(now() + timedelta(days=days)), transaction():
            escalate(alert_id)
    assert having(people) == {"coach3", "supervisor2"}
    mailed = db.session.scalars(sa.select(OutboxRow.payload).where(OutboxRow.kind == ALERT_MAIL))
    assert sorted(mail["user"] for mail in mailed) == sorted(
        people[who].id.hex for who in ("supervisor", "coach3", "supervisor2")
    )
    acknowledge(people["supervisor2"], alert_id)
    assert list_waiting_alerts(people["coach3"]) == []


def test_alert_follows_a_change_of_the_supervisor_with_the_deputies(people):
    """The deputy's step was taken already: the deputy of the new supervisor is alerted too."""
    with transaction():
        set_deputy(people["supervisor2"], people["supervisor3"])
    urgent(people)
    with at(now() + timedelta(minutes=31)):
        with transaction():
            escalate(the_alert())
        supervise(people, "coach", "supervisor2")
        assert having(people) == {"supervisor2", "supervisor3"}
    assert list_waiting_alerts(people["supervisor"]) == []


def test_alert_follows_to_whoever_takes_over_from_a_supervisor_who_leaves(people):
    urgent(people)
    with transaction():
        disable_member(
            operator(),
            lock_member(people["supervisor"].id),
            lock_member(people["supervisor2"].id),
        )
    assert having(people) == {"supervisor2"}


@pytest.mark.slow
def test_alert_opened_by_a_former_coach_alone_is_passed_on_until_a_second_person_has_it(people):
    made = urgent(people, "coach2")
    assert having(people) == set()
    supervise(people, "coach2", "supervisor")
    assert having(people) == {"supervisor"}
    hold = get_safety_state(made.client_id).holds[0]
    with transaction():
        locked = lock_hold(people["coach2"], hold.id)
        second = people["supervisor2"]
        name_second_person(people["coach2"], locked, second.id, locked.hold.version)
    give(people, made, "supervisor", "coach2", "coach4")
    assert having(people) == {"coach4"}
    # Whoever has opened it doesn't count: they have nothing to do with the client any more.
    with transaction():
        enqueue_waiting_alerts()
    outbox.sweep()
    assert having(people) == {"coach4"}
    supervise(people, "coach4", "supervisor")
    assert having(people) == {"coach4", "supervisor"}


def test_alert_reaches_the_coach_of_a_case_that_is_opened_while_it_waits(people):
    colleague = staff.add("coach5", role="coach", supervisor="supervisor")
    client_id = builders.client(people["coach"])
    builders.screen(people["coach"], client_id, self_harm="urgent")
    supervisor = people["supervisor"]
    with transaction():
        client = lock_client(supervisor, client_id)
        open_case(supervisor, client, CaseDetails({}, "undecided", None), coach_id=colleague.id)
    assert having(people | {"coach5": colleague}) == {"supervisor", "coach5"}


def test_supervisor_who_hands_over_only_a_task_keeps_the_alert(people):
    made = builders.case(people["coach"])
    builders.screen(people["coach"], made.client_id, harm_to_others=3)
    duty = next(
        task
        for task in list_client_followups(people["coach"], made.client_id, open_only=True)
        if task.kind == "duty_check"
    )
    followups.complete(
        people["coach"], duty.id, result="not_sure", note="I am really not sure about this."
    )
    give(people, made, "supervisor", "supervisor", "coach")
    assert having(people) == {"supervisor"}


def test_what_an_alert_lets_somebody_read_ends_when_it_waits_for_them_no_more(people):
    former = people["supervisor"]
    made = urgent(people)
    first = the_alert()
    acknowledge(former, first)
    with at(now() + timedelta(minutes=30)):
        builders.screen(people["coach"], made.client_id, self_harm="urgent")
        supervise(people, "coach", "supervisor2")
        assert having(people) == {"supervisor2"}
        with pytest.raises(NotFound):
            get_alerted_client(former, first)
    with at(now() + timedelta(days=60)), pytest.raises(NotFound):
        get_alerted_client(former, first)
    endless = db.session.scalars(
        sa.select(CareTeamMember.user_id).where(
            CareTeamMember.role == ALERTED, CareTeamMember.ends_at == ENDLESS
        )
    ).all()
    assert endless == [people["supervisor2"].id]
