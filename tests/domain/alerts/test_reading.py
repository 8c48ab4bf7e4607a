"""Who reads and acknowledges an alert, and what they see of its client."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from caseapp.core import outbox
from caseapp.core.clock import now
from caseapp.core.database import db
from caseapp.core.errors import NotFound
from caseapp.domain.alerts.queries import (
    get_alerted_client,
    list_acknowledged_alerts,
    list_alerts,
    list_waiting_alerts,
)
from caseapp.domain.audit.models import AuditEvent
from tests.domain.alerts.steps import (
    acknowledge,
    later,
    the_alert,
    urgent,
)
from tests.support import builders

pytestmark = pytest.mark.both


def test_first_to_acknowledge_counts_and_repeating_changes_nothing(team):
    urgent(team)
    with later(minutes=31):
        outbox.sweep()
        acknowledge(team["deputy"], the_alert().id)
    acknowledge(team["supervisor"], the_alert().id)
    acknowledge(team["deputy"], the_alert().id)
    found = the_alert()
    assert (found.acknowledged_by, found.acknowledged_at) == (
        team["deputy"].id,
        now() + timedelta(minutes=31),
    )
    events = db.session.scalars(
        sa.select(AuditEvent.actor_id).where(AuditEvent.action == "alert.acknowledge")
    ).all()
    assert events == [team["deputy"].id]


@pytest.mark.parametrize("who", ["coach", "coach2", "deputy", "manager"])
def test_alert_is_acknowledged_by_nobody_whom_it_does_not_address(team, who):
    urgent(team)
    with pytest.raises(NotFound):
        acknowledge(team[who], the_alert().id)


def test_somebody_of_another_team_reads_the_client_until_7_days_after_it_was_acknowledged(team):
    made = urgent(team)
    with later(hours=3):
        outbox.sweep()
        (own,) = list_waiting_alerts(team["supervisor"])
        (foreign,) = list_waiting_alerts(team["manager"])
        acknowledge(team["manager"], own.id)
    assert (own.client_id, own.kind, own.step) == (made.client_id, "safety", "manager")
    assert own.addressed_to == ("Helen Marsh", "Owen Blake", "Priya Nair")
    assert (own.is_member, foreign.is_member) == (True, False)
    assert (foreign.client_id, foreign.kind) == (made.client_id, "safety")
    with later(days=7, hours=2):
        assert get_alerted_client(team["manager"], own.id).client.id == made.client_id
    with later(days=7, hours=3):
        (foreign,) = list_acknowledged_alerts(team["manager"])
        assert (foreign.client_id, foreign.client, foreign.kind) == (None, "", None)
        with pytest.raises(NotFound):
            get_alerted_client(team["manager"], own.id)
        assert get_alerted_client(team["supervisor"], own.id).client.id == made.client_id


@pytest.mark.parametrize("who", ["coach2", "manager"])
def test_alert_shows_its_client_to_nobody_whom_it_has_not_reached(team, who):
    urgent(team)
    with pytest.raises(NotFound):
        get_alerted_client(team[who], the_alert().id)


def test_safety_alerts_come_first_then_the_oldest(team):
    first, second = builders.case(team["coach"]), builders.case(team["coach"])
    builders.screen(team["coach"], first.client_id, sleep="concern")
    with later(minutes=1):
        builders.screen(team["coach"], second.client_id, self_harm="urgent")
    with later(minutes=2):
        builders.screen(team["coach"], first.client_id, self_harm="urgent")
    found = list_waiting_alerts(team["supervisor"])
    assert [(alert.kind, alert.client_id) for alert in found] == [
        ("safety", second.client_id),
        ("safety", first.client_id),
        ("care", first.client_id),
    ]


def test_lists_hold_the_own_alerts_only(team):
    urgent(team)
    helen, jonas = team["supervisor"], team["coach2"]
    assert len(list_alerts(helen, cursor=None, limit=5).items) == 1
    assert list_alerts(jonas, cursor=None, limit=5).items == []
    acknowledge(helen, the_alert().id)
    assert list_waiting_alerts(helen) == []
    (found,) = list_acknowledged_alerts(helen)
    assert found.acknowledged_by_name == "Helen Marsh"


def test_kind_of_an_alert_is_sealed(team):
    urgent(team)
    assert b"safety" not in the_alert().kind


@pytest.mark.slow
def test_second_alert_keeps_the_client_readable_until_7_days_after_the_last_has_ended(team):
    made = urgent(team)
    manager = team["manager"]
    with later(hours=3):
        outbox.sweep()
        first = the_alert().id
    with later(days=1):
        builders.screen(team["coach"], made.client_id, self_harm="urgent")
    with later(days=1, hours=3):
        outbox.sweep()
        acknowledge(manager, first)
    with later(days=30):
        found = list_alerts(manager, cursor=None, limit=5).items
        assert {alert.client_id for alert in found} == {made.client_id}
        second = found[0].id
        acknowledge(manager, second)
    with later(days=36):
        assert get_alerted_client(manager, second).client.id == made.client_id
    with later(days=37), pytest.raises(NotFound):
        get_alerted_client(manager, second)
