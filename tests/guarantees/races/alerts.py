"""Races of changes of alerts."""

from __future__ import annotations

import sqlalchemy as sa

from caseapp.core.database import db
from caseapp.core.permissions import Action
from caseapp.domain.alerts.models import Alert
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import lock_alert
from caseapp.domain.audit.models import AuditEvent
from tests.guarantees.races.race import Race, Team, count
from tests.support import builders


def acknowledging(team: Team) -> Race:
    """Acknowledge an alert while it is being acknowledged in another window: the first one counts."""
    coach, supervisor = team["coach"], team["supervisor"]
    made = builders.case(coach)
    builders.screen(coach, made.client_id, self_harm=3)
    alert_id = db.session.scalar(sa.select(Alert.id).where(Alert.client_id == made.client_id))
    assert alert_id is not None

    def acknowledge() -> None:
        acknowledge_alert(supervisor, lock_alert(supervisor, alert_id))

    return Race(
        acknowledge,
        acknowledge,
        holds=lambda: (
            count(
                AuditEvent,
                AuditEvent.action == Action.ALERT_ACKNOWLEDGE.value,
                AuditEvent.object_id == alert_id,
            )
            == 1
        ),
    )


ALERTS = {"acknowledge_alert": acknowledging}
