"""Alerts page: what waits for the user, and what was acknowledged lately."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flask import Blueprint, render_template, url_for

from caseapp.core.permissions import Action
from caseapp.domain.alerts.operations import acknowledge_alert
from caseapp.domain.alerts.queries import (
    LockedAlert,
    list_acknowledged_alerts,
    list_waiting_alerts,
    lock_alert,
)
from caseapp.domain.dashboard.queries import get_case_numbers
from caseapp.http.forms import BUTTON, Done, FormPage, Forms, Sent
from caseapp.http.guard import current_actor

if TYPE_CHECKING:
    from uuid import UUID

    from caseapp.domain.alerts.schemas import AlertRecord

blueprint = Blueprint("alerts", __name__)


@dataclass(frozen=True)
class Alerts:
    """The alerts to one person, and the newest case number of each client."""

    waiting: list[AlertRecord]
    acknowledged: list[AlertRecord]
    numbers: dict[UUID, str]


def load_alerts() -> Alerts:
    """Load the user's alerts and record whose they are."""
    actor = current_actor()
    waiting, acknowledged = list_waiting_alerts(actor), list_acknowledged_alerts(actor)
    clients = {alert.client_id for alert in (*waiting, *acknowledged) if alert.client_id}
    return Alerts(waiting, acknowledged, get_case_numbers(clients))


page = FormPage(blueprint, "/alerts", Action.ALERT_READ, load_alerts)


@page.show
def alert_list(found: Alerts, forms: Forms) -> str:
    """List the alerts to the user: those that wait first, the most urgent first."""
    return render_template("alerts/list.html", alerts=found, forms=forms)


@page.form(
    Action.ALERT_ACKNOWLEDGE,
    BUTTON,
    lock=lock_alert,
    rule="/alerts/<uuid:alert_id>/acknowledge",
)
def acknowledge(alert: LockedAlert, _body: dict[str, Any], sent: Sent) -> Done:
    """Acknowledge an alert."""
    acknowledge_alert(sent.actor, alert)
    return Done(url_for("alerts.alert_list"), "alert_acknowledged")
